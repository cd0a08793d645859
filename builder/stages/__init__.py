"""The rooms a build walks through, one verb each; `builder.pipeline` calls them in order."""

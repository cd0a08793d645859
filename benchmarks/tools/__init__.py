"""The builders that are compared, each turned into commands by a module of its own."""

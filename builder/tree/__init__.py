"""File trees: safe paths, tar in and out, layer indexes, differences, merged views."""

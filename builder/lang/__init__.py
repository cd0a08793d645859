"""How a Buildfile is read: lines, words, grammar, ignore files, checks. Pure functions only."""

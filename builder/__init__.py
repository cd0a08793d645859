"""pybuild: a rootless container image builder."""

VERSION = "0.1.0"
"""Read from here by the installer too (pyproject.toml): asking for an installed package's version takes 20 ms."""

"""pybuild: a rootless container image builder."""

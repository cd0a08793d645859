"""The reporter of `-q`: it shows nothing. The digest at the end is the build command's to print."""

from __future__ import annotations

from builder.values.event import Event


class QuietReporter:
    """Shows nothing."""

    def handle(self, event: Event) -> None:
        """Do nothing with an event."""

    def close(self) -> None:
        """Do nothing."""

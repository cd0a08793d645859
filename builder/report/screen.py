"""The last lines of a terminal, drawn over and over. Knows escape sequences and nothing of builds.

The cursor is never hidden, no mode is changed and the alternate screen is not used: there is nothing to restore, so
that even a SIGKILL leaves the terminal usable.
"""

from __future__ import annotations

import os
from typing import TextIO

from builder.report.live import Size
from builder.report.text import width_of


class Screen:
    """Writes lines that stay and, below them, lines that the next call replaces."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._drawn: list[int] = []  # widths of the live lines on the screen
        self._gone = False

    def size(self) -> Size:
        """The terminal's size now; 80 x 24 where it will not say."""
        try:
            columns, rows = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            return Size(80, 24)
        return Size(columns or 80, rows or 24)

    def show(self, above: list[str], live: list[str]) -> None:
        """Write `above` for good and `live` below it, in one go."""
        text = self._home() + "".join(f"{line}\n" for line in above) + "\n".join(live)
        self._drawn = [width_of(line) for line in live]
        self._write(text)

    def _home(self) -> str:
        """Back to the first row of the live lines, and everything below erased.

        A terminal that was made narrower since has wrapped them: each may fill several rows now.
        """
        if not self._drawn:
            return ""
        columns = self.size().columns
        rows = sum(max((width - 1) // columns, 0) + 1 for width in self._drawn)
        up = f"\x1b[{rows - 1}A" if rows > 1 else ""
        return f"\r{up}\x1b[J"

    def _write(self, text: str) -> None:
        if not text or self._gone:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._gone = True  # the terminal went away: the image matters more than its log

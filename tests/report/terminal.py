"""A small terminal for tests: a pty with a size, and an interpreter of what is written to it."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager

_TOKEN = re.compile(r"\x1b\[([0-9;]*)([A-Za-z])|(\r)|(\n)|([^\x1b\r\n]+)|(.)", re.DOTALL)


@contextmanager
def opened(columns: int = 60, rows: int = 12) -> Iterator[tuple[int, int]]:
    """A pty of that size: (the side we read, the side the program writes)."""
    ours, theirs = os.openpty()
    resize(theirs, columns, rows)
    try:
        yield ours, theirs
    finally:
        os.close(ours)
        os.close(theirs)


def resize(fd: int, columns: int, rows: int) -> None:
    """Give the terminal another size."""
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def read_now(fd: int) -> str:
    """What has been written so far."""
    os.set_blocking(fd, False)
    parts = []
    while True:
        try:
            part = os.read(fd, 65536)
        except (BlockingIOError, OSError):
            break
        if not part:
            break
        parts.append(part)
    return b"".join(parts).decode()


class Picture:
    """What a terminal would show, with all that scrolled away; wraps at its width, knows the few sequences we use."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.lines: list[str] = [""]
        self.row = 0
        self.column = 0

    def write(self, text: str) -> None:
        """Obey `text`. Raises AssertionError for a sequence that we never send."""
        for match in _TOKEN.finditer(text):
            number, command, back, down, plain, other = match.groups()
            if command is not None:
                self._obey(number, command)
            elif back:
                self.column = 0
            elif down:
                self.row += 1
                self.lines += [""] * (self.row + 1 - len(self.lines))
            elif plain:
                for character in plain:
                    self._put(character)
            else:
                raise AssertionError(f"unexpected {other!r}")

    def _put(self, character: str) -> None:
        if self.column == self.columns:
            self.row, self.column = self.row + 1, 0
            self.lines += [""] * (self.row + 1 - len(self.lines))
        line = self.lines[self.row].ljust(self.column)
        self.lines[self.row] = line[: self.column] + character + line[self.column + 1 :]
        self.column += 1

    def _obey(self, number: str, command: str) -> None:
        match command:
            case "A":
                self.row -= int(number or 1)
                assert self.row >= 0, "the cursor left the screen"
            case "J":
                assert number in ("", "0")
                del self.lines[self.row + 1 :]
                self.lines[self.row] = self.lines[self.row][: self.column]
            case "m":
                pass
            case _:
                raise AssertionError(f"unexpected sequence {number}{command}")

    def text(self) -> str:
        """The lines, without blanks at their ends."""
        return "\n".join(line.rstrip() for line in self.lines).rstrip("\n")

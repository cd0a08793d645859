"""Bytes of a step's output → lines to show. Pure; one cutter for each step."""

from __future__ import annotations

from builder.report.mask import Mask

LIMIT_BYTES = 64 * 1024
"""A line longer than this is shown in pieces, so that output without line ends costs no memory."""


class LineCutter:
    """Cuts what a step writes into printable lines, with secrets hidden; keeps the beginning of the next one."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that are whole now."""
        *whole, rest = (self._rest + data).split(b"\n")
        most = LIMIT_BYTES + self._mask.longest_bytes
        if len(rest) > most:
            rest = _last_overwrite(rest)
        while len(rest) > most:
            at = self._mask.cut(rest, LIMIT_BYTES)
            whole.append(rest[:at])
            rest = rest[at:]
        self._rest = rest
        return [self._line(line) for line in whole]

    def flush(self) -> list[str]:
        """What is left at the end of the step, which may lack its line end."""
        rest, self._rest = self._rest, b""
        return [self._line(rest)] if rest else []

    def _line(self, data: bytes) -> str:
        return self._mask.shown(_last_overwrite(data).decode("utf-8", "surrogateescape"))


def _last_overwrite(data: bytes) -> bytes:
    """Of a line that carriage returns overwrite (a progress bar) what would be seen at the end."""
    if b"\r" not in data:
        return data
    return data.rstrip(b"\r").rpartition(b"\r")[2]

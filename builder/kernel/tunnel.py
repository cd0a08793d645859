"""Bytes both ways between two sockets, until both have said all or nothing comes for too long."""

from __future__ import annotations

import select
import socket

from builder.declare import dataclass

_BUFFER_BYTES = 256 << 10


@dataclass(slots=True)
class _Flow:
    """One direction: what was read and is not yet written. Nothing is read while something waits."""

    source: socket.socket
    sink: socket.socket
    waiting: bytes = b""
    ended: bool = False
    count: int = 0

    def wanted(self) -> tuple[socket.socket, int] | None:
        """The event that would let something move; None when all has been moved."""
        if self.waiting:
            return self.sink, select.POLLOUT
        return None if self.ended else (self.source, select.POLLIN)

    def move(self) -> None:
        """Pass on what can be without waiting. Raises OSError when one of the two is broken."""
        try:
            if not self.waiting and not self.ended:
                self.waiting = self.source.recv(_BUFFER_BYTES)
                if not self.waiting:
                    self.ended = True
                    self.sink.shutdown(socket.SHUT_WR)
            if self.waiting:
                sent = self.sink.send(self.waiting)
                self.count += sent
                self.waiting = self.waiting[sent:]
        except BlockingIOError:
            pass  # poll tells when it is worth another try


class Tunnel:
    """Two sockets joined; `first` is what `one` has said already. Neither is closed here."""

    def __init__(self, one: socket.socket, other: socket.socket, first: bytes = b"") -> None:
        self._there = _Flow(one, other, first)
        self._back = _Flow(other, one)

    @property
    def sent_bytes(self) -> int:
        """What went from the one to the other."""
        return self._there.count

    @property
    def received_bytes(self) -> int:
        """What came back."""
        return self._back.count

    def run(self, idle_s: float) -> None:
        """Carry until it is over, however it ends."""
        flows = (self._there, self._back)
        for flow in flows:
            flow.source.setblocking(False)
        try:
            while wanted := [event for flow in flows if (event := flow.wanted()) is not None]:
                watch = select.poll()
                events: dict[int, int] = {}
                for end, kind in wanted:
                    events[end.fileno()] = events.get(end.fileno(), 0) | kind
                for fd, mask in events.items():
                    watch.register(fd, mask)
                if not watch.poll(idle_s * 1000):
                    return
                for flow in flows:
                    flow.move()
        except (OSError, ValueError):
            return  # broken, or closed by us at the end of the step

"""The relay between a step and an ssh agent: bytes both ways between a socket of ours and one of the host.

The step gets a socket that has the owner and mode it was promised; the agent gets connections from a process of the
user, which is what ssh-agent asks for (getpeereid(3)). A process of its own does it, since the step's outer process
waits for the step: it is outside the step's namespaces, and ends with the `with` that started it, or with its parent.
Nothing here makes or checks files, and nothing looks into what is said.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NoReturn

from builder.declare import dataclass, field
from builder.kernel import syscalls
from builder.kernel.descriptors import close_all_but

BACKLOG = 512  # roomy: a connect that does not wait fails when it is full (Go's, for one)
_MOST_PAIRS = 64  # more wait in the backlog; each takes two descriptors
_BUFFER_BYTES = 1 << 16
_RETRY_MS = 20


@dataclass(frozen=True, slots=True)
class Door:
    """A listening Unix socket, and an O_PATH descriptor of the socket that its connections lead to."""

    listener: socket.socket
    agent: int

    def close(self) -> None:
        """Close both. The file of the socket stays."""
        self.listener.close()
        os.close(self.agent)


@contextmanager
def serving(doors: Sequence[Door]) -> Iterator[None]:
    """Relay for these doors, one process each, until the `with` ends. The doors are closed here at once.

    Raises OSError when no process can be started.
    """
    with ExitStack() as started:
        with ExitStack() as closing:
            for door in doors:
                closing.callback(door.close)
            for door in doors:
                started.callback(_end, _start(door))
        yield


def _start(door: Door) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _be_relay(parent, door)
    return pid


def _end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)  # not waited for yet: the number is still this process's
    os.waitpid(pid, 0)


def _be_relay(parent: int, door: Door) -> NoReturn:
    """The life of the relay. Never returns: the stack above belongs to the parent."""
    try:
        syscalls.set_pdeathsig(signal.SIGKILL)
        if os.getppid() == parent:  # otherwise it ended before the line above
            # The step's output among others: who reads it waits until nobody holds it.
            close_all_but(door.listener.fileno(), door.agent)
            _Relay(door).run()
    finally:
        os._exit(1)


@dataclass(slots=True)
class _Flow:
    """One direction: what was read and is not yet written. Nothing is read while something waits."""

    source: socket.socket
    sink: socket.socket
    waiting: bytes = b""
    ended: bool = False

    @property
    def finished(self) -> bool:
        return self.ended and not self.waiting

    def move(self) -> None:
        """Pass on what can be without waiting. Raises OSError when one of the two is broken."""
        try:
            if not self.waiting and not self.ended:
                self.waiting = self.source.recv(_BUFFER_BYTES)
                self.ended = not self.waiting
                if self.ended:
                    self.sink.shutdown(socket.SHUT_WR)
            if self.waiting:
                self.waiting = self.waiting[self.sink.send(self.waiting) :]
        except BlockingIOError:
            pass  # poll tells when it is worth another try


@dataclass(slots=True)
class _Pair:
    """A connection of the step with its connection to the agent."""

    step: socket.socket
    agent: socket.socket
    up: _Flow = field(init=False)
    down: _Flow = field(init=False)

    def __post_init__(self) -> None:
        self.step.setblocking(False)
        self.up, self.down = _Flow(self.step, self.agent), _Flow(self.agent, self.step)

    def wanted(self) -> Iterator[tuple[socket.socket, int]]:
        """The events to wait for. A side that can do nothing now is left out: its POLLHUP would come at every turn."""
        for out, into in ((self.up, self.down), (self.down, self.up)):
            events = 0 if out.waiting or out.ended else select.POLLIN
            events |= select.POLLOUT if into.waiting else 0
            if events or out.finished:
                yield out.source, events

    def turn(self, events: dict[int, int]) -> bool:
        """Move what can be moved. Returns whether the pair is to be kept."""
        try:
            self.up.move()
            self.down.move()
        except OSError:
            return False
        if self.up.finished and self.down.finished:
            return False
        # A side that has said all and takes nothing any more: what the other still says has nowhere to go.
        return not any(
            flow.finished and events.get(flow.source.fileno(), 0) & (select.POLLHUP | select.POLLERR)
            for flow in (self.up, self.down)
        )

    def close(self) -> None:
        self.step.close()
        self.agent.close()


class _Relay:
    """Accepts for one door and serves what it accepted."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._pairs: list[_Pair] = []
        self._arrived: socket.socket | None = None  # accepted, while the agent's own backlog is full
        door.listener.setblocking(False)

    def run(self) -> NoReturn:
        """Serve for ever; the process is killed when the step has ended."""
        while True:
            events = self._wait()
            kept = []
            for pair in self._pairs:
                if pair.turn(events):
                    kept.append(pair)
                else:
                    pair.close()
            self._pairs = kept
            if self._arrived is None and self._door.listener.fileno() in events:
                self._accept()
            if self._arrived is not None:
                self._connect(self._arrived)

    def _wait(self) -> dict[int, int]:
        watch = select.poll()
        for pair in self._pairs:
            for one, events in pair.wanted():
                watch.register(one, events)
        if self._arrived is None and len(self._pairs) < _MOST_PAIRS:
            watch.register(self._door.listener, select.POLLIN)
        return dict(watch.poll(None if self._arrived is None else _RETRY_MS))

    def _accept(self) -> None:
        try:
            self._arrived, _ = self._door.listener.accept()
        except OSError:
            pass  # who knocked is gone

    def _connect(self, arrived: socket.socket) -> None:
        agent = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        agent.setblocking(False)
        try:
            agent.connect(f"/proc/self/fd/{self._door.agent}")
        except BlockingIOError:
            agent.close()  # its backlog is full (connect(2)); tried again
            return
        except OSError:
            agent.close()
            arrived.close()  # the agent is gone: the step hears so too
        else:
            self._pairs.append(_Pair(arrived, agent))
        self._arrived = None

"""Who does the worker's jobs: a server that takes requests, and the processes that it starts for them.

What a job is, and how it is done, comes in as `Perform`. Nothing here enters a namespace.
"""

from __future__ import annotations

import errno
import os
import select
import signal
from collections.abc import Callable

from builder.declare import dataclass, field
from builder.errors import BY_NAME, PybuildError
from builder.kernel.channel import Channel, ChannelClosed, encode
from builder.kernel.descriptors import close_all_but
from builder.kernel.syscalls import set_pdeathsig
from builder.values.crossing import Done, Fault, Job, Message, Request, Rest, Result, RunJob

Perform = Callable[[Job, list[int]], Result]
"""What does a job, given the descriptors that came with it."""

_READ_BYTES = 1 << 16
_STAYS = b"\n"  # behind an answer, in which it never is: who gave it waits for another step
_IDLE = -1


def fault_of(number: int, error: BaseException) -> Fault:
    """What the conductor is told about an exception; anything unforeseen is a bug and brings its traceback."""
    if isinstance(error, PybuildError) and type(error).__name__ in BY_NAME:
        return Fault(number, type(error).__name__, error.message, error.hint or "")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Fault(number, "StoreError", f"no space left: {error}", "free some space, or choose another --root")
    if isinstance(error, MemoryError):
        return Fault(number, "MachineError", "there is not enough memory", "build on a machine with more memory")
    import traceback

    return Fault(number, "bug", str(error) or type(error).__name__, "", "".join(traceback.format_exception(error)))


@dataclass(slots=True)
class _Child:
    """A process that does jobs, and what has come through the pipe of its answers.

    `number` and `name` are those of the job under way; with the number _IDLE it waits at the channel for a step.
    """

    number: int
    name: str
    channel: Channel
    pipe: int
    answer: bytearray = field(default_factory=bytearray)

    def read(self) -> None:
        """Take what is in the pipe without waiting. A step may hold the other end, so that its end does not count."""
        try:
            while data := os.read(self.pipe, _READ_BYTES):
                self.answer += data
        except BlockingIOError:
            pass

    def rest(self) -> bytes:
        """The answer of one that stays, which waits from now on; b"" before all of it has come."""
        if not self.answer.endswith(_STAYS):
            return b""
        answer = bytes(self.answer[: -len(_STAYS)])
        self.answer.clear()
        self.number = _IDLE
        return answer

    def begin(self, request: Request, fds: list[int]) -> bool:
        """Have it do a further job; whether it is still there to do it. Its end is noticed elsewhere."""
        try:
            self.channel.send(request, fds)
        except ChannelClosed:
            return False
        self.number, self.name = request.number, type(request.job).__name__
        return True

    def close(self) -> None:
        self.channel.close()
        os.close(self.pipe)


class Server:
    """Does each request in a child and sends the answers as they come, in any order.

    A child that has done a step well does a further one, since a fork, and then a copy of each page that is written to,
    is a third of what a short step costs. All others end with their job.
    """

    def __init__(self, channel: Channel, perform: Perform) -> None:
        self._channel = channel
        self._perform = perform
        self._children: dict[int, _Child] = {}
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll = select.poll()

    def begin_with(self, request: Request) -> None:
        """Start on a request before `run`, which answers it."""
        self._start(request, [])

    def run(self) -> None:
        """Serve until the other side closes the channel; then nothing that was started is left."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        os.write(self._wake_write, b"\0")  # for those that began, and perhaps ended, before
        self._poll.register(self._channel.fileno(), select.POLLIN)
        self._poll.register(self._wake_read, select.POLLIN)
        try:
            while True:
                ready = {fd for fd, _ in self._poll.poll()}
                self._turn(ready)
        except ChannelClosed:
            pass
        finally:
            self._end_children()

    def _turn(self, ready: set[int]) -> None:
        for child in self._children.values():
            if child.pipe in ready:
                child.read()
                answer = child.rest()
                if answer:
                    self._channel.send_encoded(answer)
        if self._wake_read in ready:
            os.read(self._wake_read, _READ_BYTES)
            self._reap()
        if self._channel.fileno() in ready:
            self._begin(*self._channel.receive())

    def _begin(self, message: Message, fds: list[int]) -> None:
        if isinstance(message, Rest):
            self._rest()
            return
        if not isinstance(message, Request):
            raise TypeError(f"{type(message).__name__} is not for a worker")
        waiting = [child for child in self._children.values() if child.number == _IDLE]
        if not (isinstance(message.job, RunJob) and any(child.begin(message, fds) for child in waiting)):
            self._start(message, fds)
        for fd in fds:
            os.close(fd)

    def _rest(self) -> None:
        """End whatever waits for steps, the program of their network too, while the conductor does other things.

        Its network device takes the kernel some 20 ms to remove, which the end of the namespace would wait for.
        """
        if os.getpid() == 1 and all(child.number == _IDLE for child in self._children.values()):
            os.kill(-1, signal.SIGKILL)  # all of our pid namespace but us: kill(2)

    def _start(self, request: Request, fds: list[int]) -> None:
        readable, writable = os.pipe2(os.O_CLOEXEC)
        ours, theirs = Channel.pair()
        child = _Child(request.number, type(request.job).__name__, ours, readable)
        us = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            child.close()
            self._channel.send(
                Fault(request.number, "MachineError", f"no process can be started: {error.strerror}", "see `ulimit -u`")
            )
        else:
            if pid == 0:
                child.close()
                self._be_child(us, (request, fds), theirs, writable)
            os.set_blocking(readable, False)
            self._children[pid] = child
            self._poll.register(readable, select.POLLIN)
        theirs.close()
        os.close(writable)

    def _be_child(self, parent: int, first: tuple[Message, list[int]], channel: Channel, pipe: int) -> None:
        """Do jobs and end. Never returns: what is on the stack above belongs to the parent."""
        try:
            set_pdeathsig(signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)  # it ended before the line above
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._channel.close()
            for fd in (self._wake_read, self._wake_write):
                os.close(fd)
            for child in self._children.values():
                child.close()
            _do_jobs(self._perform, first, channel, pipe)
            os._exit(0)
        finally:
            os._exit(1)

    def _reap(self) -> None:
        """Answer for the children that ended. Orphans of steps are ours too, being pid 1; they are only buried."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._children.pop(pid, None)
            if child is not None:
                child.read()
                self._poll.unregister(child.pipe)
                child.close()
                if child.number != _IDLE:
                    self._channel.send_encoded(child.rest() or _last_words(child, status))

    def _end_children(self) -> None:
        signal.set_wakeup_fd(-1)
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)
        for pid, child in self._children.items():
            os.waitpid(pid, 0)
            child.close()
        os.close(self._wake_read)
        os.close(self._wake_write)


def _do_jobs(perform: Perform, first: tuple[Message, list[int]], channel: Channel, pipe: int) -> None:
    """Do this job, and while they are steps that went well, those that come after it."""
    request, fds = first
    stays = True
    while stays:
        assert isinstance(request, Request)
        answer, stays = _answer(request, perform, fds)
        if stays:
            # Nothing of a step is left for the next one; and who reads its output waits until nobody holds it.
            close_all_but(channel.fileno(), pipe)
            answer += _STAYS
        view = memoryview(answer)
        while view:
            view = view[os.write(pipe, view) :]
        if stays:
            request, fds = channel.receive()


def _answer(request: Request, perform: Perform, fds: list[int]) -> tuple[bytes, bool]:
    """The answer to a request, and whether whoever gave it can do another step."""
    try:
        return encode(Done(request.number, perform(request.job, fds))), isinstance(request.job, RunJob)
    except BaseException as error:
        return encode(fault_of(request.number, error)), False


def _last_words(child: _Child, status: int) -> bytes:
    """The answer of a child that has ended: its own when it ended well, otherwise a Fault that says how it ended."""
    code = os.waitstatus_to_exitcode(status)
    if code == 0 and child.answer:
        return bytes(child.answer)
    if code >= 0:
        return encode(Fault(child.number, "bug", f"{child.name} ended with status {code} and no answer"))
    why = "was killed, perhaps for want of memory" if -code == signal.SIGKILL else f"was ended by {_name_of(-code)}"
    hint = "see `dmesg`, or give the machine more memory" if -code == signal.SIGKILL else ""
    return encode(Fault(child.number, "MachineError", f"the process of {child.name} {why}", hint))


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

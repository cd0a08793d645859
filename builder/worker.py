"""The re-executed side of door 1: enters the namespace, then does jobs, each in a child of its own, until it closes.

Two processes stand here. The first unshares and stays outside the new pid namespace as a porter: it waits, and takes
the signals. The second is that namespace's pid 1 and does the work; whatever it starts, however deep and however
detached, the kernel ends with it (pid_namespaces(7)). So /proc (still the outer one) knows our processes under other
numbers than getpid() gives: inside, use /proc/self. Everything is single-threaded, because every job is a fork.
"""

from __future__ import annotations

import errno
import gc
import os
import select
import signal
import sys
from collections.abc import Callable
from typing import TypeVar

from builder.declare import dataclass, field
from builder.errors import BY_NAME, PybuildError
from builder.kernel import runner
from builder.kernel.channel import Channel, ChannelClosed, encode
from builder.kernel.constants import CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER, MS_PRIVATE, MS_REC
from builder.kernel.syscalls import SyscallError, mount, set_pdeathsig, unshare
from builder.values.crossing import (
    PROTOCOL,
    Done,
    Exec,
    Fault,
    Hello,
    Job,
    Mapped,
    Message,
    NetworkJob,
    Ran,
    Refused,
    RemoveJob,
    Request,
    Result,
    RootKind,
    Rung,
    RunJob,
    Serve,
    UnpackJob,
    Unshared,
)

Perform = Callable[[Job, list[int]], Result]
"""What does a job, given the descriptors that came with it."""

T = TypeVar("T")

_READ_BYTES = 1 << 16

_AGAIN = "import sys; sys.path[:] = sys.argv[4:]; from builder.worker import again; again()"


def main() -> None:
    """Be the worker: `sys.argv[1]` is the number of the channel's descriptor, the rest is on the channel."""
    channel = Channel.of(int(sys.argv[1]))
    try:
        opening, _ = channel.receive()
        match opening:
            case Serve():
                _serve(channel, opening)
            case Exec():
                _become(channel, opening)
            case _:
                raise TypeError(f"the conversation does not begin with {type(opening).__name__}")
    except ChannelClosed:
        sys.exit(1)  # the conductor is gone, and with it whoever would read an error
    except SyscallError as error:
        channel.send(Refused(error.call, error.errno or 0))
        sys.exit(1)


def _enter(channel: Channel, rung: Rung, more_flags: int, meanwhile: Callable[[], T]) -> T:
    """Go into the namespaces and become root there; `meanwhile` is done while the conductor writes the maps."""
    set_pdeathsig(signal.SIGKILL)
    flags = CLONE_NEWNS | more_flags
    if rung is Rung.ROOT:
        unshare(flags)
        result = meanwhile()
    else:
        unshare(flags | CLONE_NEWUSER)
        channel.send(Unshared())
        result = meanwhile()
        answer, _ = channel.receive()
        if not isinstance(answer, Mapped):
            raise TypeError(f"{type(answer).__name__} came instead of Mapped")
        _become_root()
    set_pdeathsig(signal.SIGKILL)  # a change of ids can clear it (prctl(2))
    # What is mounted in here stays in here.
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    return result


def _become_root() -> None:
    """Take id 0 in all its forms. AppArmor may refuse it where unshare was allowed (Ubuntu 24.04)."""
    try:
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    except OSError as error:
        raise SyscallError("setresuid", error.errno or 0) from error


def _become(channel: Channel, command: Exec) -> None:
    """Replace this process by a command inside the namespaces; its exec closes the channel."""
    _enter(channel, command.rung, 0, meanwhile=lambda: None)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # the interpreter ignores these, and exec would hand that on
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.execvpe(command.argv[0], command.argv, dict(command.env))
    except OSError as error:
        channel.send(Fault(0, "UsageError", f"cannot run {command.argv[0]}: {error.strerror}"))
        sys.exit(127)


def _serve(channel: Channel, opening: Serve) -> None:
    if runner.is_exposed(opening.rung):
        _enter(channel, opening.rung, 0, meanwhile=lambda: None)
        os.set_inheritable(channel.fileno(), True)
        words = (str(channel.fileno()), opening.rung, opening.directory)
        runner.start_again(["-I", "-S", "-X", "utf8", "-c", _AGAIN, *words, *sys.path])
    _work(channel, opening, _enter(channel, opening.rung, CLONE_NEWPID, meanwhile=_rooms))


def again() -> None:
    """Be the worker that started itself again inside its namespaces: the channel's number, the rung, the directory."""
    channel = Channel.of(int(sys.argv[1]))
    opening = Serve(Rung(sys.argv[2]), sys.argv[3])
    try:
        set_pdeathsig(signal.SIGKILL)
        runner.require_protection()
        unshare(CLONE_NEWPID)
        _work(channel, opening, _rooms())
    except SyscallError as error:
        channel.send(Refused(error.call, error.errno or 0))
        sys.exit(1)


def _work(channel: Channel, opening: Serve, rooms: Callable[[str], tuple[RootKind, Perform]]) -> None:
    os.umask(0o022)
    gc.freeze()  # so that a child's collector does not touch, and thereby copy, every page it shares with us
    pid = os.fork()
    if pid:
        channel.close()
        _wait_as_porter(pid)
    set_pdeathsig(signal.SIGKILL)
    try:
        root_kind, perform = rooms(opening.directory)
    except PybuildError as error:
        channel.send(_fault(0, error))
        sys.exit(1)
    except OSError as error:
        channel.send(Fault(0, "StoreError", f"the store {opening.directory} cannot be used: {error.strerror}"))
        sys.exit(1)
    channel.send(Hello(PROTOCOL, opening.rung, root_kind))
    Server(channel, perform).run()
    os._exit(0)  # there is nothing to tidy up that the kernel does not do faster


def _wait_as_porter(pid: int) -> None:
    """End when the pid namespace has ended, with its status. On SIGTERM, end it.

    waitpid() returns for a pid 1 only after the kernel has ended all others of its namespace: when we are gone, so are
    they.
    """
    signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGKILL))
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def _rooms() -> Callable[[str], tuple[RootKind, Perform]]:
    """Import all that jobs need: after a fork it is there at once, and after a pivot_root nothing can be imported.

    Returns what opens the rooms over a directory: how roots are put together there, and what does jobs.
    """
    from pathlib import Path

    import isal.igzip_lib
    import isal.isal_zlib  # noqa: F401 - with the line above: else each child that packs or unpacks loads it anew

    from builder import declare
    from builder.kernel import rootfs, sandbox, usernet
    from builder.tree import commit, copyup, deflate, remove, unpack  # noqa: F401 - the same

    declare.compile_all()

    def opened(directory: str) -> tuple[RootKind, Perform]:
        root_kind = rootfs.probe_root_kind(Path(directory))

        def perform(job: Job, fds: list[int]) -> Result:
            match job:
                case UnpackJob():
                    return unpack.perform(job)
                case RunJob():
                    ran = sandbox.perform(job, fds, root_kind, copyup)
                    # Here and not in a child of its own, because it is the fork that costs.
                    return Ran(0, commit.perform(job.commit)) if job.commit and not ran.status else ran
                case RemoveJob():
                    return remove.perform(job)
                case NetworkJob():
                    return usernet.perform(job)

        return root_kind, perform

    return opened


def _fault(number: int, error: BaseException) -> Fault:
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
    """A job under way: its number and name, and what has come through the pipe of its answer."""

    number: int
    name: str
    pipe: int
    answer: bytearray = field(default_factory=bytearray)

    def read(self) -> None:
        """Take what is in the pipe without waiting. A step may hold the other end, so that its end does not count."""
        try:
            while data := os.read(self.pipe, _READ_BYTES):
                self.answer += data
        except BlockingIOError:
            pass


class Server:
    """Does each request in a child of its own and sends the answers as they come, in any order."""

    def __init__(self, channel: Channel, perform: Perform) -> None:
        self._channel = channel
        self._perform = perform
        self._children: dict[int, _Child] = {}
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll = select.poll()

    def run(self) -> None:
        """Serve until the other side closes the channel; then nothing that was started is left."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
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
        if self._wake_read in ready:
            os.read(self._wake_read, _READ_BYTES)
            self._reap()
        if self._channel.fileno() in ready:
            self._begin(*self._channel.receive())

    def _begin(self, message: Message, fds: list[int]) -> None:
        if not isinstance(message, Request):
            raise TypeError(f"{type(message).__name__} is not for a worker")
        readable, writable = os.pipe2(os.O_CLOEXEC)
        us = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            self._channel.send(
                Fault(message.number, "MachineError", f"no process can be started: {error.strerror}", "see `ulimit -u`")
            )
        else:
            if pid == 0:
                self._be_child(us, message, fds, writable)
            os.set_blocking(readable, False)
            self._children[pid] = _Child(message.number, type(message.job).__name__, readable)
            self._poll.register(readable, select.POLLIN)
        for fd in (writable, *fds):
            os.close(fd)

    def _be_child(self, parent: int, request: Request, fds: list[int], pipe: int) -> None:
        """Do the job and end. Never returns: what is on the stack above belongs to the parent."""
        try:
            set_pdeathsig(signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)  # it ended before the line above
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._channel.close()
            for fd in (self._wake_read, self._wake_write, *(child.pipe for child in self._children.values())):
                os.close(fd)
            view = memoryview(_answer(request, self._perform, fds))
            while view:
                view = view[os.write(pipe, view) :]
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
                os.close(child.pipe)
                self._channel.send_encoded(_last_words(child, status))

    def _end_children(self) -> None:
        signal.set_wakeup_fd(-1)
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)
        for pid, child in self._children.items():
            os.waitpid(pid, 0)
            os.close(child.pipe)
        os.close(self._wake_read)
        os.close(self._wake_write)


def _answer(request: Request, perform: Perform, fds: list[int]) -> bytes:
    try:
        return encode(Done(request.number, perform(request.job, fds)))
    except BaseException as error:
        return encode(_fault(request.number, error))


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


if __name__ == "__main__":
    main()

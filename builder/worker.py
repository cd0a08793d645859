"""The re-executed side of door 1: enters the namespace, then does jobs, all of them in children, until it closes.

Two processes stand here. The first unshares and stays outside the new pid namespace as a porter: it waits, and takes
the signals. The second is that namespace's pid 1 and does the work; whatever it starts, however deep and however
detached, the kernel ends with it (pid_namespaces(7)). So /proc (still the outer one) knows our processes under other
numbers than getpid() gives: inside, use /proc/self. Everything is single-threaded, because jobs are forks.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable

from builder.errors import PybuildError
from builder.kernel import runner
from builder.kernel.channel import Channel, ChannelClosed, decode, encode
from builder.kernel.constants import CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER, MS_PRIVATE, MS_REC
from builder.kernel.jobs import Server, fault_of
from builder.kernel.syscalls import SyscallError, mount, set_pdeathsig, unshare
from builder.values.crossing import (
    FIRST,
    PROTOCOL,
    Exec,
    Fault,
    Hello,
    Job,
    Mapped,
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

_AGAIN = "import sys; sys.path[:] = sys.argv[3:]; from builder.worker import again; again()"


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


def _enter(channel: Channel, rung: Rung, more_flags: int, meanwhile: Callable[[], None]) -> None:
    """Go into the namespaces and become root there; `meanwhile` is done while the conductor writes the maps."""
    set_pdeathsig(signal.SIGKILL)
    flags = CLONE_NEWNS | more_flags
    if rung is Rung.ROOT:
        unshare(flags)
        meanwhile()
    else:
        unshare(flags | CLONE_NEWUSER)
        channel.send(Unshared())
        meanwhile()
        answer, _ = channel.receive()
        if not isinstance(answer, Mapped):
            raise TypeError(f"{type(answer).__name__} came instead of Mapped")
        _become_root()
    set_pdeathsig(signal.SIGKILL)  # a change of ids can clear it (prctl(2))
    # What is mounted in here stays in here.
    mount(None, "/", None, MS_REC | MS_PRIVATE)


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
        words = (str(channel.fileno()), encode(opening).decode("ascii"))
        runner.start_again(["-I", "-S", "-X", "utf8", "-c", _AGAIN, *words, *sys.path])
    _enter(channel, opening.rung, CLONE_NEWPID, _load_what_runs)
    _work(channel, opening)


def again() -> None:
    """Be the worker that started itself again inside its namespaces: the channel's number, and how it opened."""
    channel = Channel.of(int(sys.argv[1]))
    try:
        opening = decode(sys.argv[2].encode("ascii"))
        if not isinstance(opening, Serve):
            raise TypeError(f"{type(opening).__name__} is not for a worker that starts again")
        set_pdeathsig(signal.SIGKILL)
        runner.require_protection()
        unshare(CLONE_NEWPID)
        _work(channel, opening)
    except SyscallError as error:
        channel.send(Refused(error.call, error.errno or 0))
        sys.exit(1)


def _work(channel: Channel, opening: Serve) -> None:
    os.umask(0o022)
    gc.freeze()
    pid = os.fork()
    if pid:
        channel.close()
        _wait_as_porter(pid)
    set_pdeathsig(signal.SIGKILL)
    rooms = _Rooms(opening.directory)
    server = Server(channel, rooms.perform)
    if opening.first is not None:
        server.begin_with(Request(FIRST, opening.first))  # most of what it does is to wait for others
    try:
        rooms.furnish()
    except PybuildError as error:
        channel.send(fault_of(0, error))
        sys.exit(1)
    except OSError as error:
        channel.send(Fault(0, "StoreError", f"the store {opening.directory} cannot be used: {error.strerror}"))
        sys.exit(1)
    gc.freeze()  # so that a child's collector does not touch, and thereby copy, every page it shares with us
    channel.send(Hello(PROTOCOL, opening.rung, rooms.root_kind))
    server.run()
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


def _load_what_runs() -> None:
    """Import the rooms of the kernel, and of the network, which may be the first job."""
    from builder.kernel import rootfs, sandbox, usernet  # noqa: F401


class _Rooms:
    """What does the jobs. All is imported at once: after a fork it is there, and after a pivot_root nothing can be."""

    root_kind = RootKind.OVERLAY

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def furnish(self) -> None:
        """Import what is missing, and see how roots can be put together here. Raises StoreError, OSError."""
        from pathlib import Path

        from builder.kernel import rootfs

        root_kind = rootfs.probing(Path(self._directory))
        import isal.igzip_lib
        import isal.isal_zlib  # noqa: F401 - with the line above: else each child that packs or unpacks loads it anew

        from builder import declare
        from builder.tree import commit, copyup, deflate, remove, unpack  # noqa: F401 - the same

        _load_what_runs()
        declare.compile_all()
        self.root_kind = root_kind()

    def perform(self, job: Job, fds: list[int]) -> Result:
        """Do a job, in a process of its own. A network job may come before the rooms are furnished."""
        match job:
            case NetworkJob():
                from builder.kernel import usernet

                return usernet.perform(job)
            case RunJob():
                from builder.kernel import sandbox
                from builder.tree import commit, copyup

                ran = sandbox.perform(job, fds, self.root_kind, copyup)
                # Here and not in a child of its own, because it is the fork that costs.
                return Ran(0, commit.perform(job.commit)) if job.commit and not ran.status else ran
            case UnpackJob():
                from builder.tree import unpack

                return unpack.perform(job)
            case RemoveJob():
                from builder.tree import remove

                return remove.perform(job)


if __name__ == "__main__":
    main()

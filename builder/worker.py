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
from typing import TypeVar

from builder.errors import PybuildError
from builder.kernel import runner
from builder.kernel.channel import Channel, ChannelClosed
from builder.kernel.constants import CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER, MS_PRIVATE, MS_REC
from builder.kernel.jobs import Perform, Server, fault_of
from builder.kernel.syscalls import SyscallError, mount, set_pdeathsig, unshare
from builder.values.crossing import (
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
    Result,
    RootKind,
    Rung,
    RunJob,
    Serve,
    UnpackJob,
    Unshared,
)

T = TypeVar("T")

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
        channel.send(fault_of(0, error))
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


if __name__ == "__main__":
    main()

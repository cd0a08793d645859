"""The conductor's side of door 1: starts the worker, has its id maps written, passes jobs to it and ends it.

Which rung is taken is decided in namespace.py; what happens inside is worker.py's affair.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import TypeVar

from builder.declare import dataclass
from builder.errors import BY_NAME, Interrupted, MachineError, UsageError
from builder.kernel.channel import Channel, ChannelClosed
from builder.kernel.idmap import MapsRefused, write_single, write_with_helpers
from builder.kernel.namespace import Choice, Facts, decide, explain, gather, helper_failure, single
from builder.values.crossing import (
    PROTOCOL,
    Done,
    Exec,
    Fault,
    Hello,
    Job,
    Mapped,
    Refused,
    Request,
    Result,
    RootKind,
    Rung,
    Serve,
    Unshared,
)

T = TypeVar("T")

# The worker sees the very modules that we see, wherever they are: installed, a source tree, a user's site directory.
# With the path given there is nothing left for -m and site to find out, which saves half of its start.
_BOOT = "import sys; sys.path[:] = sys.argv[2:]; from builder.worker import main; main()"

_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
}
"""All that the worker gets: never the caller's variables."""

_FORWARDED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
_SI_KERNEL = 0x80  # siginfo_t: the terminal's doing, not somebody's kill(2)
_END_S = 10.0
_LOG_BYTES = 4000


class WorkerBug(Exception):
    """Something in the worker went wrong in a way that nobody foresaw; the text ends with the worker's traceback."""


@dataclass(frozen=True, slots=True)
class _Started:
    """A worker's process (its porter), our end of the channel, and the file in memory that takes its stray output."""

    process: subprocess.Popen[bytes]
    channel: Channel
    log: int

    def discard(self) -> None:
        self.process.kill()
        self.process.wait()
        self.close()

    def close(self) -> None:
        self.channel.close()
        os.close(self.log)

    def last_words(self) -> str:
        size = os.fstat(self.log).st_size
        return os.pread(self.log, _LOG_BYTES, max(0, size - _LOG_BYTES)).decode(errors="replace").strip()


class Worker:
    """A running worker. `call` may be used by several threads at once; at its end everything that it started ends."""

    def __init__(self, started: _Started, hello: Hello, choice: Choice) -> None:
        self.rung: Rung = hello.rung
        self.root_kind: RootKind = hello.root_kind
        self.ids: str = choice.ids
        """Names the ids that are mapped inside: files made under other ids have other owners on the disk."""
        self.rung_note: str = choice.note
        """Why the rung is not a better one, and the command that changes it, on one line; "" on the best."""
        self._started = started
        self._waiting: dict[int, SimpleQueue[Done | Exception]] = {}
        self._count = 0
        self._sending = threading.Lock()
        self._end: Exception | None = None
        self._stopped = False
        self._over = threading.Event()

    def call(self, job: Job, fds: Sequence[int] = ()) -> Result:
        """Have a job done and wait for its result. Copies of `fds` go with it; they stay the caller's to close.

        Raises the PybuildError that the job ended with; MachineError when the worker is gone, Interrupted when it was
        stopped by us, WorkerBug for what nobody foresaw.
        """
        answer: SimpleQueue[Done | Exception] = SimpleQueue()
        with self._sending:
            if self._end is not None:
                raise self._end
            self._count += 1
            self._waiting[self._count] = answer
            try:
                self._started.channel.send(Request(self._count, job), fds)
            except ChannelClosed:
                pass  # the listening thread has noticed too, and answers with how it ended
            except BaseException:
                del self._waiting[self._count]  # nothing was sent: a bad descriptor, a job too long
                raise
        result = answer.get()
        if isinstance(result, Exception):
            raise result
        return result.result

    def close(self) -> None:
        """End the worker. What is still under way ends with it."""
        self._stop(lambda: None)

    def kill(self) -> None:
        """End the worker and every process of every step, at once; when this returns they are gone."""
        self._stop(self._started.process.terminate)  # the porter answers by killing pid 1

    def _stop(self, act: Callable[[], None]) -> None:
        if self._over.is_set():
            return
        self._stopped = True
        act()
        self._started.channel.shut()
        if not self._over.wait(_END_S):
            self._started.process.kill()
            self._over.wait(_END_S)

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.kill()

    def listen(self) -> None:
        """Hand answers to those who wait, until the worker ends. The thread that started the worker does this."""
        try:
            while True:
                message, _ = self._started.channel.receive()
                match message:
                    case Done(number=number):
                        self._waiting.pop(number).put(message)
                    case Fault(number=number):
                        self._waiting.pop(number).put(error_of(message))
                    case _:
                        raise ValueError(f"a worker does not say {type(message).__name__}")
        except (ChannelClosed, OSError, ValueError, KeyError):
            pass
        self._finish()

    def _finish(self) -> None:
        self._started.channel.shut()
        try:
            self._started.process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._started.process.kill()
            self._started.process.wait()
        with self._sending:
            self._end = Interrupted("the build was stopped") if self._stopped else _end_of(self._started)
            for answer in self._waiting.values():
                answer.put(self._end)
            self._waiting.clear()
            self._started.close()
        self._over.set()


def start_worker(store_root: Path, rung: Rung | None = None) -> Worker:
    """Start a worker on the best rung there is, or on `rung`. `store_root` is absolute; roots are made below it.

    Raises MachineError when this machine has no rung (or not that one), with what mends it.
    """
    if not store_root.is_absolute():
        raise ValueError(f"not an absolute path: {store_root}")

    def start(facts: Facts, choice: Choice) -> Worker:
        outcome: SimpleQueue[Worker | BaseException] = SimpleQueue()
        arguments = (os.fspath(store_root), facts, choice, outcome)
        threading.Thread(target=_live, args=arguments, name="worker", daemon=True).start()
        result = outcome.get()
        if isinstance(result, BaseException):
            raise result
        return result

    return _on_best_rung(rung, start)


def _live(directory: str, facts: Facts, choice: Choice, outcome: SimpleQueue[Worker | BaseException]) -> None:
    """The life of a worker, on a thread of its own.

    The kernel sends PDEATHSIG when the *thread* that forked ends (prctl(2)), so the one that starts the worker has to
    stay as long as it does.
    """
    try:
        started = _spawn_server()
        try:
            hello = _shake_hands(started, Serve(choice.rung, directory), facts, choice)
            if hello is None:
                raise _end_of(started)
        except BaseException:
            started.discard()
            raise
        worker = Worker(started, hello, choice)
    except BaseException as error:
        outcome.put(error)
        return
    outcome.put(worker)
    worker.listen()


def run_in_namespace(argv: Sequence[str], env: Mapping[str, str], notify: Callable[[str], None] | None = None) -> int:
    """Run a command as root of the namespaces, at our terminal; its exit status, 128 + n after signal n.

    Signals sent to us are passed on to it. `notify` is told when it runs on a lower rung. Raises MachineError without
    any rung and UsageError when the command cannot be started. For the main thread.
    """
    if not argv:
        raise UsageError("there is no command to run")

    def start(facts: Facts, choice: Choice) -> int:
        if notify is not None and choice.note:
            notify(choice.note)
        here, there = Channel.pair()
        try:
            process = subprocess.Popen(_command(there), env=_ENVIRONMENT, pass_fds=[there.fileno()])
        finally:
            there.close()
        started = _Started(process, here, os.memfd_create("log"))
        try:
            command = Exec(choice.rung, tuple(argv), tuple(env.items()))
            _shake_hands(started, command, facts, choice)
        except BaseException:
            started.discard()
            raise
        started.close()
        return _wait_forwarding(process)

    # Blocked from before it starts: no signal is lost, and Ctrl-C ends the command, not us.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*_FORWARDED, signal.SIGCHLD})
    try:
        return _on_best_rung(None, start)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _wait_forwarding(process: subprocess.Popen[bytes]) -> int:
    """Pass signals on until the process ends. What the terminal sent has reached it already, as one of its group."""
    while (status := process.poll()) is None:
        info = signal.sigtimedwait({*_FORWARDED, signal.SIGCHLD}, 1.0)
        if info is not None and info.si_signo != signal.SIGCHLD and info.si_code != _SI_KERNEL:
            process.send_signal(info.si_signo)
    return status if status >= 0 else 128 - status


def _on_best_rung(wanted: Rung | None, start: Callable[[Facts, Choice], T]) -> T:
    """Start on the rung that is decided; where the helpers fail against all expectation, on the lower one."""
    facts = gather()
    choice = decide(facts, wanted)
    while True:
        try:
            return start(facts, choice)
        except MapsRefused as refused:
            if choice.rung is Rung.SINGLE:
                raise explain(facts, "the id map", refused.errno) from refused
            why, remedy = helper_failure(facts, str(refused))
            if wanted is Rung.RANGE:
                raise MachineError(why, hint=remedy) from refused
            choice = single(facts, f"{why}; for a full range: {remedy}")


def _spawn_server() -> _Started:
    here, there = Channel.pair()
    log = os.memfd_create("worker log")
    try:
        process = subprocess.Popen(
            _command(there),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=_ENVIRONMENT,
            cwd="/",
            pass_fds=[there.fileno()],
            start_new_session=True,  # Ctrl-C at the terminal reaches only the conductor, which then ends the worker
        )
    except OSError as error:
        here.close()
        os.close(log)
        raise MachineError(f"the worker cannot be started: {error}", hint="see `ulimit -u`") from error
    finally:
        there.close()
    return _Started(process, here, log)


def _command(end: Channel) -> list[str]:
    home = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    places = [place for place in sys.path if os.path.isabs(place)]
    if home not in places:
        places.insert(0, home)  # we came from the current directory; another version may be installed
    return [sys.executable, "-I", "-S", "-X", "utf8", "-c", _BOOT, str(end.fileno()), *places]


def _shake_hands(started: _Started, opening: Serve | Exec, facts: Facts, choice: Choice) -> Hello | None:
    """See the worker into its namespaces: its Hello, or None when the channel closed without (a command was exec'd).

    Raises MapsRefused, or the MachineError that explains what the kernel refused.
    """
    channel = started.channel
    try:
        channel.send(opening)
        while True:
            message, _ = channel.receive()
            match message:
                case Unshared():
                    _write_maps(started.process.pid, facts, choice)
                    channel.send(Mapped())
                case Refused(call, number):
                    raise explain(facts, call, number)
                case Fault():
                    raise error_of(message)
                case Hello(protocol) if protocol == PROTOCOL:
                    return message
                case _:
                    raise WorkerBug(f"the worker said {message}")
    except ChannelClosed:
        return None


def _write_maps(pid: int, facts: Facts, choice: Choice) -> None:
    if choice.rung is Rung.SINGLE:
        write_single(pid, facts.uid, facts.gid)
    else:
        write_with_helpers(pid, facts.newuidmap.path, choice.uid_maps, facts.newgidmap.path, choice.gid_maps)


def _end_of(started: _Started) -> Exception:
    """How a worker ended that nobody stopped."""
    status = started.process.wait()
    words = started.last_words()
    if "Traceback (most recent call last)" in words:
        return WorkerBug(f"the worker ended\n{words}")
    if status in (-signal.SIGKILL, 128 + signal.SIGKILL):
        return MachineError("the worker was killed, perhaps for want of memory", hint="see `dmesg`")
    how = f"status {status}" if status >= 0 else f"by {signal.Signals(-status).name}"
    return MachineError(f"the worker ended unexpectedly ({how})", hint=words or None)


def error_of(fault: Fault) -> Exception:
    """The exception that a fault stands for: a PybuildError, or WorkerBug with the worker's traceback."""
    kind = BY_NAME.get(fault.kind)
    if kind is None:
        return WorkerBug(f"{fault.message}\n{fault.traceback}".strip())
    return kind(fault.message, hint=fault.hint or None)

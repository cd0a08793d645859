"""The front door: argument vector and environment in, exit code out.

The only module that reads `os.environ`, `sys.argv` and the current directory, and (beside the worker) the only one that
turns exceptions into text and exit codes.

It stays light: click, the pipeline and the reports are imported when they are needed, because start-up time is a
feature.
"""

from __future__ import annotations

import errno
import gc
import os
import select
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from builder import VERSION
from builder.commands.caller import Caller
from builder.errors import ContextError, Interrupted, PybuildError, StoreError

BUG = 70
"""The exit code for what only a fault of ours explains (EX_SOFTWARE of sysexits.h)."""

_YOUNG_OBJECTS = 50_000
"""So many more objects make Python look for cycles. Loading modules makes 30,000, none of which is in vain, and looking
50 times was a twentieth of a build in which nothing changed. What may lie about unseen is some 10 MB.
"""
_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class _Stopped(KeyboardInterrupt):
    """A signal asked us to stop. No `Exception`, so that no code on the way can take it for a failure of its own."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def main() -> NoReturn:
    """Run the command line of this process and exit."""
    gc.set_threshold(_YOUNG_OBJECTS)
    _stop_on_signals()
    # Who takes rights from everybody means others: a store whose owner may not read it is of no use.
    os.umask(os.umask(0o077) & 0o077)
    try:
        _fill_standard_descriptors()
        caller = _caller()
        _leave(run(sys.argv[1:], caller), caller)
    except KeyboardInterrupt as stop:  # while the end of something else was being told
        os._exit(128 + _number(stop))


def run(words: Sequence[str], caller: Caller) -> int:
    """Carry out a command line; every failure ends as text on standard error and an exit code."""
    try:
        return _carry_out(words, caller)
    except KeyboardInterrupt as stop:
        number = _number(stop)
        return _fail(Interrupted(f"stopped by {signal.Signals(number).name}", signal_number=number), caller)
    except PybuildError as error:
        return _fail(error, caller)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _reader_is_gone(caller):
            return 128 + signal.SIGPIPE
        known = _output_error(error)
        return _fail(known, caller) if known else _bug(error, caller)
    except Exception as error:
        return _bug(error, caller)


def _carry_out(words: Sequence[str], caller: Caller) -> int:
    if list(words) == ["--version"]:
        caller.say([f"pybuild {VERSION}"])
        return 0
    from builder.commands.plainline import read_command, read_plain

    options = read_plain(words, caller.directory)
    if options is not None:
        from builder.commands.build import build

        return build(options, caller)
    plain = read_command(words)
    if plain is not None:
        from builder.commands.table import carry_out

        return carry_out(*plain, caller)
    from builder.commands.app import run as run_command

    return run_command(words, caller)


def _caller() -> Caller:
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # TextIOWrapper
    home = os.path.expanduser("~")
    try:
        directory = Path.cwd()
    except OSError as error:
        sys.stderr.write(f"pybuild: the current directory cannot be used: {error.strerror}\n")
        os._exit(ContextError.exit_code)
    return Caller(
        environment=dict(os.environ),
        directory=directory,
        home=Path(home) if home.startswith("/") else None,
        stdin=sys.stdin.buffer,
        stdout=sys.stdout,
        stderr=sys.stderr,
    )


def _fill_standard_descriptors() -> None:
    """Open /dev/null where 0, 1 or 2 is closed: a file of the store must never become somebody's standard output."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open("/dev/null", os.O_RDWR)  # takes the lowest free number
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", encoding="utf-8"))  # noqa: SIM115 - lives on


def _stop_on_signals() -> None:
    """Turn the signals that ask us to stop into an exception in the main thread, so that workers are killed and nothing
    is left half-written. Signals that were ignored when we started (nohup, background jobs) stay ignored.
    """
    for number in _STOPS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def _stop(number: int, _: FrameType | None) -> NoReturn:
    for other in _STOPS:
        signal.signal(other, _stop_at_once)
    raise _Stopped(number)


def _stop_at_once(number: int, _: FrameType | None) -> NoReturn:
    """The second time people mean it: the worker and its steps end with us."""
    os._exit(128 + number)


def _number(stop: KeyboardInterrupt) -> int:
    """The signal behind an interruption; Python's own has none and is SIGINT's."""
    return stop.number if isinstance(stop, _Stopped) else signal.SIGINT


def _reader_is_gone(caller: Caller) -> bool:
    """Whether standard output is a pipe that nobody reads any more: they have read enough (`pybuild images | head -1`).

    Asked of the kernel, because a broken pipe may also be some other one, to a worker say, and that is no reason to
    be quiet.
    """
    try:
        poll = select.poll()
        poll.register(caller.stdout.fileno(), select.POLLOUT)
        return any(happened & select.POLLERR for _, happened in poll.poll(0))
    except (OSError, ValueError):
        return False


def _fail(error: PybuildError, caller: Caller) -> int:
    from builder.report.errors import exit_code_of, render

    apart = "\n" if error.span is not None else ""  # an excerpt stands apart from the steps above it
    caller.remark(apart + render(error, caller.color))
    return exit_code_of(error)


def _output_error(error: OSError) -> PybuildError | None:
    """What happens to outputs without being anybody's fault, in plain words; None for anything else."""
    where = f": {os.fsdecode(error.filename)}" if isinstance(error.filename, str | bytes) else ""
    if error.errno in _NO_ROOM:
        return StoreError(f"no space left on the device{where}", hint="make room there, or use another place (--root)")
    if error.errno == errno.EROFS:
        return StoreError(f"the file system is read-only{where}", hint="use another place (--root)")
    return None


def _bug(error: BaseException, caller: Caller) -> int:
    """Anything that is not a PybuildError is a fault of ours: say so, where, and how to report it."""
    import traceback

    from builder.report.text import printable

    if caller.variable("PYBUILD_DEBUG") == "1":
        lines = "".join(traceback.format_exception(error)).rstrip().split("\n")
        caller.remark("\n".join(map(printable, lines)))
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name})" if frames else ""
    what = f"{type(error).__name__}: {error}".split("\n")[0].removesuffix(": ")
    caller.remark(
        f"pybuild: internal error (this is a bug): {printable(what)}{printable(place)}\n"
        "  hint: run it again with PYBUILD_DEBUG=1 and report the traceback with the Buildfile"
    )
    return BUG


def _leave(status: int, caller: Caller) -> NoReturn:
    """Exit with `status`; results that cannot be written are an error of their own.

    Not by sys.exit, which would wait for threads: those of a build that was stopped may hang on the network.
    """
    try:
        caller.stdout.flush()
    except OSError as error:
        if status == 0:
            status = 128 + signal.SIGPIPE if isinstance(error, BrokenPipeError) else StoreError.exit_code
            if status == StoreError.exit_code:
                caller.remark(f"pybuild: cannot write to standard output: {error.strerror}")
    os._exit(status)

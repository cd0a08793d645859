"""The front door: argument vector and environment in, exit code out.

The only module that reads `os.environ`, `sys.argv` and the current directory, and (beside the worker) the only one that
turns exceptions into text and exit codes.

It stays light: click, the pipeline and the reports are imported when they are needed, because start-up time is a
feature.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from builder.commands.caller import Caller
from builder.errors import Interrupted, PybuildError, StoreError

BUG = 70
"""The exit code for what only a fault of ours explains (EX_SOFTWARE of sysexits.h)."""

_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class _Stopped(KeyboardInterrupt):
    """A signal asked us to stop. No `Exception`, so that no code on the way can take it for a failure of its own."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def main() -> NoReturn:
    """Run the command line of this process and exit."""
    _fill_standard_descriptors()
    status = run(sys.argv[1:], _caller())
    # Threads of a build that was stopped may still wait for the network; they must not keep the process.
    _flush_and_leave(status)


def run(words: Sequence[str], caller: Caller) -> int:
    """Carry out a command line; every failure ends as text on standard error and an exit code."""
    _stop_on_signals()
    try:
        from builder.commands.app import run as run_command

        return run_command(words, caller)
    except KeyboardInterrupt as stop:
        return _fail(Interrupted(signal_number=getattr(stop, "number", signal.SIGINT)), caller)
    except BrokenPipeError:
        return 128 + signal.SIGPIPE  # who closed our standard output has read enough (`pybuild images | head -1`)
    except PybuildError as error:
        return _fail(error, caller)
    except OSError as error:
        known = _output_error(error)
        return _fail(known, caller) if known else _bug(error, caller)
    except Exception as error:
        return _bug(error, caller)


def _caller() -> Caller:
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a TextIOWrapper from the start
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    home = os.path.expanduser("~")
    return Caller(
        environment=dict(os.environ),
        directory=Path.cwd(),
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


def _fail(error: PybuildError, caller: Caller) -> int:
    from builder.report.errors import exit_code_of, render

    caller.remark(render(error, caller.color))
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


def _flush_and_leave(status: int) -> NoReturn:
    """Exit with `status`, without waiting for threads; output that cannot be written is an error of its own."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        status = status or 128 + signal.SIGPIPE
    except OSError as error:
        status = status or StoreError.exit_code
        sys.stderr.write(f"pybuild: cannot write to standard output: {error.strerror}\n")
    try:
        sys.stderr.flush()
    except OSError:
        pass
    os._exit(status)

"""`pybuild unshare`: a command, or a shell, as root of the user namespace that builds use."""

from __future__ import annotations

import signal

from builder.commands.caller import Caller
from builder.kernel.worker_handle import run_in_namespace


def unshare(command: tuple[str, ...], caller: Caller) -> int:
    """Run the command, or the shell of SHELL, and return its exit code. Raises MachineError."""
    argv = list(command) or [caller.variable("SHELL") or "/bin/sh"]
    # Ctrl-C and Ctrl-\ are for the command: the terminal sends them to us as well. A handler that does nothing, and
    # not SIG_IGN, because ignored signals stay ignored across exec and the command could not be stopped.
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGQUIT)}
    try:
        return run_in_namespace(argv, dict(caller.environment))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

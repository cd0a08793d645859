"""`pybuild unshare`: a command, or a shell, as root of the user namespace that builds use."""

from __future__ import annotations

from builder.commands.caller import Caller
from builder.commands.line import Line
from builder.kernel.run_in_namespace import run_in_namespace
from builder.report.phrases import note


def run(line: Line, caller: Caller) -> int:
    """Run the command, or the shell of SHELL, and return its exit code. Raises MachineError or UsageError."""
    argv = line.texts("command") or (caller.variable("SHELL") or "/bin/sh",)
    return run_in_namespace(argv, caller.environment, lambda text: caller.remark(note(text)))

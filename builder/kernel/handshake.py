"""Sees a process that was just started into its namespaces: the rung, the id maps, and what went wrong.

Which rung is taken is decided in namespace.py.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import TypeVar

from builder.errors import BY_NAME, MachineError
from builder.kernel.channel import ChannelClosed
from builder.kernel.idmap import MapsRefused, write_single, write_with_helpers
from builder.kernel.namespace import Choice, Facts, decide, explain, gather, helper_failure, single
from builder.kernel.spawn import Started
from builder.values.crossing import PROTOCOL, Exec, Fault, Hello, Mapped, Refused, Rung, Serve, Unshared

T = TypeVar("T")


class WorkerBug(Exception):
    """Something in the worker went wrong in a way that nobody foresaw; the text ends with the worker's traceback."""


def on_best_rung(wanted: Rung | None, start: Callable[[Facts, Choice], T]) -> T:
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


def shake_hands(started: Started, opening: Serve | Exec, facts: Facts, choice: Choice) -> Hello | None:
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


def end_of(started: Started) -> Exception:
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

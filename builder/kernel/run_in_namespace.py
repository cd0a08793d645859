"""Runs a command of the caller's as root of the namespaces, at the caller's terminal: `pybuild unshare`."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence

from builder.errors import UsageError
from builder.kernel.channel import Channel
from builder.kernel.handshake import on_best_rung, shake_hands
from builder.kernel.namespace import Choice, Facts
from builder.kernel.spawn import ENVIRONMENT, Started, command
from builder.values.crossing import Exec

_FORWARDED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
_SI_KERNEL = 0x80  # siginfo_t: the terminal's doing, not somebody's kill(2)


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
            process = subprocess.Popen(command(there.fileno()), env=ENVIRONMENT, pass_fds=[there.fileno()])
        finally:
            there.close()
        started = Started(process, here, os.memfd_create("log"))
        try:
            shake_hands(started, Exec(choice.rung, tuple(argv), tuple(env.items())), facts, choice)
        except BaseException:
            started.discard()
            raise
        started.close()
        return _wait_forwarding(process)

    # Blocked from before it starts: no signal is lost, and Ctrl-C ends the command, not us.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*_FORWARDED, signal.SIGCHLD})
    try:
        return on_best_rung(None, start)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _wait_forwarding(process: subprocess.Popen[bytes]) -> int:
    """Pass signals on until the process ends. What the terminal sent has reached it already, as one of its group."""
    while (status := process.poll()) is None:
        info = signal.sigtimedwait({*_FORWARDED, signal.SIGCHLD}, 1.0)
        if info is not None and info.si_signo != signal.SIGCHLD and info.si_code != _SI_KERNEL:
            process.send_signal(info.si_signo)
    return status if status >= 0 else 128 - status

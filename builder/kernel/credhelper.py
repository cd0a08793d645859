"""Programs that keep logins (`docker-credential-NAME`), run as the caller: a verb, one message in, one message out.

A helper belongs to the user as a shell alias does: it gets the user's environment and terminal (it may ask for a
passphrase there). What it says is bounded in time and size. What the messages mean is not known here.
Source: docker-credential-helpers, its README's "Development".
"""

from __future__ import annotations

import os
import re
import selectors
import shutil
import subprocess
import time
from collections.abc import Mapping

from builder.declare import dataclass
from builder.errors import MachineError

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\Z")
_LONGEST_S = 60.0
_LIMIT_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class HelperAnswer:
    """How a helper ended (0 is well), and what it wrote; it may be a secret, so it is not shown."""

    status: int
    output: bytes

    def __repr__(self) -> str:
        return f"HelperAnswer({self.status}, ...)"


def ask_helper(
    name: str, verb: str, message: bytes, environment: Mapping[str, str], longest_s: float = _LONGEST_S
) -> HelperAnswer:
    """Run `docker-credential-NAME VERB`. Raises MachineError: no such program, a name that is none, or too slow."""
    program = f"docker-credential-{name}"
    if not _NAME.match(name):
        raise MachineError(f"{name[:100]!r} is not the name of a login helper", hint="NAME of docker-credential-NAME")
    path = shutil.which(program, path=environment.get("PATH", ""))
    if path is None:
        raise MachineError(
            f"the login helper {program} is not in PATH", hint="install it, or use another file of logins"
        )
    try:
        process = subprocess.Popen(
            [path, verb],
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError as error:
        raise MachineError(f"the login helper {path} cannot be run: {error.strerror}") from error
    with process:
        try:
            return _talk(process, program, message, time.monotonic() + longest_s)
        finally:
            process.kill()  # does nothing to one that has ended


def _talk(process: subprocess.Popen[bytes], program: str, message: bytes, deadline: float) -> HelperAnswer:
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(message)  # far smaller than a pipe holds
        process.stdin.close()
    except BrokenPipeError:
        pass  # one that does not want to know
    output = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while len(output) <= _LIMIT_BYTES:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise _too_slow(program)
            piece = os.read(process.stdout.fileno(), _LIMIT_BYTES)
            if not piece:
                break
            output += piece
        else:
            raise MachineError(f"the login helper {program} says more than {_LIMIT_BYTES >> 10} KiB, which is refused")
    try:
        return HelperAnswer(process.wait(max(0.1, deadline - time.monotonic())), output)
    except subprocess.TimeoutExpired:
        raise _too_slow(program) from None


def _too_slow(program: str) -> MachineError:
    return MachineError(
        f"the login helper {program} does not answer", hint="does it wait for a passphrase? try it by hand"
    )

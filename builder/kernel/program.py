"""Finding and executing the step's program, as execvp(3) does with the step's own PATH, once everything is in place.

Runs as the step's user inside the step's root; what cannot be run is said on the step's output, with the shell's
statuses 127 (not found) and 126 (found, but it cannot be executed). Nothing here is imported late.
Sources: execve(2), execvp(3); POSIX, Shell Command Language 2.8.2 (exit status).
"""

from __future__ import annotations

import errno
import os

from builder.declare import dataclass

NOT_FOUND = 127
NOT_EXECUTABLE = 126

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_SHELLS = frozenset({"sh", "bash", "ash", "dash"})
_ABSENT = (errno.ENOENT, errno.ENOTDIR)


@dataclass(frozen=True, slots=True)
class Program:
    """What is to be executed, encoded beforehand: after the limits are set there may be little memory."""

    name: str
    candidates: tuple[bytes, ...]
    argv: tuple[bytes, ...]
    env: dict[bytes, bytes]
    path: str


def program_of(argv: tuple[str, ...], env: tuple[tuple[str, str], ...]) -> Program:
    """The program of a command. A name with a slash is a path; others are looked for in the PATH of `env`."""
    variables = dict(env)
    path = variables.get("PATH", DEFAULT_PATH)
    name = argv[0] if argv else ""
    # An empty entry of PATH is the current directory (execvp(3)).
    places = [name] if "/" in name else [os.path.join(entry, name) for entry in path.split(":")] if name else []
    encoded = {os.fsencode(key): os.fsencode(value) for key, value in variables.items()}
    return Program(name, tuple(map(os.fsencode, places)), tuple(map(os.fsencode, argv)), encoded, path)


def execute(program: Program) -> tuple[int, str]:
    """Become the program. Returns only if that fails: the status to end with, and why in plain words."""
    failure, at = errno.ENOENT, b""
    for candidate in program.candidates:
        try:
            os.execve(candidate, program.argv, program.env)
        except OSError as error:
            number = error.errno or errno.EIO
            if number in _ABSENT and not os.path.lexists(candidate):
                continue
            failure, at = number, candidate
            if number not in (errno.EACCES, *_ABSENT):
                break  # as execvp(3): anything else ends the search
    return _explain(program, failure, os.fsdecode(at))


def _explain(program: Program, number: int, at: str) -> tuple[int, str]:
    reason = os.strerror(number)
    if not at:
        return NOT_FOUND, _missing(program)
    if number in _ABSENT:
        return (
            NOT_FOUND,
            f'cannot run "{at}": it is there, but the interpreter or loader that it names is not in the image',
        )
    if number == errno.EACCES and os.path.isdir(at):
        reason = "it is a directory"
    elif number == errno.EACCES:
        reason = "permission denied; is it executable for this user?"
    elif number == errno.ENOEXEC:
        reason = "its format is unknown; is it for another architecture, or a script that does not begin with #!?"
    return NOT_EXECUTABLE, f'cannot run "{at}": {reason}'


def _missing(program: Program) -> str:
    if not program.name:
        return "there is no command to run"
    where = "the image has no such file" if "/" in program.name else f"it is not in the image's PATH ({program.path})"
    words = f'cannot run "{program.name}": {where}'
    if os.path.basename(program.name) in _SHELLS:
        words += '; without a shell, write RUN ["program", "argument"], or start from a base that has one'
    return words

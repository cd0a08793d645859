"""What the process was started with, read once by `cli` and handed down as a value. Nothing is read here."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO, TextIO

from builder.declare import dataclass
from builder.errors import UsageError


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever called us: the environment, the current directory, the home directory (None where there is none) and the
    three standard streams.
    """

    environment: Mapping[str, str]
    directory: Path
    home: Path | None
    stdin: BinaryIO
    stdout: TextIO
    stderr: TextIO

    def variable(self, name: str) -> str | None:
        """A variable of the environment; set but empty counts as not set, as the XDG specification has it."""
        return self.environment.get(name) or None

    def say(self, lines: Iterable[str]) -> None:
        """Write results to standard output, at once. Raises OSError when they cannot be written."""
        self.stdout.write("".join(f"{line}\n" for line in lines))
        self.stdout.flush()

    def remark(self, text: str) -> None:
        """Write to standard error, at once; who closed it does not want to know."""
        try:
            self.stderr.write(f"{text}\n")
            self.stderr.flush()
        except (OSError, ValueError):
            pass

    @property
    def color(self) -> bool:
        """Whether what goes to standard error may be coloured (https://no-color.org)."""
        return self.live and self.variable("NO_COLOR") is None

    @property
    def columns(self) -> int | None:
        """The width of the terminal that standard output is, or None: what goes to a file or a pipe is never cut."""
        if not self.stdout.isatty():
            return None
        try:
            return os.get_terminal_size(self.stdout.fileno()).columns or None
        except (OSError, ValueError):
            return None

    @property
    def live(self) -> bool:
        """Whether standard error is a terminal that can move its cursor."""
        return self.stderr.isatty() and self.variable("TERM") not in (None, "dumb")


def store_root(option: str | None, caller: Caller) -> Path:
    """Where the store is, as an absolute path: --root, else PYBUILD_ROOT, else the configuration file's store.path,
    else below the user's data directory.

    Source: XDG base directory specification (XDG_DATA_HOME counts only when it is absolute). Raises UsageError.
    """
    if option is not None:
        if not option:
            raise UsageError("--root: the directory is empty", hint="--root DIR, or leave the option out")
        return caller.directory / option
    from builder.commands.settings import settings_of

    return settings_of(caller).root.value or default_root(caller)


def default_root(caller: Caller) -> Path:
    """Where the store is when nobody has said so. Raises UsageError for a user without a home directory."""
    data = caller.variable("XDG_DATA_HOME")
    if data and data.startswith("/"):
        return Path(data) / "pybuild"
    if caller.home is None:
        raise UsageError(
            "nowhere to keep the store: this user has no home directory",
            hint="name a directory with --root DIR, in PYBUILD_ROOT, or as store.path in the configuration file",
        )
    return caller.home / ".local" / "share" / "pybuild"


def read_format(text: str | None) -> bool:
    """`--format table|json`: whether it is json. Raises UsageError."""
    if text is not None and "{{" in text:
        hint = "use --format json, and jq to choose from it: | jq -r .digest"
        raise UsageError("--format: Go templates are not supported", hint=hint)
    if text not in (None, "table", "json"):
        raise UsageError(f"--format: {text!r} is not supported", hint="it is written --format table or --format json")
    return text == "json"

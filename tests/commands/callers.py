"""Callers for tests: an environment, a directory and streams that remember."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from builder.commands.caller import Caller

NO_VARIABLES: Mapping[str, str] = {}


def caller(
    directory: Path = Path("/"),
    environment: Mapping[str, str] = NO_VARIABLES,
    stdin: bytes = b"",
    home: Path | None = None,
) -> Caller:
    """Somebody at no terminal, with nothing but what is given."""
    return Caller(environment, directory, home, io.BytesIO(stdin), io.StringIO(), io.StringIO())


def said(who: Caller) -> str:
    """What went to standard output."""
    assert isinstance(who.stdout, io.StringIO)
    return who.stdout.getvalue()


def remarked(who: Caller) -> str:
    """What went to standard error."""
    assert isinstance(who.stderr, io.StringIO)
    return who.stderr.getvalue()

"""A small image built for real, without RUN and so without a namespace."""

from __future__ import annotations

from pathlib import Path

from builder.commands.build import build
from builder.commands.options import BuildOptions
from tests.commands.callers import caller

BUILDFILE = 'FROM scratch\nCOPY hello /hello\nENV A=b\nCOPY hello /again\nCMD ["/hello"]\n'


def make_context(directory: Path, buildfile: str = BUILDFILE) -> Path:
    """A context with a file and a Buildfile."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "hello").write_text("hello\n")
    (directory / "Buildfile").write_text(buildfile)
    return directory


def build_into(root: Path, context: Path, *tags: str) -> str:
    """Build the context into the store at `root`; the image's digest."""
    who = caller(context)
    assert build(BuildOptions(context=str(make_context(context)), tag=tags, root=str(root), quiet=True), who) == 0
    digest: str = who.stdout.getvalue().strip()  # type: ignore[attr-defined]  # a StringIO
    return digest

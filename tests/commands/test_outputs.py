"""The outputs of a whole command line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.commands.options import BuildOptions
from builder.commands.outputs import outputs_of, pushed_to, require_levels
from builder.errors import UsageError
from builder.values.compression import Compression
from builder.values.output import (
    ImageOptions,
    ImageOutput,
    LocalOutput,
    OciOutput,
    Output,
    PushOutput,
    Stream,
    TarOutput,
)
from builder.values.reference import Reference
from tests.commands.callers import caller
from tests.report import terminal

A = Reference.parse("localhost/a:1")


def outputs(
    *words: str, push: bool = False, load: bool = False, tag: tuple[str, ...] = ("localhost/a:1",)
) -> tuple[Output, ...]:
    """What these words ask for."""
    return outputs_of(BuildOptions(output=words, push=push, load=load, tag=tag), caller())


def test_the_order_is_that_of_the_line() -> None:
    """Outputs are written as they are named; one that asks for nothing is none."""
    asked = outputs("type=oci,dest=b", "type=cacheonly", "a")
    assert asked == (OciOutput(Path("b")), LocalOutput(Path("a")))


def test_push() -> None:
    """`--push` pushes what is an image already, else the image by the names of -t; `--load` is what happens anyway."""
    assert outputs(push=True) == (PushOutput(),)
    assert outputs("out", push=True) == (LocalOutput(Path("out")), PushOutput())
    options = ImageOptions(Compression.ZSTD)
    assert outputs("type=image,name=localhost/a:1,compression=zstd", push=True) == (PushOutput((A,), options),)
    assert outputs("type=registry,name=localhost/a:1", push=True) == (PushOutput((A,)),)
    assert outputs(load=True) == () and outputs("type=docker") == (ImageOutput(),)


def test_a_push_needs_a_name() -> None:
    """Without a name there is nowhere to push to, and that is said before the build."""
    for words, push in (((), True), (("type=registry",), False)):
        with pytest.raises(UsageError, match="no name to push"):
            outputs(*words, push=push, tag=())


def test_a_push_needs_a_registry() -> None:
    """A name such as app:1 is the store's alone: one with a registry has to be there too, and only that is pushed."""
    for words in (("type=registry,name=b:1",), ("type=image,push=true",)):
        with pytest.raises(UsageError, match=":1 names no registry") as caught:
            outputs(*words, tag=("a:1",))
        assert "-t REGISTRY/" in (caught.value.hint or "")
    asked = outputs(push=True, tag=("a:1", "localhost/a:1"))
    assert pushed_to(asked, ("a:1", "localhost/a:1")) == ("localhost/a:1",)


def test_standard_output_is_the_callers(tmp_path: Path) -> None:
    """`-` is the descriptor that the caller gave."""
    base = caller()
    with open(tmp_path / "stdout", "w") as stream:
        who = type(base)(base.environment, base.directory, base.home, base.stdin, stream, base.stderr)
        assert outputs_of(BuildOptions(output=("-",)), who) == (TarOutput(Stream(stream.fileno())),)


def test_no_tar_goes_to_a_terminal() -> None:
    """A terminal is no place for a tar of any kind."""
    base = caller()
    with terminal.opened() as (_, theirs), os.fdopen(os.dup(theirs), "w") as stream:
        who = type(base)(base.environment, base.directory, base.home, base.stdin, stream, base.stderr)
        for word in ("-", "type=tar", "type=docker,dest=-", "type=oci,dest=-"):
            with pytest.raises(UsageError, match="is a terminal"):
                outputs_of(BuildOptions(output=(word,)), who)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-", "type=oci,dest=-"), "share standard output"),
        (("type=oci,dest=x", "x"), "two outputs go to x"),
        (("type=oci,dest=x.tar", "type=docker,dest=./x.tar"), "two outputs go to x.tar"),
    ],
)
def test_each_output_has_its_own_place(words: tuple[str, ...], message: str) -> None:
    """Two outputs in one place would be one."""
    with pytest.raises(UsageError, match=message):
        outputs(*words)


def test_places_that_are_something_else(tmp_path: Path) -> None:
    """A directory where a file is to be, and the other way round, are found before the build."""
    (tmp_path / "file").touch()
    for word in ("type=tar,dest=", "type=docker,dest=", "type=oci,tar=true,dest="):
        with pytest.raises(UsageError, match="is a directory"):
            outputs(f"{word}{tmp_path}")
    for word in (str(tmp_path / "file"), f"type=oci,dest={tmp_path / 'file'}"):
        with pytest.raises(UsageError, match="is not a directory"):
            outputs(word)
    assert outputs("type=tar,dest=/dev/null") == (TarOutput(Path("/dev/null")),)


def test_levels_of_the_compression_in_force() -> None:
    """A level without a compression of its own is one of the build's."""
    asked = outputs("type=oci,dest=x,compression-level=19", "out")
    require_levels(asked, Compression.ZSTD)
    with pytest.raises(UsageError, match="19 is not a level of gzip"):
        require_levels(asked, Compression.GZIP)


def test_names_that_something_is_pushed_to() -> None:
    """Those of -t and of the outputs that are pushed, none where nothing is: --creds is for their registries."""
    asked = outputs("type=registry,name=localhost:5000/b", "type=oci,dest=x,name=c:2")
    assert pushed_to(asked, ("me/a:1",)) == ("docker.io/me/a:1", "localhost:5000/b:latest")
    assert pushed_to(outputs("type=oci,dest=x"), ("a:1",)) == ()

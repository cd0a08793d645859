"""Images looked at without being unpacked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.errors import ImageError
from builder.stages.borrow import Borrowed
from builder.stages.look import Look
from builder.values.entry import Kind
from builder.values.event import Event
from tests.stages.builds import row
from tests.stages.looked import ABOVE, ODD, outside


@pytest.fixture
def look(tmp_path: Path) -> Iterator[Look]:
    """An image of two layers, not yet looked at."""
    found, _ = outside(tmp_path / "layout")
    with Borrowed(None, _nobody) as borrowed:
        borrowed.learn(found)
        yield Look("app", found.image, borrowed)


def _nobody(_: Event) -> None:
    """Nobody wants to know."""


def _content(look: Look, path: bytes) -> bytes:
    return b"".join(look.content(look.find(path)))


def test_files_through_links(look: Look) -> None:
    """Links lead inside of the image; a hard link is the file that it names."""
    for path in (b"bin/tool", b"/bin/../bin/tool", b"usr/bin/same", b"../../bin/same"):
        assert _content(look, path) == b"tool\n"
    assert look.find(b"bin", follow_last=False).entry.kind is Kind.SYMLINK


def test_upper_layers_win(look: Look) -> None:
    """What an upper layer replaces, removes or hides is not seen."""
    assert _content(look, b"etc/os-release") == b"NAME=new\n"
    for path in (b"etc/group", b"opt/old", b"opt/older/file"):
        with pytest.raises(ImageError, match="there is no /"):
            look.find(path)


def test_only_layers_that_are_needed(tmp_path: Path) -> None:
    """A file of the upper layer is had without fetching the lower one."""
    found, source = outside(tmp_path / "layout")
    with Borrowed(None, _nobody) as borrowed:
        borrowed.learn(found)
        look = Look("app", found.image, borrowed)
        assert _content(look, b"etc/os-release") == b"NAME=new\n"
        assert source.fetched == [found.image.layers[1].descriptor.digest]
        assert _content(look, b"bin/tool") == b"tool\n"
        assert len(source.fetched) == 2


def test_layers_that_only_make_sense_together(tmp_path: Path) -> None:
    """A layer with entries beside its own directories is merged with those below before it is asked."""
    below = [row("usr"), {"path": "lib", "type": "symlink", "to": "usr"}]
    found, _ = outside(tmp_path / "layout", [below, [row("lib/x", "x")]])
    with Borrowed(None, _nobody) as borrowed:
        borrowed.learn(found)
        assert Look("app", found.image, borrowed).find(b"usr/x").entry.path == b"usr/x"


@pytest.mark.parametrize(
    ("path", "message", "hint"),
    [
        (b"etc/os-relase", "there is no /etc/os-relase in app", "did you mean /etc/os-release?"),
        (b"bin/none/x", "there is no /bin/none/x in app", "`pybuild ls app:/bin` shows what there is"),
        (b"broken", "there is no /broken in app: /broken is a link to no/where, where nothing is", None),
        (b"broken/x", "there is no /broken/x in app: /broken is a link to no/where, where nothing is", None),
        (b"etc/passwd/x", "there is no /etc/passwd/x in app: /etc/passwd is no directory", None),
        (b"loop/x", "app: too many symbolic links on the way to loop/x", "do they form a loop?"),
    ],
)
def test_what_is_not_there(look: Look, path: bytes, message: str, hint: str | None) -> None:
    """The message says how far the way leads, the hint what there is instead."""
    with pytest.raises(ImageError) as caught:
        look.find(path)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_names_of_strangers_in_messages(look: Look) -> None:
    """No escape sequence of a name gets into a message."""
    with pytest.raises(ImageError) as caught:
        look.find(b"\x1b[31mred\n")
    assert "\x1b" not in caught.value.message and "\n" not in caught.value.message


def test_looking_without_an_error(look: Look) -> None:
    """Who only asks whether something is there gets None for what is missing, broken or a loop."""
    assert look.lead(b"loop") is None and look.lead(b"none") is None
    assert look.small(b"none", 10) == look.small(b"etc", 10) == look.small(b"loop", 10) == b""
    assert look.small(b"etc/passwd", 6) == b"root:x"


def test_the_root_is_the_layers(tmp_path: Path) -> None:
    """The root has the attributes that the layers give it."""
    found, _ = outside(tmp_path / "layout", [[row(".", mode="0700"), *ODD], ABOVE])
    with Borrowed(None, _nobody) as borrowed:
        borrowed.learn(found)
        assert Look("app", found.image, borrowed).find(b"").entry.mode == 0o700

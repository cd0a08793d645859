"""Single paths of a stack, from the top."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from builder.errors import ContextError, ImageError
from builder.tree.topdown import TopDown, Unclear
from builder.tree.view import Located, View, find
from builder.values.entry import Entry, Kind

_PATHS = st.lists(st.sampled_from([b"a", b"b", b"c"]), min_size=1, max_size=3).map(b"/".join)
_KINDS = st.sampled_from([Kind.DIR, Kind.DIR, Kind.FILE, Kind.SYMLINK, Kind.WHITEOUT, Kind.OPAQUE, Kind.HARDLINK])
_ROWS = st.builds(lambda path, kind, link: Entry(path, kind, link=link), _PATHS, _KINDS, _PATHS)
_LAYERS = st.lists(st.lists(_ROWS, max_size=5), max_size=4)
_ASKED = st.lists(st.sampled_from([b"a", b"b", b"c", b".."]), min_size=1, max_size=4).map(b"/".join)


def _with_parents(layer: list[Entry]) -> list[Entry]:
    """The layer as builders write it: with all directories above what is in it, as far as nothing else is there."""
    rows: dict[tuple[bytes, bool, bool], Entry] = {}
    for entry in layer:
        parts = entry.path.split(b"/")
        for length in range(1, len(parts) + (entry.kind is Kind.OPAQUE)):
            parent = b"/".join(parts[:length])
            rows.setdefault((parent, False, False), Entry(parent, Kind.DIR))
        rows.setdefault((entry.path, entry.kind is Kind.WHITEOUT, entry.kind is Kind.OPAQUE), entry)
    return list(rows.values())


def _found(layers: list[list[Entry]], path: bytes) -> Located | None:
    return find(TopDown(len(layers), layers.__getitem__).get, path)


@given(_LAYERS, st.booleans(), _ASKED)
def test_the_answers_are_those_of_the_view(layers: list[list[Entry]], closed: bool, path: bytes) -> None:
    """For any layers, what is found from the top is what the merged view has, or there is no answer."""
    if closed:
        layers = [_with_parents(layer) for layer in layers]
    try:
        expected = View.of(layers).find(path)
    except (ContextError, ImageError):
        assume(False)
    try:
        found = _found(layers, path)
    except Unclear:
        return
    if expected is not None and not expected.entry.path:
        assert found is not None and found.entry.path == b""
    else:
        assert found == expected


def test_layers_below_stay_unread() -> None:
    """Nothing below the layer that has the file is asked for."""
    layers = [[Entry(b"old", Kind.FILE)], [Entry(b"etc", Kind.DIR), Entry(b"etc/app", Kind.FILE, size=3)], []]
    asked: list[int] = []

    def index(number: int) -> list[Entry]:
        asked.append(number)
        return layers[number]

    located = find(TopDown(3, index).get, b"etc/app")
    assert located is not None and (located.layer, located.entry.size) == (1, 3)
    assert asked == [2, 1]


def test_whiteouts_end_the_search() -> None:
    """What a layer removes is not looked for below it."""

    def index(number: int) -> list[Entry]:
        assert number == 1
        return [Entry(b"etc", Kind.WHITEOUT)]

    assert find(TopDown(2, index).get, b"etc/app") is None


def test_a_hard_link_is_the_file_of_its_layer() -> None:
    """A further name of a file has all that the file has, and its content is found by the first name."""
    layer = [Entry(b"a", Kind.FILE, size=3, offset=512, digest="d"), Entry(b"b", Kind.HARDLINK, link=b"a")]
    located = _found([layer], b"b")
    assert located == View.of([layer]).get(b"b")
    assert located is not None and located.content_of == layer[0]


def test_what_cannot_be_told_from_one_layer() -> None:
    """An entry without its directory may be elsewhere, where a lower layer has a link: there is no answer."""
    with pytest.raises(Unclear):
        _found([[Entry(b"lib", Kind.SYMLINK, link=b"usr")], [Entry(b"lib/x", Kind.FILE)]], b"lib/x")
    with pytest.raises(Unclear):
        _found([[Entry(b"a", Kind.FILE)], [Entry(b"b", Kind.HARDLINK, link=b"a")]], b"b")

"""Laws of the merged view: it is what a naive merge gives, and what really unpacking the layers gives."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from builder.errors import ContextError, ImageError
from builder.tree.index import read_index
from builder.tree.lowers import Lowers, look, names_in
from builder.tree.pack import Item, pack_layer
from builder.tree.unpack import unpack_layer
from builder.tree.view import View
from builder.values.entry import Entry, Kind
from builder.values.image import MEDIA_LAYER

_PATHS = st.lists(st.sampled_from([b"a", b"b", b"a-"]), min_size=1, max_size=3).map(b"/".join)
_KINDS = st.sampled_from([Kind.DIR, Kind.DIR, Kind.FILE, Kind.SYMLINK, Kind.WHITEOUT, Kind.OPAQUE, Kind.HARDLINK])
_ROWS = st.builds(lambda path, kind, link: Entry(path, kind, link=link), _PATHS, _KINDS, _PATHS)
_LAYERS = st.lists(
    st.lists(_ROWS, max_size=8, unique_by=lambda row: (row.path, row.kind is Kind.WHITEOUT, row.kind is Kind.OPAQUE)),
    max_size=4,
)


class _Loop(Exception):
    """The layers have a loop of links."""


class _Naive:
    """The same by the plainest means: a dict from path to entry, layer and first name, and comparisons of prefixes."""

    def __init__(self) -> None:
        self.state: dict[bytes, tuple[Entry, int, bytes]] = {}

    def real(self, path: bytes) -> bytes:
        """Replace the first link in the path by where it points, until there is none."""
        for _ in range(60):
            parts = path.split(b"/")
            for length in range(1, len(parts)):
                found = self.state.get(b"/".join(parts[:length]))
                if found and found[0].kind is Kind.SYMLINK:
                    path = b"/".join((*parts[: length - 1], found[0].link, *parts[length:]))
                    break
            else:
                return path
        raise _Loop

    def clear(self, path: bytes) -> None:
        for other in [other for other in self.state if other.startswith(path + b"/")]:
            del self.state[other]

    def put(self, path: bytes, what: tuple[Entry, int, bytes], number: int) -> None:
        parts = path.split(b"/")
        for length in range(1, len(parts)):
            parent = b"/".join(parts[:length])
            if parent not in self.state or self.state[parent][0].kind is not Kind.DIR:
                self.state[parent] = (Entry(parent, Kind.DIR), number, parent)
        if what[0].kind is not Kind.DIR:
            self.clear(path)
        self.state[path] = what

    def apply(self, number: int, layer: list[Entry]) -> None:
        for row in layer:
            if row.kind is Kind.WHITEOUT:
                self.clear(self.real(row.path))
                self.state.pop(self.real(row.path), None)
            elif row.kind is Kind.OPAQUE:
                self.clear(self.real(row.path + b"/.").removesuffix(b"/."))
        for row in layer:
            if row.kind in (Kind.OPAQUE, Kind.WHITEOUT):
                inside = row.path if row.kind is Kind.OPAQUE else row.path.rpartition(b"/")[0]
                path = self.real(inside + b"/.").lstrip(b"/")
                self.put(path, (row, number, b""), number)
                del self.state[path]
            elif row.kind is not Kind.HARDLINK:
                self.put(self.real(row.path), (row, number, row.path), number)
        links = [row for row in layer if row.kind is Kind.HARDLINK]
        while (left := [row for row in links if not self.link(row, number)]) and len(left) < len(links):
            links = left

    def link(self, row: Entry, number: int) -> bool:
        target = self.state.get(self.real(row.link))
        if target is None or target[0].kind is Kind.DIR:
            return False
        if self.real(row.link) != self.real(row.path):
            self.put(self.real(row.path), target, number)
        return True


@given(_LAYERS)
def test_view_equals_a_naive_merge(layers: list[list[Entry]]) -> None:
    """For any layers the view is what plain dictionaries and prefix comparisons give."""
    naive = _Naive()
    try:
        for number, layer in enumerate(layers):
            naive.apply(number, layer)
    except _Loop:
        with pytest.raises(ImageError, match="too many symbolic links"):
            View.of(layers)
        return
    view = View.of(layers)
    found = {located.entry.path: (located.entry.kind, located.layer, located.first_name) for located in view.walk(b"")}
    del found[b""]
    assert found == {path: (entry.kind, layer, name) for path, (entry, layer, name) in naive.state.items()}
    assert len(view) == len(found) + 1
    for path in found:
        assert view.get(path) is not None


@given(_LAYERS, st.lists(st.sampled_from([b"a", b"b", b"..", b".", b""]), max_size=6).map(b"/".join))
def test_resolved_paths_are_contained(layers: list[list[Entry]], path: bytes) -> None:
    """Whatever links there are, a resolved path has no `..`, no `.`, no empty part, and resolving it again is it."""
    try:
        view = View.of(layers)
        real = view.resolve(path)
    except (ContextError, ImageError):
        return
    assert real == b"" or not {b"", b".", b".."} & set(real.split(b"/"))
    assert view.resolve(real) == real


def _merged(lowers: Lowers) -> dict[bytes, tuple[Kind, bytes]]:
    """What unpacked trees make together, by looking at the disk: kinds, and what files hold or links point at."""
    found: dict[bytes, tuple[Kind, bytes]] = {}
    waiting = [(b"", lowers.dirs)]
    while waiting:
        directory, dirs = waiting.pop()
        for name in names_in(dirs, directory):
            path = directory + b"/" + name if directory else name
            seen = look(dirs, path)
            if seen is None:
                continue
            if seen.dirs:
                found[path] = (Kind.DIR, b"")
                waiting.append((path, seen.dirs))
            elif stat.S_ISLNK(seen.status.st_mode):
                found[path] = (Kind.SYMLINK, os.readlink(path, dir_fd=seen.fd))
            else:
                fd = os.open(path, os.O_RDONLY, dir_fd=seen.fd)
                found[path] = (Kind.FILE, os.read(fd, 100))
                os.close(fd)
    return found


def _unpacked(directory: Path, layers: list[list[Entry]]) -> tuple[list[list[Entry]], tuple[str, ...]] | None:
    """Pack and unpack the layers for real: their indexes and trees; None for layers that no tool would unpack."""
    indexes: list[list[Entry]] = []
    lowers: tuple[str, ...] = ()
    for number, layer in enumerate(layers):
        blob, index, target = (directory / f"{kind}{number}" for kind in ("blob", "index", "tree"))
        items = []
        for row in layer:
            data = b"%d " % number + row.path if row.kind is Kind.FILE else b""
            items.append(Item(row._replace(size=len(data), mode=0o755), data or None))
        packed = pack_layer(items, blob, index, "none")
        try:
            unpack_layer(str(blob), MEDIA_LAYER, packed.diff_id, lowers, str(target), "")
        except ImageError:
            return None
        indexes.append(read_index(index))
        lowers = (str(target), *lowers)
    return indexes, lowers


def _contents(view: View) -> dict[bytes, tuple[Kind, bytes]]:
    found = {}
    for located in view.walk(b""):
        entry = located.entry
        what = entry.link if entry.kind is Kind.SYMLINK else b""
        if entry.kind is Kind.FILE:
            what = b"%d " % located.layer + located.first_name
        found[entry.path] = (entry.kind, what)
    del found[b""]
    return found


def _as_a_builder_would(layer: list[Entry]) -> list[Entry]:
    """The layer in an order that a stream can be unpacked in: what hides first, parents before what is in them, hard
    links last; nothing twice, and nothing below what is no directory in the same layer."""
    hiding = [row for row in layer if row.kind in (Kind.WHITEOUT, Kind.OPAQUE)]
    rows = {row.path: row for row in layer if row not in hiding}
    solid = [path + b"/" for path, row in rows.items() if row.kind is not Kind.DIR]
    kept = [row for row in rows.values() if not row.path.startswith(tuple(solid))]
    kept = [row for row in kept if row.kind is not Kind.HARDLINK or not row.link.startswith(row.path + b"/")]
    hiding.sort(key=lambda row: (row.path, row.kind is Kind.OPAQUE))
    return hiding + sorted(kept, key=lambda row: (row.kind is Kind.HARDLINK, row.path))


@settings(max_examples=150, deadline=None, derandomize=True)  # each example unpacks for real
@given(_LAYERS)
def test_view_equals_what_is_unpacked(layers: list[list[Entry]]) -> None:
    """The view of layers is what really unpacking them gives, for all layers that can be unpacked."""
    layers = [_as_a_builder_would(layer) for layer in layers]
    with tempfile.TemporaryDirectory() as name:
        made = _unpacked(Path(name), layers)
        assume(made is not None)
        assert made is not None
        with Lowers(made[1]) as lowers:
            assert _contents(View.of(made[0])) == _merged(lowers)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(_LAYERS)
def test_a_layer_more_is_as_all_layers_at_once(layers: list[list[Entry]]) -> None:
    """A view under one more layer is the view of all of them, and is itself what it was before."""
    layers = [_as_a_builder_would(layer) for layer in layers]
    try:
        whole = View.of(layers)
    except ImageError:
        assume(False)
    view = View.of([])
    for layer in layers:
        before = list(view.walk(b""))
        upper = view.under(layer)
        assert list(view.walk(b"")) == before
        view = upper
    assert list(view.walk(b"")) == list(whole.walk(b""))

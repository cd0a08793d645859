"""Tests of placing: laws of every layer that COPY makes, and where names lead."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import BuildfileError
from builder.stages.modes import parse_mode
from builder.stages.place import FIXED_MTIME_NS, Attributes, Placement, Supply
from builder.tree.pack import Item, pack_layer
from builder.tree.view import View
from builder.values.entry import Entry, Kind
from tests.stages.plans import SPAN

PLAIN = Attributes(None, None)
FILE = Entry(b"", Kind.FILE, 0o640, 7, 8, size=1, mtime_ns=5_000_000_000)
FOLDER = Entry(b"", Kind.DIR, 0o750, 7, 8, mtime_ns=5_000_000_000)


def link(path: bytes, target: bytes) -> Entry:
    """A symlink."""
    return Entry(path, Kind.SYMLINK, 0o777, link=target)


def placement(*entries: Entry, attributes: Attributes = PLAIN) -> Placement:
    """A placement over one layer with these entries."""
    return Placement(View.of([entries]), attributes, SPAN)


LOWER = (
    Entry(b"bin", Kind.SYMLINK, link=b"usr/bin"),
    Entry(b"usr", Kind.DIR, 0o755),
    Entry(b"usr/bin", Kind.DIR, 0o755),
    Entry(b"usr/bin/sh", Kind.FILE, 0o755),
    Entry(b"etc", Kind.DIR, 0o755),
    Entry(b"etc/passwd", Kind.FILE),
    link(b"up", b"../../.."),
    link(b"abs", b"/etc"),
    link(b"loop", b"loop2"),
    link(b"loop2", b"loop"),
    link(b"new", b"/not/there"),
    link(b"etc/self", b"."),
)

names = st.sampled_from([b"a", b"b", b"a-b", b"bin", b"usr", b"etc", b"up", b"abs", b"new", b"..", b".", b"", b"sh"])
paths = st.lists(names, min_size=1, max_size=4).map(b"/".join)
operations = st.lists(
    st.tuples(
        st.sampled_from(["file", "directory", "link", "same"]), paths, st.sampled_from([b"..", b"/a", b"b/../a"])
    ),
    max_size=8,
)


def do(place: Placement, operation: tuple[str, bytes, bytes]) -> None:
    """One COPY's worth of placing, as `copy` does it; what is refused leaves things as they were."""
    kind, name, target = operation
    try:
        path = place.resolve(name)
        place.make_parents(path)
        if kind == "directory":
            place.put_directory(path, FOLDER)
        elif kind == "link":
            place.put_file(path, link(b"", target), None)
        else:
            place.put_file(path, FILE, b"x", "one file" if kind == "same" else None)
    except BuildfileError as error:
        assert error.span == SPAN


def _by_path(place: Placement) -> dict[bytes, Item]:
    return {item.entry.path: item for item in place.sorted_items()}


class TestLaws:
    """What holds for every layer, whatever was placed."""

    @given(operations)
    def test_of_entries(self, steps: list[tuple[str, bytes, bytes]]) -> None:
        """Sorted, each path once, none that leads out, every parent a directory, hard links behind their file."""
        place = placement(*LOWER)
        for step in steps:
            do(place, step)
        items = list(place.sorted_items())
        listed = [item.entry.path for item in items]
        assert listed == sorted(set(listed))
        seen: dict[bytes, Entry] = {}
        for item in items:
            entry = item.entry
            parts = entry.path.split(b"/")
            assert entry.path
            assert not {b"", b".", b".."} & set(parts)
            for length in range(1, len(parts)):
                above = place.look(b"/".join(parts[:length]))
                assert above is not None
                assert above.kind is Kind.DIR
            if entry.kind is Kind.HARDLINK:
                assert seen[entry.link].kind is Kind.FILE
            seen[entry.path] = entry

    @given(operations, paths)
    def test_of_looking(self, steps: list[tuple[str, bytes, bytes]], name: bytes) -> None:
        """What a placement sees is what the image will have: the new layer laid on the others shows the same."""
        place = placement(*LOWER)
        for step in steps:
            do(place, step)
        result = View.of([LOWER, [item.entry for item in place.sorted_items()]])
        try:
            real = place.resolve(name)
        except BuildfileError:
            return
        assert result.resolve(name) == real
        seen, found = place.look(real), result.get(real)
        assert (None if seen is None or not real else (seen.kind, seen.mode, seen.uid)) == (
            None if found is None or not real else (found.entry.kind, found.entry.mode, found.entry.uid)
        )

    @given(operations, paths)
    def test_of_resolving(self, steps: list[tuple[str, bytes, bytes]], name: bytes) -> None:
        """A real path has no links left in it and is its own real path."""
        place = placement(*LOWER)
        for step in steps:
            do(place, step)
        try:
            real = place.resolve(name)
        except BuildfileError:
            return
        assert place.resolve(real) == real
        parts = real.split(b"/")
        for length in range(1, len(parts) + 1):
            entry = place.look(b"/".join(parts[:length]))
            assert entry is None or entry.kind is not Kind.SYMLINK

    def test_what_is_placed_can_be_packed(self, tmp_path: Path) -> None:
        """The items are what the packer takes."""
        place = placement(*LOWER)
        for number, name in enumerate((b"x/y/z", b"bin/tool", b"x/y/same")):
            do(place, ("same" if number else "file", name, b""))
        do(place, ("same", b"x/another", b""))
        packed = pack_layer(place.sorted_items(), tmp_path / "blob", tmp_path / "index", "none")
        assert packed.entries == len(place.items)


class TestResolving:
    """Where names lead."""

    @pytest.mark.parametrize(
        ("name", "real"),
        [
            (b"/bin/x", b"usr/bin/x"),
            (b"abs/x", b"etc/x"),
            (b"up/up/etc", b"etc"),
            (b"etc/self/self/passwd", b"etc/passwd"),
            (b"new/x", b"not/there/x"),
            (b"../../x", b"x"),
            (b"no/such/../x", b"no/x"),
            (b"usr/bin/../../etc", b"etc"),
            (b"bin/..", b"usr"),
            (b"", b""),
            (b"///", b""),
            (b"etc/passwd/x", b"etc/passwd/x"),
        ],
    )
    def test_names(self, name: bytes, real: bytes) -> None:
        """Links are followed inside the root, `..` stops there, what does not exist is kept."""
        assert placement(*LOWER).resolve(name) == real

    def test_the_last_link_may_be_meant_itself(self) -> None:
        """What an archive says of a link is about the link."""
        assert placement(*LOWER).resolve(b"bin", follow_last=False) == b"bin"
        assert placement(*LOWER).resolve(b"bin/sh", follow_last=False) == b"usr/bin/sh"

    def test_loops_are_an_error(self) -> None:
        """At the instruction's place, with the name."""
        with pytest.raises(BuildfileError, match="loop") as caught:
            placement(*LOWER).resolve(b"loop/x")
        assert caught.value.span == SPAN

    def test_links_that_were_just_placed_count(self) -> None:
        """The second source of a COPY goes where the first one's link leads, inside the root."""
        place = placement(*LOWER)
        place.put_file(b"way", link(b"", b"../../etc"), None)
        assert place.resolve(b"way/x") == b"etc/x"


class TestPutting:
    """Files and directories meet what is there."""

    def test_directories_on_the_way(self) -> None:
        """They are root's, 0755 and of a fixed time; only those that are missing are made."""
        place = placement(*LOWER)
        place.make_parents(b"usr/share/doc/x")
        assert [item.entry for item in place.sorted_items()] == [
            Entry(b"usr/share", Kind.DIR, 0o755, mtime_ns=FIXED_MTIME_NS),
            Entry(b"usr/share/doc", Kind.DIR, 0o755, mtime_ns=FIXED_MTIME_NS),
        ]

    def test_the_fixed_time_is_one_that_zip_can_hold(self) -> None:
        """Not before 1980, and not today."""
        assert 315_532_800 <= FIXED_MTIME_NS // 10**9 < 400_000_000

    @pytest.mark.parametrize(("chmod", "mode"), [("600", 0o600), ("u=rwx,go=", 0o755), (None, 0o755)])
    def test_flags_of_directories_on_the_way(self, chmod: str | None, mode: int) -> None:
        """--chown is theirs too, and an octal --chmod; a symbolic one is for what is copied."""
        change = None if chmod is None else parse_mode(chmod, SPAN)
        place = placement(attributes=Attributes((1, 2), change, 9))
        place.make_directory(b"a")
        assert place.items[b"a"].entry == Entry(b"a", Kind.DIR, mode, 1, 2, mtime_ns=9)

    def test_flags_of_what_is_copied(self) -> None:
        """--chown and --chmod replace the source's; a symlink's mode is left alone."""
        place = placement(attributes=Attributes((1, 2), parse_mode("600", SPAN)))
        place.put_file(b"f", FILE, b"x")
        place.put_directory(b"d", FOLDER)
        place.put_file(b"l", link(b"", b"x"), None)
        modes = {path: (item.entry.mode, item.entry.uid, item.entry.gid) for path, item in _by_path(place).items()}
        assert modes == {b"f": (0o600, 1, 2), b"d": (0o600, 1, 2), b"l": (0o777, 1, 2)}

    def test_without_flags_the_source_s_attributes_stay(self) -> None:
        """Mode, owner and time of what is copied."""
        place = placement()
        place.put_file(b"f", FILE, b"x")
        assert _by_path(place)[b"f"].entry == FILE._replace(path=b"f")

    def test_a_directory_that_is_the_same_is_left_out(self) -> None:
        """Only a directory that changes something is in the layer; the root never is."""
        place = placement(Entry(b"d", Kind.DIR, 0o750, 7, 8, mtime_ns=1))
        place.put_directory(b"d", FOLDER)
        place.put_directory(b"", FOLDER)
        assert place.items == {}
        place.put_directory(b"d", FOLDER._replace(mode=0o700))
        assert place.items[b"d"].entry.mode == 0o700

    def test_a_file_replaces_a_file(self) -> None:
        """Of the layers below as of this one; the last one counts."""
        place = placement(*LOWER)
        place.put_file(b"etc/passwd", FILE, b"x")
        place.put_file(b"etc/passwd", FILE._replace(mode=0o600), b"y")
        assert [(item.entry.mode, item.content) for item in place.sorted_items()] == [(0o600, b"y")]

    def test_kinds_do_not_replace_each_other(self) -> None:
        """A file over a directory, a directory over a file or link, a file below a file, anything over the root."""
        place = placement(*LOWER)
        with pytest.raises(BuildfileError, match="a directory is there"):
            place.put_file(b"etc", FILE, b"x")
        with pytest.raises(BuildfileError, match="a file is there"):
            place.put_directory(b"etc/passwd", FOLDER)
        with pytest.raises(BuildfileError, match="a symlink is there"):
            place.put_directory(b"bin", FOLDER)
        with pytest.raises(BuildfileError, match="a file is there"):
            place.make_parents(b"etc/passwd/x")
        with pytest.raises(BuildfileError, match="a directory is there"):
            place.put_file(b"", FILE, b"x")
        assert place.items == {}

    def test_names_of_one_file_become_hard_links(self) -> None:
        """The first in order is the file, the others are links to it, until one is replaced."""
        place = placement()
        for path in (b"c", b"a", b"b"):
            place.put_file(path, FILE, b"x", "one")
        place.put_file(b"b", FILE, b"y")
        kinds = [(item.entry.path, item.entry.kind, item.entry.link) for item in place.sorted_items()]
        assert kinds == [(b"a", Kind.FILE, b""), (b"b", Kind.FILE, b""), (b"c", Kind.HARDLINK, b"a")]

    def test_only_files_become_hard_links(self) -> None:
        """Two names of one symlink are two symlinks."""
        place = placement()
        for path in (b"a", b"b"):
            place.put_file(path, link(b"", b"x"), None, "one")
        assert [item.entry.kind for item in place.sorted_items()] == [Kind.SYMLINK, Kind.SYMLINK]

    def test_what_is_hidden_is_gone_with_all_below(self) -> None:
        """An archive's file in the place of a directory: nothing of the lower layers is seen below it."""
        place = placement(*LOWER)
        place.hide(b"usr")
        assert place.look(b"usr") is place.look(b"usr/bin/sh") is None
        place.put_file(b"usr", FILE, b"x")
        assert place.look(b"usr") == FILE
        assert place.look(b"usr/bin") is None


def test_times_are_cut_to_seconds() -> None:
    """What is placed is never newer than its source, and has no fraction of a second, before 1970 neither."""
    place = placement()
    place.put_file(b"f", FILE._replace(mtime_ns=1_999_999_999), b"x")
    place.put_directory(b"d", FOLDER._replace(mtime_ns=-1))
    assert [item.entry.mtime_ns for item in place.sorted_items()] == [-1_000_000_000, 1_000_000_000]


def test_contents_are_asked_for_when_they_are_packed() -> None:
    """By the entry of the source, once for each file, and for nothing that has none."""
    asked: list[bytes] = []

    def content_of(entry: Entry) -> bytes:
        asked.append(entry.path)
        return entry.path

    place = placement()
    place.put_file(b"f", FILE._replace(path=b"from"), Supply(content_of))
    place.put_file(b"l", link(b"", b"x"), Supply(content_of))
    assert asked == []
    assert [item.content for item in place.sorted_items()] == [b"from", None]
    assert asked == [b"from"]


def test_directories_of_the_layers_below_are_repeated() -> None:
    """A layer can say of each of its entries what it is in, as the layers below have it; without a second time."""
    place = placement(*LOWER)
    for path in (b"usr/bin/new", b"usr/bin/newer", b"opt/own/f"):
        place.make_parents(path)
        place.put_file(path, FILE, b"x")
    items = {item.entry.path: item for item in place.items_with_parents()}
    assert list(items) == [b"opt", b"opt/own", b"opt/own/f", b"usr", b"usr/bin", b"usr/bin/new", b"usr/bin/newer"]
    assert [items[path].entry for path in (b"usr", b"usr/bin")] == [place.look(b"usr"), place.look(b"usr/bin")]


def test_what_was_placed_is_removed_with_all_below_it() -> None:
    """Removing a directory takes what was placed in it, and leaves its neighbours and the layers below."""
    place = placement(*LOWER)
    for path in (b"d/a/b", b"d/a/c", b"d-e", b"usr/bin/new"):
        place.make_parents(path)
        place.put_file(path, FILE, b"x")
    place.remove(b"d/a")
    place.remove(b"usr/bin/new")
    assert sorted(place.items) == [b"d", b"d-e"]
    place.make_parents(b"d/a/b")
    assert place.look(b"d/a") is not None and place.look(b"usr/bin") is not None


def test_directories_on_the_way_are_bounded() -> None:
    """A few names that imply thousands of directories each are refused before they fill the memory."""
    place = placement()
    with pytest.raises(BuildfileError, match="are longer than 16 MiB together"):
        for number in range(100):
            place.make_parents(b"%d/" % number + b"d/" * 1900 + b"f")
    assert len(place.items) < 100_000


def test_a_path_longer_than_the_kernel_takes() -> None:
    """A name that no program of the image could use is refused at once, however many directories it implies."""
    with pytest.raises(BuildfileError, match="has more than 4096 bytes"):
        placement().resolve(b"d/" * 500_000)

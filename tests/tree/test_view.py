"""The merged view of a stack of layers, case by case."""

from __future__ import annotations

import time

import pytest

from builder.errors import ContextError, ImageError
from builder.tree.view import View
from builder.values.entry import Entry, Kind


def _dir(path: bytes, mode: int = 0o755) -> Entry:
    return Entry(path, Kind.DIR, mode)


def _file(path: bytes, content: str = "") -> Entry:
    return Entry(path, Kind.FILE, digest=content, size=len(content), offset=512)


def _link(path: bytes, target: bytes) -> Entry:
    return Entry(path, Kind.SYMLINK, 0o777, link=target)


def _hard(path: bytes, target: bytes) -> Entry:
    return Entry(path, Kind.HARDLINK, link=target)


def _gone(path: bytes) -> Entry:
    return Entry(path, Kind.WHITEOUT)


def _paths(view: View) -> list[bytes]:
    return [located.entry.path for located in view.walk(b"")][1:]


def test_empty_stack_has_a_root() -> None:
    """A stack of no layers is a root directory with nothing in it."""
    view = View.of([])
    located = view.get(b"")
    assert located is not None and located.entry.kind is Kind.DIR
    assert view.children(b"") == [] and len(view) == 1


def test_upper_layer_wins() -> None:
    """A path that several layers have is the uppermost one's."""
    view = View.of([[_file(b"f", "1")], [_file(b"f", "2")], []])
    located = view.get(b"f")
    assert located is not None and (located.entry.digest, located.layer) == ("2", 1)


def test_attributes_of_the_root_come_from_the_layer() -> None:
    """A layer's entry for the root sets its mode; one that is no directory is ignored."""
    view = View.of([[_dir(b"", 0o700)], [_file(b"")]])
    located = view.get(b"")
    assert located is not None and (located.entry.kind, located.entry.mode) == (Kind.DIR, 0o700)


def test_directory_over_directory_keeps_what_is_inside() -> None:
    """A directory that comes again changes its attributes only."""
    view = View.of([[_dir(b"d"), _file(b"d/f")], [_dir(b"d", 0o700)]])
    located = view.get(b"d")
    assert located is not None and located.entry.mode == 0o700
    assert view.children(b"d") == [b"f"]


def test_file_over_directory_takes_its_place() -> None:
    """A file in the place of a directory takes away all that was inside."""
    view = View.of([[_dir(b"d"), _dir(b"d/e"), _file(b"d/e/f"), _file(b"dx")], [_file(b"d")]])
    assert _paths(view) == [b"d", b"dx"]
    assert view.children(b"d") == []


def test_directory_over_file() -> None:
    """A directory in the place of a file is a directory, with what its layer puts inside."""
    view = View.of([[_file(b"d")], [_dir(b"d"), _file(b"d/f")]])
    assert view.children(b"d") == [b"f"]


def test_whiteout_hides_a_tree() -> None:
    """A whiteout takes away a path and all below it, and is itself not seen."""
    view = View.of([[_dir(b"d"), _file(b"d/f"), _file(b"d-")], [_gone(b"d")]])
    assert _paths(view) == [b"d-"]


def test_whiteout_hides_lower_layers_only() -> None:
    """A whiteout does not touch what its own layer has, whichever comes first."""
    for layer in ([_gone(b"d"), _dir(b"d"), _file(b"d/new")], [_dir(b"d"), _file(b"d/new"), _gone(b"d")]):
        assert _paths(View.of([[_dir(b"d"), _file(b"d/old")], layer])) == [b"d", b"d/new"]


def test_whiteout_of_nothing() -> None:
    """A whiteout of what is not there hides nothing; the directories above it come to be, as in every builder."""
    assert _paths(View.of([[_file(b"f")], [_gone(b"x")]])) == [b"f"]
    assert _paths(View.of([[_file(b"f")], [_gone(b"x/y")]])) == [b"f", b"x"]


def test_opaque_directory_hides_what_lower_layers_have_inside() -> None:
    """An opaque marker keeps the directory and its own layer's entries."""
    upper = [_dir(b"d"), _file(b"d/new"), Entry(b"d", Kind.OPAQUE)]
    assert _paths(View.of([[_dir(b"d"), _file(b"d/old"), _file(b"f")], upper])) == [b"d", b"d/new", b"f"]


def test_opaque_root() -> None:
    """The root can be opaque."""
    assert _paths(View.of([[_file(b"old")], [Entry(b"", Kind.OPAQUE), _file(b"new")]])) == [b"new"]


def test_missing_parents_are_plain_directories() -> None:
    """A parent that no layer has is a directory of root's with mode 0755."""
    view = View.of([[_file(b"a/b/c")]])
    located = view.get(b"a/b")
    assert located is not None
    assert (located.entry.kind, located.entry.mode, located.entry.uid) == (Kind.DIR, 0o755, 0)
    assert _paths(view) == [b"a", b"a/b", b"a/b/c"]


def test_missing_parents_keep_lower_directories() -> None:
    """A parent that a lower layer has keeps its attributes."""
    located = View.of([[_dir(b"d", 0o700)], [_file(b"d/f")]]).get(b"d")
    assert located is not None and (located.entry.mode, located.layer) == (0o700, 0)


def test_hard_link_is_its_file() -> None:
    """A hard link has the attributes and the content of the file it names, and its own path."""
    view = View.of([[_file(b"a", "1"), _hard(b"b", b"a")]])
    located = view.get(b"b")
    assert located is not None
    assert (located.entry.path, located.entry.kind, located.entry.digest) == (b"b", Kind.FILE, "1")
    assert (located.layer, located.first_name, located.content_of.path) == (0, b"a", b"a")


def test_hard_link_outlives_its_first_name() -> None:
    """A later layer that removes or replaces the first name does not touch the others."""
    for later in (_gone(b"a"), _file(b"a", "2")):
        located = View.of([[_file(b"a", "1"), _hard(b"b", b"a")], [later]]).get(b"b")
        assert located is not None and (located.entry.digest, located.layer) == ("1", 0)


def test_hard_link_in_the_same_layer_wins_over_lower_files() -> None:
    """A hard link means the file of its own layer, not a lower one of the same name."""
    located = View.of([[_file(b"a", "1")], [_file(b"a", "2"), _hard(b"b", b"a")]]).get(b"b")
    assert located is not None and (located.entry.digest, located.layer) == ("2", 1)


def test_hard_link_to_a_lower_layer() -> None:
    """A hard link to a file that only a lower layer has finds its content there."""
    located = View.of([[_file(b"a", "1")], [_hard(b"b", b"a")]]).get(b"b")
    assert located is not None and (located.entry.digest, located.layer) == ("1", 0)


def test_chains_of_hard_links() -> None:
    """Links to links lead to the file, in any order; loops and links to nothing or to directories are left out."""
    layer = [_hard(b"c", b"b"), _hard(b"b", b"a"), _file(b"a", "1"), _hard(b"x", b"y"), _hard(b"y", b"x")]
    view = View.of([[*layer, _dir(b"d"), _hard(b"e", b"d"), _hard(b"s", b"s")]])
    assert _paths(view) == [b"a", b"b", b"c", b"d"]
    located = view.get(b"c")
    assert located is not None and located.first_name == b"a"


def test_entries_below_a_link_are_where_it_leads() -> None:
    """A layer that names var/run/x, where var/run is a link to /run, has put run/x; the link stays."""
    lower = [_dir(b"run", 0o700), _dir(b"var"), _link(b"var/run", b"/run"), _file(b"run/old")]
    upper = [_file(b"var/run/x", "1"), _hard(b"y", b"var/run/x"), _gone(b"var/run/old"), _file(b"var/run/d/z")]
    view = View.of([lower, upper])
    assert _paths(view) == [b"run", b"run/d", b"run/d/z", b"run/x", b"var", b"var/run", b"y"]
    located = view.get(b"run/x")
    assert located is not None and (located.entry.path, located.content_of.path) == (b"run/x", b"var/run/x")
    run = view.get(b"run")
    assert run is not None and run.entry.mode == 0o700
    assert view.get(b"y") == located._replace(entry=located.entry._replace(path=b"y"))


def test_links_of_the_same_layer_count_too() -> None:
    """Entries below a link that came before them in their own layer are where it leads, also after it is replaced."""
    view = View.of([[_link(b"l", b"d"), _file(b"l/a"), _dir(b"l"), _file(b"l/b")]])
    assert _paths(view) == [b"d", b"d/a", b"l", b"l/b"]


def test_a_directory_takes_a_links_place() -> None:
    """A layer that has the directory itself replaces a lower link."""
    view = View.of([[_dir(b"d"), _link(b"l", b"d")], [_dir(b"l"), _file(b"l/x")]])
    assert _paths(view) == [b"d", b"l", b"l/x"]


def test_layer_through_a_loop_is_refused() -> None:
    """Entries below a loop of links are an ImageError."""
    with pytest.raises(ImageError, match="too many symbolic links"):
        View.of([[_link(b"l", b"l"), _file(b"l/x")]])


def test_walk_is_sorted_and_depth_first() -> None:
    """A walk gives a directory before its content, and names in byte order."""
    view = View.of([[_file(b"b"), _file(b"a-"), _dir(b"a"), _file(b"a/z"), _file(b"a/\xff"), _file(b"a/b/c")]])
    assert _paths(view) == [b"a", b"a/b", b"a/b/c", b"a/z", b"a/\xff", b"a-", b"b"]
    assert [located.entry.path for located in view.walk(b"a/b")] == [b"a/b", b"a/b/c"]
    assert [located.entry.path for located in view.walk(b"b")] == [b"b"]
    assert list(view.walk(b"nothing")) == []


_TREE = View.of(
    [
        [
            _dir(b"usr"),
            _dir(b"usr/bin"),
            _file(b"usr/bin/sh"),
            _link(b"bin", b"usr/bin"),
            _link(b"abs", b"/usr/bin"),
            _link(b"up", b"../../../usr"),
            _link(b"usr/back", b".."),
            _link(b"self", b"self"),
            _link(b"dangling", b"no/where"),
            _link(b"two", b"bin/../back"),
            _link(b"dot", b"."),
        ]
    ]
)


@pytest.mark.parametrize(
    ("path", "real"),
    [
        (b"", b""),
        (b"/", b""),
        (b"/bin/sh", b"usr/bin/sh"),
        (b"abs/sh", b"usr/bin/sh"),
        (b"up/bin/./sh/", b"usr/bin/sh"),
        (b"../../../etc", b"etc"),
        (b"usr/back/bin/sh", b"usr/bin/sh"),
        (b"new/dir/file", b"new/dir/file"),
        (b"bin/new/file", b"usr/bin/new/file"),
        (b"new/../bin", b"usr/bin"),
        (b"dangling", b"no/where"),
        (b"dangling/x", b"no/where/x"),
        (b"two", b""),
        (b"dot/dot/dot/bin", b"usr/bin"),
        (b"usr/bin/sh/x", b"usr/bin/sh/x"),
    ],
)
def test_resolve(path: bytes, real: bytes) -> None:
    """Links and `..` are followed inside the root; what is not there is kept as written."""
    assert _TREE.resolve(path) == real


def test_resolve_can_leave_the_last_link() -> None:
    """With follow_last off, a link at the end stays, one on the way does not."""
    assert _TREE.resolve(b"bin", follow_last=False) == b"bin"
    assert _TREE.resolve(b"abs/../bin", follow_last=False) == b"usr/bin"


def test_resolve_refuses_loops() -> None:
    """A loop of links is an error, not an endless walk."""
    with pytest.raises(ContextError, match="too many symbolic links"):
        _TREE.resolve(b"self/x")


def test_resolve_follows_forty_links() -> None:
    """Forty links are followed, as the kernel does, and not one more."""
    links = [_link(b"l%d" % number, b"l%d" % (number + 1)) for number in range(41)]
    view = View.of([links])
    assert view.resolve(b"l1") == b"l41"
    with pytest.raises(ContextError):
        view.resolve(b"l0")


def test_large_images_merge_quickly() -> None:
    """A hundred thousand entries are merged in well under a second, a removed tree among them."""
    entries = [_dir(b"d%d" % number) for number in range(100)]
    entries += [_file(b"d%d/f%d" % (number % 100, number)) for number in range(100_000)]
    before = time.process_time()
    view = View.of([entries, [_gone(b"d7")]])
    assert time.process_time() - before < 2
    assert len(view) == 1 + 99 + 99_000


def test_what_a_name_leads_to() -> None:
    """A name is followed as a process inside would: through links, `..` and `.`, never out of the root."""
    view = View.of([[_dir(b"usr"), _dir(b"usr/lib"), _file(b"usr/lib/f"), _link(b"lib", b"/usr/lib"), _dir(b"d")]])
    for path in (b"lib/f", b"/lib/./f", b"d/../lib/../lib/f", b"../../usr/lib/f"):
        located = view.find(path)
        assert located is not None and located.entry.path == b"usr/lib/f"
    last = view.find(b"lib", follow_last=False)
    assert last is not None and last.entry.kind is Kind.SYMLINK


def test_a_name_that_leads_nowhere() -> None:
    """What is missing, broken or below a file is nothing, also where `..` follows; a loop of links is an error."""
    view = View.of([[_file(b"f"), _link(b"broken", b"x"), _link(b"loop", b"loop")]])
    for path in (b"x", b"x/../f", b"f/x", b"f/..", b"broken", b"broken/.."):
        assert view.find(path) is None
    with pytest.raises(ContextError, match="too many"):
        view.find(b"loop")


def test_entries_below_thousands_of_directories_each() -> None:
    """A few entries that imply more directories than the memory holds are refused before it is full."""
    entries = [Entry(b"%d/" % number + b"d/" * 1900 + b"f", Kind.FILE) for number in range(100)]
    with pytest.raises(ImageError, match="the directories that a layer has something in"):
        View.of([entries])

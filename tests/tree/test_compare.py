"""Two file systems compared."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from builder.tree.compare import WHAT_IT_IS, Aspect, changes
from builder.tree.view import View
from builder.values.entry import Entry, Kind

_FILE = Entry(b"f", Kind.FILE, 0o644, 0, 0, 3, 7, digest="aa", offset=512)


def _aspects(before: Entry, after: Entry, asked: frozenset[Aspect] = frozenset(Aspect)) -> list[Aspect]:
    return [aspect for change in changes(View.of([[before]]), View.of([[after]]), asked) for aspect in change.aspects]


def test_what_came_and_what_went() -> None:
    """A path in one of the two only is added or removed; its size says what that takes."""
    added, removed = changes(View.of([[_FILE]]), View.of([[_FILE._replace(path=b"a", size=10)]]))
    assert (added.path, added.before, added.growth) == (b"a", None, 10)
    assert (removed.path, removed.after, removed.growth) == (b"f", None, -3)


def test_each_aspect() -> None:
    """What changed is told apart."""
    link = Entry(b"f", Kind.SYMLINK, link=b"a")
    device = Entry(b"f", Kind.CHAR, rdev=(1, 3))
    assert _aspects(_FILE, _FILE._replace(digest="bb")) == [Aspect.CONTENT]
    assert _aspects(_FILE, _FILE._replace(mode=0o600)) == [Aspect.MODE]
    assert _aspects(_FILE, _FILE._replace(gid=5)) == [Aspect.OWNER]
    assert _aspects(_FILE, _FILE._replace(mtime_ns=8)) == [Aspect.TIME]
    assert _aspects(_FILE, _FILE._replace(xattrs=(("user.a", b"b"),))) == [Aspect.ATTRIBUTES]
    assert _aspects(link, link._replace(link=b"b", mode=0o777)) == [Aspect.LINK]
    assert _aspects(device, device._replace(rdev=(1, 5))) == [Aspect.DEVICE]
    assert _aspects(_FILE, link._replace(mtime_ns=7)) == [Aspect.KIND]


def test_where_a_layer_has_a_file_is_no_change() -> None:
    """The same file at another place of another layer is the same."""
    assert list(changes(View.of([[_FILE]]), View.of([[], [_FILE._replace(offset=9999)]]))) == []


def test_times_only_when_asked() -> None:
    """Times are left out unless asked for, and owners and modes where only contents are asked for."""
    later = _FILE._replace(mtime_ns=8)
    assert list(changes(View.of([[_FILE]]), View.of([[later]]))) == []
    assert _aspects(_FILE, later._replace(mode=0o600, uid=3), WHAT_IT_IS) == []


def test_a_name_that_becomes_a_directory() -> None:
    """What is inside of a directory that was a file is added."""
    directory = [Entry(b"f", Kind.DIR, 0o755), Entry(b"f/x", Kind.FILE, size=1)]
    first, second = changes(View.of([[_FILE]]), View.of([directory]))
    assert first.aspects == (Aspect.KIND, Aspect.MODE) and first.growth == -3
    assert second.path == b"f/x" and second.before is None


_PATHS = st.lists(st.sampled_from([b"a", b"b", b"a-"]), min_size=1, max_size=3).map(b"/".join)
_ROWS = st.builds(
    lambda path, kind, mode: Entry(path, kind, mode), _PATHS, st.sampled_from([Kind.DIR, Kind.FILE]), st.integers(0, 3)
)
_LAYERS = st.lists(st.lists(_ROWS, max_size=6), max_size=2)


@given(_LAYERS, _LAYERS)
def test_both_ways(one: list[list[Entry]], other: list[list[Entry]]) -> None:
    """Nothing differs from itself; what comes one way goes the other; a walk's order is kept."""
    before, after = View.of(one), View.of(other)
    assert list(changes(before, before)) == []
    there, back = list(changes(before, after)), list(changes(after, before))
    assert [(change.before, change.after) for change in there] == [(change.after, change.before) for change in back]
    both = View.of([[change.after or change.before or _FILE for change in there]])
    walked = [located.entry.path for located in both.walk(b"")]
    paths = [change.path for change in there]
    assert paths == [path for path in walked if path in set(paths)]

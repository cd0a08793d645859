"""Hypothesis strategies for entries of a layer."""

from __future__ import annotations

from hypothesis import strategies as st

from builder.values.entry import Entry, Kind

NS = 10**9

_name_bytes = st.binary(min_size=1, max_size=120).map(lambda name: name.replace(b"\0", b"0").replace(b"/", b"_"))
names = st.one_of(
    st.text('ab.-é \n"\\', min_size=1, max_size=5).map(str.encode),
    _name_bytes,
    st.sampled_from([b"x" * 100, b"y" * 155]),
).filter(lambda name: name not in (b".", b"..") and not name.startswith(b".wh."))
paths = st.lists(names, min_size=1, max_size=4).map(b"/".join)
links = st.one_of(paths, st.sampled_from([b"/", b"../..", b"./a//b/", b"t" * 300, b"\xff\xfe"]))
times_ns = st.one_of(
    st.integers(0, 2**31).map(lambda seconds: seconds * NS),
    st.integers(-(2**33) * NS, 2**35 * NS),
    st.sampled_from([0, -1, 1, -NS, 1_500_000_000, 8**11 * NS, 8**11 * NS - 1]),
)
ids = st.one_of(st.integers(0, 70000), st.sampled_from([0o7777777, 0o10000000, 2**32 - 2]))
xattrs = st.dictionaries(
    st.sampled_from(["user.a", "user.b.c", "security.capability", "user.ü"]), st.binary(max_size=200), max_size=3
).map(lambda found: tuple(sorted(found.items())))


@st.composite
def _entry(draw: st.DrawFn, path: bytes) -> Entry:
    kinds = [Kind.FILE, Kind.DIR, Kind.SYMLINK, Kind.HARDLINK, Kind.FIFO, Kind.CHAR, Kind.WHITEOUT, Kind.OPAQUE]
    kind = draw(st.sampled_from(kinds))
    if kind in (Kind.WHITEOUT, Kind.OPAQUE):
        return Entry(path, kind, 0)
    link = b""
    if kind in (Kind.SYMLINK, Kind.HARDLINK):
        link = draw(links if kind is Kind.SYMLINK else paths)
    rdev = (draw(st.integers(0, 4000)), draw(st.integers(1, 100000))) if kind is Kind.CHAR else (0, 0)
    mode = draw(st.integers(0, 0o7777))
    return Entry(path, kind, mode, draw(ids), draw(ids), 0, draw(times_ns), link, draw(xattrs), rdev=rdev)


entries = st.lists(paths, unique=True, max_size=6).flatmap(lambda found: st.tuples(*[_entry(path) for path in found]))
"""Entries of any kind with different paths, without content."""

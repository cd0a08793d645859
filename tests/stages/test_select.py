"""Tests of selecting: what the sources of a COPY name, on real directories."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.errors import BuildfileError, ContextError
from builder.lang.glob import compile_match
from builder.lang.ignore import IgnoreRules
from builder.stages.select import Picked, Selection, need_directory, select
from builder.stages.source_tree import HostTree
from builder.tree.fingerprint import Fingerprints
from builder.tree.safe import Root, Walk
from builder.values.entry import Kind
from tests.stages.plans import SPAN

FILES = [
    "a.md",
    "a.txt",
    "b.txt",
    "dir1/x.txt",
    "dir1/y.md",
    "dir1/sub/z.txt",
    "dir2/x.txt",
    "dir2/sub/deep/z.md",
    "arr[0].txt",
    ".hidden",
]
DIRECTORIES = 5


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """A context with a few files."""
    for name in FILES:
        path = tmp_path / "context" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


def tree_of(room: Path, ignored: str = "") -> HostTree:
    """The room's context as a source."""
    rules = IgnoreRules.parse(ignored, ".dockerignore")
    return HostTree(
        Root.open(room / "context", Walk.NO_SYMLINKS), rules, Fingerprints.load(room / "fingerprints"), "the context"
    )


@pytest.fixture
def tree(room: Path) -> Iterator[HostTree]:
    yield tree_of(room)


def picked(tree: HostTree, source: str, *excludes: str, parents: bool = False) -> list[Picked]:
    """What a word picks."""
    return select(tree, source, Selection(parents, excludes, SPAN))


def placed(found: list[Picked]) -> list[str]:
    """All paths below a destination that is a directory, with those that --parents makes on the way."""
    rows: set[bytes] = set()
    for one in found:
        rows.update(path for path, _ in one.through)
        is_shown = one.entry.kind is not Kind.DIR or one.through or b"/" in one.name
        rows.update([one.name] if is_shown else [])
        rows.update(path if one.entry.kind is Kind.DIR else one.name for path, _ in one.below)
    return sorted(os.fsdecode(row) for row in rows)


class TestNames:
    """Sources without wildcards."""

    def test_a_file(self, tree: HostTree) -> None:
        """It is named by its last part, however it is written."""
        for source in ("dir1/x.txt", "/dir1/x.txt", "./dir1//x.txt", "nosuch/../dir1/x.txt", "../../dir1/x.txt"):
            (one,) = picked(tree, source)
            assert (one.name, one.entry.path, one.below) == (b"x.txt", b"dir1/x.txt", ())

    def test_a_directory_is_its_contents(self, tree: HostTree) -> None:
        """Everything below it, each directory before what is in it, in order of names."""
        (one,) = picked(tree, "dir1")
        assert [path for path, _ in one.below] == [b"sub", b"sub/z.txt", b"x.txt", b"y.md"]

    @pytest.mark.parametrize("source", [".", "/", "", "..", "dir1/.."])
    def test_the_whole_context(self, tree: HostTree, source: str) -> None:
        """`.` and all that cannot lead above it are the whole tree."""
        (one,) = picked(tree, source)
        assert one.entry.path == b""
        assert len(one.below) == len(FILES) + DIRECTORIES

    def test_what_is_not_there(self, tree: HostTree) -> None:
        """A missing source is an error at the instruction, with its path in the tree."""
        with pytest.raises(ContextError, match='"/dir1/nosuch" not found') as caught:
            picked(tree, "dir1/nosuch")
        assert caught.value.span == SPAN

    def test_what_is_ignored_is_not_there(self, room: Path) -> None:
        """And the error says that it is only ignored."""
        with pytest.raises(ContextError) as caught:
            picked(tree_of(room, "*.md"), "a.md")
        assert "ignore" in (caught.value.hint or "")

    def test_links_are_followed_inside_the_tree(self, room: Path, tree: HostTree) -> None:
        """A source that is a link is what the link leads to, under the link's name; none leads out."""
        context = room / "context"
        (context / "way").symlink_to("dir1")
        (context / "out").symlink_to("../../..")
        (context / "file").symlink_to("/a.txt")
        (room / "secret").write_text("s")
        (context / "bad").symlink_to("../secret")
        (one,) = picked(tree, "way")
        assert (one.name, len(one.below)) == (b"way", 4)
        assert picked(tree, "file")[0].entry.path == b"a.txt"
        assert picked(tree, "out")[0].entry.path == b""
        with pytest.raises(ContextError, match="not found"):
            picked(tree, "bad")

    def test_links_inside_a_directory_are_links(self, room: Path, tree: HostTree) -> None:
        """Below a source nothing is followed."""
        (room / "context" / "dir1" / "link").symlink_to("x.txt")
        (one,) = picked(tree, "dir1")
        assert dict(one.below)[b"link"].kind is Kind.SYMLINK

    def test_sockets_are_not_there(self, room: Path, tree: HostTree) -> None:
        """A socket that is named is an error, one that lies in a directory is left out: no layer can hold it."""
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind(str(room / "context" / "dir1" / "sock"))
            with pytest.raises(ContextError, match="not found"):
                picked(tree, "dir1/sock")
            assert b"sock" not in dict(picked(tree, "dir1")[0].below)


class TestWildcards:
    """Sources with wildcards: Go's filepath.Match on each part."""

    @pytest.mark.parametrize(
        ("source", "names"),
        [
            ("*.txt", ["a.txt", "arr[0].txt", "b.txt"]),
            ("?.txt", ["a.txt", "b.txt"]),
            ("[ab].txt", ["a.txt", "b.txt"]),
            ("[^a].txt", ["b.txt"]),
            ("arr[[]0].txt", ["arr[0].txt"]),
            ("dir?/x.txt", ["x.txt", "x.txt"]),
            ("*/sub/*.txt", ["z.txt"]),
            ("dir1/*.*", ["x.txt", "y.md"]),
            (".h*", [".hidden"]),
            ("nosuch*", []),
            ("nosuch/*", []),
            ("a.txt/*", []),
            ("/*.md", ["a.md"]),
            ("dir1/../*.md", ["a.md"]),
        ],
    )
    def test_matches(self, tree: HostTree, source: str, names: list[str]) -> None:
        """In order of paths; a wildcard that matches nothing is no error."""
        assert [os.fsdecode(one.name) for one in picked(tree, source)] == names

    def test_a_star_is_any_name(self, tree: HostTree) -> None:
        """Hidden names too, as in Go and unlike a shell."""
        names = [one.name.decode() for one in picked(tree, "*")]
        assert names == [".hidden", "a.md", "a.txt", "arr[0].txt", "b.txt", "dir1", "dir2"]

    def test_two_stars_are_one_without_parents(self, tree: HostTree) -> None:
        """BuildKit's COPY has `**` only with --parents: elsewhere it is one name."""
        assert [one.entry.path for one in picked(tree, "**/x.txt")] == [b"dir1/x.txt", b"dir2/x.txt"]
        assert picked(tree, "**/z.txt") == []

    def test_a_directory_that_matches_is_its_contents(self, tree: HostTree) -> None:
        """Each match is copied as if it had been named."""
        first, second = picked(tree, "dir*")
        assert [path for path, _ in first.below] == [b"sub", b"sub/z.txt", b"x.txt", b"y.md"]
        assert [path for path, _ in second.below] == [b"sub", b"sub/deep", b"sub/deep/z.md", b"x.txt"]

    def test_a_malformed_pattern_has_a_place(self, tree: HostTree) -> None:
        """A class that is never closed is an error at the instruction."""
        with pytest.raises(BuildfileError) as caught:
            picked(tree, "[a")
        assert caught.value.span == SPAN

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.lists(
            st.lists(st.sampled_from(["*", "?", "[a-x]", "[^d]", "a", "d", "ir1", "x", ".", "txt", "sub"]), min_size=1)
            .map("".join)
            .filter(lambda part: part not in (".", "..")),
            min_size=1,
            max_size=3,
        ).map("/".join)
    )
    def test_parts_match_as_the_whole_pattern_does(self, tree: HostTree, pattern: str) -> None:
        """Walking part by part finds the very paths of as many parts that the pattern matches as a whole.

        (As in Go, `[^d]` on its own matches a slash too; a walk never asks it about one.)
        """
        if not any(mark in pattern for mark in "*?["):
            return
        everything = [path for path, _ in picked(tree, ".")[0].below]
        glob = compile_match(pattern)
        deep = [path for path in everything if path.count(b"/") == pattern.count("/")]
        expected = sorted(path for path in deep if glob.matches(os.fsdecode(path)))
        assert [one.path for one in picked(tree, pattern)] == expected


class TestExcludes:
    """--exclude."""

    def test_it_looks_below_the_source(self, tree: HostTree) -> None:
        """Patterns are matched against paths inside the directory that is copied."""
        (one,) = picked(tree, "dir1", "*.md", "sub/*.txt")
        assert [path for path, _ in one.below] == [b"sub", b"x.txt"]

    def test_a_directory_goes_with_all_below(self, tree: HostTree) -> None:
        """Unless something is let in again."""
        assert [path for path, _ in picked(tree, "dir2", "sub")[0].below] == [b"x.txt"]
        again = [path for path, _ in picked(tree, "dir2", "sub", "!sub/deep")[0].below]
        assert again == [b"sub/deep", b"sub/deep/z.md", b"x.txt"]

    def test_a_file_that_a_wildcard_found(self, tree: HostTree) -> None:
        """`--exclude=*.md a*` leaves a.md out, as in the reference; what is named in full is meant."""
        assert [one.name for one in picked(tree, "a*", "*.md")] == [b"a.txt", b"arr[0].txt"]
        assert [one.name for one in picked(tree, "a.md", "*.md")] == [b"a.md"]

    def test_everything(self, tree: HostTree) -> None:
        """Directories that match a wildcard are still there, and empty."""
        found = picked(tree, "dir*", "*")
        assert [(one.name, len(one.below)) for one in found] == [(b"dir1", 0), (b"dir2", 0)]

    def test_with_parents_it_looks_at_the_shown_path(self, tree: HostTree) -> None:
        """Below the pivot, the source's own name too."""
        assert placed(picked(tree, "dir2", "dir2/sub", parents=True)) == ["x.txt"]
        assert picked(tree, "dir1/y.md", "dir1/*.md", parents=True) == []
        assert [one.name for one in picked(tree, "dir1/./*", "*.md", parents=True)] == [b"sub", b"x.txt"]
        assert picked(tree, "dir1", "dir1", parents=True) == []


class TestParents:
    """--parents."""

    def test_the_path_is_kept(self, tree: HostTree) -> None:
        """With the directories on the way."""
        (one,) = picked(tree, "dir2/sub/deep/z.md", parents=True)
        assert one.name == b"dir2/sub/deep/z.md"
        assert [path for path, _ in one.through] == [b"dir2", b"dir2/sub", b"dir2/sub/deep"]

    @pytest.mark.parametrize(
        ("source", "names"),
        [
            ("dir2/./sub/deep/z.md", ["sub/deep/z.md"]),
            ("./dir1/x.txt", ["dir1/x.txt"]),
            ("dir2/./sub/./deep", ["sub/deep"]),
            ("dir?/./x.txt", ["x.txt", "x.txt"]),
            ("dir*/./sub/**/z.*", ["sub/z.txt", "sub/deep/z.md"]),
            ("**/z.*", ["dir1/sub/z.txt", "dir2/sub/deep/z.md"]),
            ("dir2/./**/x.txt", ["x.txt"]),
            ("dir1/./nosuch*", []),
            ("nosuch*/./x", []),
            ("dir?/./y.md", ["y.md"]),
        ],
    )
    def test_the_pivot(self, tree: HostTree, source: str, names: list[str]) -> None:
        """What stands before `/./` is not shown, and may be a wildcard itself."""
        assert [os.fsdecode(one.name) for one in picked(tree, source, parents=True)] == names

    def test_two_stars_alone(self, tree: HostTree) -> None:
        """Everything, once each."""
        found = [one.name for one in picked(tree, "**", parents=True)]
        assert len(found) == len(set(found)) == len(FILES) + DIRECTORIES

    def test_what_is_named_must_be_there(self, tree: HostTree) -> None:
        """Without wildcards a missing source is an error."""
        with pytest.raises(ContextError, match="not found"):
            picked(tree, "dir1/./nosuch", parents=True)


@pytest.mark.parametrize(("sources", "destination"), [(2, "/a"), (3, "/a/b")])
def test_several_sources_need_a_directory(sources: int, destination: str) -> None:
    """It ends with a slash, or it is an error that says so."""
    with pytest.raises(BuildfileError) as caught:
        need_directory(sources, destination, SPAN)
    assert caught.value.hint == f"write {destination}/"
    need_directory(sources, destination + "/", SPAN)
    need_directory(1, destination, SPAN)

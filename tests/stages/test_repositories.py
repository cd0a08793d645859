"""Tests for ADD of git repositories, from a real `git daemon`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.errors import BuildfileError, ContextError
from tests.stages.builds import Bench, content
from tests.support.repositories import Working, daemon


@pytest.fixture
def working(tmp_path: Path) -> Working:
    """A repository with two directories, a link, and a tag; published."""
    made = Working.new(tmp_path / "working")
    made.commit(top="1", docs__a_dot_txt="a", docs__deep__b="b")
    (made.path / "out").symlink_to("/etc")
    (made.path / "alias").symlink_to("docs")
    made.commit_all()
    made.git("tag", "v1")
    made.publish(tmp_path / "served" / "r.git")
    return made


@pytest.fixture
def url(working: Working, tmp_path: Path) -> Iterator[str]:
    """Where it is served."""
    assert working.path.is_dir()
    with daemon(tmp_path / "served") as address:
        yield f"{address}/r.git"


def test_all_of_it(bench: Bench, url: str) -> None:
    """The files of the commit are in the destination, owned by root, without .git; links are as they are."""
    image = bench.build(f"FROM scratch\nADD {url} /src\n")
    assert content(image, "/src/docs/a.txt") == "a"
    node = image.node("/src/top")
    assert node is not None and (node.info.uid, node.info.gid, node.info.mode) == (0, 0, 0o644)
    assert image.node("/src/.git") is None
    out = image.node("/src/out")
    assert out is not None and (out.kind, out.info.linkname) == ("symlink", "/etc")


def test_the_same_commit_gives_the_same_layer(bench: Bench, url: str, tmp_path: Path) -> None:
    """A commit that is known is taken from the cache; fetched anew by somebody else it gives the same layer."""
    first = bench.build(f"FROM scratch\nADD {url} /src\n")
    bench.build(f"FROM scratch\nADD {url} /src\n")
    assert bench.started == []
    (tmp_path / "other").mkdir()
    other = Bench(tmp_path / "other").build(f"FROM scratch\nADD {url} /src\n")
    assert other.config["rootfs"]["diff_ids"] == first.config["rootfs"]["diff_ids"]


def test_a_new_commit_is_seen(bench: Bench, url: str, working: Working, tmp_path: Path) -> None:
    """A branch that moved is fetched again; a tag that stayed is not."""
    bench.build(f"FROM scratch\nADD {url} /new\nADD {url}#v1 /old\n")
    working.commit(top="2")
    working.publish(tmp_path / "served" / "r.git")
    image = bench.build(f"FROM scratch\nADD {url} /new\nADD {url}#v1 /old\n")
    assert (content(image, "/new/top"), content(image, "/old/top")) == ("2", "1")


def test_directory(bench: Bench, url: str) -> None:
    """Of a directory only its contents are taken, in both ways to name it."""
    image = bench.build(f"FROM scratch\nADD {url}#v1:docs /a\nADD {url}?ref=v1&subdir=docs/deep /b\n")
    assert content(image, "/a/deep/b") == "b"
    assert content(image, "/b/b") == "b"
    assert image.node("/a/top") is None


@pytest.mark.parametrize("directory", ["out", "alias/deep", "top", "nowhere", "out/ssl"])
def test_directories_that_lead_out(bench: Bench, url: str, directory: str) -> None:
    """No link is followed on the way to the directory, and it has to be one (CVE-2026-33747)."""
    error = bench.fails(ContextError, f"FROM scratch\nADD {url}#:{directory} /a\n")
    assert directory in error.message
    assert error.span is not None


def test_keep_git_dir(bench: Bench, url: str) -> None:
    """--keep-git-dir and the URL's own form keep .git."""
    for line in (f"ADD --keep-git-dir=true {url} /a", f"ADD {url}?keep-git-dir=1 /a"):
        assert bench.build(f"FROM scratch\n{line}\n").node("/a/.git/HEAD") is not None


def test_checksum(bench: Bench, url: str, working: Working) -> None:
    """--checksum is the commit; another one ends the build."""
    commit = working.git("rev-parse", "v1")
    bench.build(f"FROM scratch\nADD --checksum={commit} {url}#v1 /a\n")
    bench.fails(ContextError, f"FROM scratch\nADD --checksum={'a' * 40} {url}#v1 /a\n")
    bench.fails(BuildfileError, f"FROM scratch\nADD --checksum=sha256:{'a' * 64} {url} /a\n")


def test_beside_files_and_flags(bench: Bench, url: str) -> None:
    """A repository stands beside files; --chown, --chmod and --exclude hold for it."""
    bench.file("own.txt", "x")
    image = bench.build(f"FROM scratch\nADD --chown=5:6 --chmod=600 --exclude=**/*.txt own.txt {url}#v1:docs /a/\n")
    assert content(image, "/a/own.txt") == "x"
    node = image.node("/a/deep/b")
    assert node is not None and (node.info.uid, node.info.gid, node.info.mode) == (5, 6, 0o600)
    assert image.node("/a/a.txt") is None
    changed = bench.build(f"FROM scratch\nADD --chown=5:6 --chmod=600 own.txt {url}#v1:docs /a/\n")
    assert changed.node("/a/a.txt") is not None


def test_variables(bench: Bench, url: str) -> None:
    """A URL may hold variables."""
    image = bench.build(f"FROM scratch\nARG REF=v1\nADD {url}#${{REF}}:docs /a\n")
    assert content(image, "/a/a.txt") == "a"


def test_no_encryption(bench: Bench) -> None:
    """Plain http leads to this machine only, unless a whole commit id says what must come."""
    error = bench.fails(ContextError, "FROM scratch\nADD http://example.invalid/r.git#main /a\n")
    assert "encryption" in error.message


def test_copy_fetches_nothing(bench: Bench) -> None:
    """COPY of a git URL is refused, with ADD as the way."""
    error = bench.fails(BuildfileError, "FROM scratch\nCOPY https://example.invalid/r.git /a\n")
    assert "ADD" in (error.hint or "")


def test_nothing_is_left(bench: Bench, url: str) -> None:
    """The checkout is gone after the build, and the store is whole."""
    bench.build(f"FROM scratch\nADD {url} /a\n")
    assert bench.problems() == []
    assert not list(bench.root.rglob("checkout"))

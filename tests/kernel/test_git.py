"""Tests for fetching git repositories with the host's git, from real servers on loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from builder.errors import ContextError, MachineError
from builder.kernel import git
from builder.kernel.git import Git
from builder.values.repository import Repository, parse_repository
from tests.support.repositories import Working, daemon, plain_http

Serve = Callable[[Path], AbstractContextManager[str]]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The address of a daemon that serves what is in `served`."""
    (tmp_path / "served").mkdir(exist_ok=True)
    with daemon(tmp_path / "served") as address:
        yield address


@pytest.fixture
def working(tmp_path: Path) -> Working:
    """A repository with two commits, a branch, a light tag and an annotated one; published."""
    made = Working.new(tmp_path / "working")
    made.commit(a_dot_txt="one", sub__b_dot_txt="b")
    made.git("tag", "v1")
    made.git("branch", "old")
    made.commit(a_dot_txt="two")
    made.git("tag", "-a", "v2", "-m", "x")
    made.publish(tmp_path / "served" / "r.git")
    return made


def named(text: str) -> Repository:
    """The repository of a URL."""
    found = parse_repository(text)
    assert found is not None
    return found


def names(directory: Path) -> list[str]:
    """The files below a directory."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir())


class TestCommit:
    """Which commit is meant."""

    @pytest.mark.parametrize(
        ("ref", "rev"),
        [
            ("", "main"),
            ("#main", "main"),
            ("#refs/heads/old", "old"),
            ("#old", "old"),
            ("#v1", "v1"),
            ("#v2", "v2^{}"),
            ("?tag=v2", "v2^{}"),
            ("?branch=old", "old"),
        ],
    )
    def test_refs(self, served: str, working: Working, ref: str, rev: str) -> None:
        """Nothing is the default branch; branches, tags and full names are themselves; a tag is what it points at."""
        assert Git().commit_of(named(f"{served}/r.git{ref}")) == working.git("rev-parse", rev)

    def test_branch_before_tag(self, served: str, working: Working, tmp_path: Path) -> None:
        """Of a branch and a tag of one name the branch counts."""
        working.git("tag", "main", "v1")
        working.publish(tmp_path / "served" / "r.git")
        assert Git().commit_of(named(f"{served}/r.git#main")) == working.git("rev-parse", "refs/heads/main")

    def test_no_part_of_a_name(self, served: str, working: Working) -> None:
        """A ref is not found by the end of its name, as ls-remote would have it."""
        working.git("branch", "deep/leaf")
        with pytest.raises(ContextError, match="leaf"):
            Git().commit_of(named(f"{served}/r.git#leaf"))

    def test_checksum(self, served: str, working: Working) -> None:
        """The commit must begin with the checksum."""
        commit = working.git("rev-parse", "main")
        assert Git().commit_of(named(f"{served}/r.git?checksum={commit[:12]}")) == commit
        with pytest.raises(ContextError, match="not abcdef0"):
            Git().commit_of(named(f"{served}/r.git?checksum=abcdef0"))

    def test_missing_repository(self, served: str) -> None:
        """A repository that is not there is told of in git's words."""
        with pytest.raises(ContextError, match="not-there"):
            Git().commit_of(named(f"{served}/not-there.git"))


class TestCheckOut:
    """The files of a commit."""

    @pytest.mark.parametrize("serve", [daemon, plain_http])
    @pytest.mark.parametrize("rev", ["main", "old"])
    def test_files(self, working: Working, tmp_path: Path, serve: Serve, rev: str) -> None:
        """The files are those of the commit, with its time, and nothing of git's is among them; from any server."""
        commit = working.git("rev-parse", rev)
        with serve(tmp_path / "served") as address:
            Git().check_out(named(f"{address}/r.git#{commit}"), commit, tmp_path / "out")
        out = tmp_path / "out"
        assert names(out) == ["a.txt", "sub/b.txt"]
        assert (out / "a.txt").read_text() == {"main": "two", "old": "one"}[rev]
        assert {path.stat().st_mtime for path in (out, out / "a.txt", out / "sub")} == {1600000000}
        assert (out / "a.txt").stat().st_mode & 0o777 == 0o644

    def test_keeping_the_git_directory(self, served: str, working: Working, tmp_path: Path) -> None:
        """A kept .git knows the commit and where it came from, without the password."""
        repository = named(f"{served}/r.git?keep-git-dir=1")
        Git().check_out(repository, working.git("rev-parse", "main"), tmp_path / "out")
        kept = Working(tmp_path / "out")
        assert kept.git("rev-parse", "HEAD") == working.git("rev-parse", "main")
        assert kept.git("config", "remote.origin.url") == f"{served}/r.git"
        assert kept.git("status", "--porcelain") == ""
        assert not (tmp_path / "out/.git/hooks").exists()

    def test_submodules(self, served: str, working: Working, tmp_path: Path) -> None:
        """Submodules come along, unless the URL says no."""
        inner = Working.new(tmp_path / "inner")
        inner.commit(inside="x")
        inner.publish(tmp_path / "served" / "inner.git")
        working.git("submodule", "add", "--quiet", f"{served}/inner.git", "module")
        commit = working.commit_all()
        working.publish(tmp_path / "served" / "r.git")
        Git().check_out(named(f"{served}/r.git"), commit, tmp_path / "with")
        assert "module/inside" in names(tmp_path / "with")
        Git().check_out(named(f"{served}/r.git?submodules=false"), commit, tmp_path / "without")
        assert "module/inside" not in names(tmp_path / "without")

    def test_local_submodules(self, served: str, working: Working, tmp_path: Path) -> None:
        """A submodule that is a directory of this machine is not fetched (CVE-2022-39253)."""
        secret = Working.new(tmp_path / "secret")
        secret.commit(key="hush")
        working.git("submodule", "add", "--quiet", str(secret.path), "module")
        commit = working.commit_all()
        working.publish(tmp_path / "served" / "r.git")
        with pytest.raises(ContextError, match="not allowed"):
            Git().check_out(named(f"{served}/r.git"), commit, tmp_path / "out")

    @pytest.mark.usefixtures("working")
    def test_commit_that_is_not_there(self, served: str, tmp_path: Path) -> None:
        """A commit that nobody has is an error."""
        with pytest.raises(ContextError):
            Git().check_out(named(f"{served}/r.git#{'1' * 40}"), "1" * 40, tmp_path / "out")


def commit_tree(working: Working, path: str, *, times: int = 0) -> str:
    """A commit with one file at `path`, its tree under ten names in a tree, and that so often; its id."""
    source = working.path / "a.txt"
    blob = working.git("hash-object", "-w", str(source))
    working.git("read-tree", "--empty")
    working.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}")
    tree = working.git("write-tree")
    for _ in range(times):
        working.git("read-tree", "--empty")
        for number in range(10):
            working.git("read-tree", f"--prefix=d{number}/", tree)
        tree = working.git("write-tree")
    commit = working.git("commit-tree", "-m", "x", tree)
    working.git("update-ref", "refs/heads/main", commit)
    return commit


class TestHardening:
    """What git must not do."""

    def test_more_files_than_allowed(
        self, served: str, working: Working, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Trees that name each other tenfold are counted before they are files, and refused."""
        commit = commit_tree(working, "f", times=2)
        working.publish(tmp_path / "served" / "r.git")
        monkeypatch.setattr(git, "MOST_FILES", 210)
        Git().check_out(named(f"{served}/r.git"), commit, tmp_path / "out")
        monkeypatch.setattr(git, "MOST_FILES", 100)
        with pytest.raises(ContextError, match="has more than 100 files"):
            Git().check_out(named(f"{served}/r.git"), commit, tmp_path / "other")
        assert os.listdir(tmp_path / "other") == [".git"]

    def test_more_bytes_than_allowed(
        self, served: str, working: Working, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The sizes of a commit's files are added up before any is written."""
        commit = working.commit(large="x" * 5000)
        working.publish(tmp_path / "served" / "r.git")
        monkeypatch.setattr(git, "MOST_BYTES", 5000)
        with pytest.raises(ContextError, match="or 5000 bytes"):
            Git().check_out(named(f"{served}/r.git"), commit, tmp_path / "out")

    def test_directories_deeper_than_the_stack(self, served: str, working: Working, tmp_path: Path) -> None:
        """A repository may be as deep as a path is long."""
        commit = commit_tree(working, "d/" * 1200 + "f")
        working.publish(tmp_path / "served" / "r.git")
        Git().check_out(named(f"{served}/r.git"), commit, tmp_path / "out")
        assert (tmp_path / "out" / "d" / "d").stat().st_mtime == 1_600_000_000
        subprocess.run(["rm", "-rf", str(tmp_path / "out")], check=True)  # too deep for shutil

    def test_settings_of_others(
        self, served: str, working: Working, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The caller's configuration, hooks and environment have no effect."""
        marker = tmp_path / "marker"
        script = tmp_path / "evil"
        script.write_text(f"#!/bin/sh\ntouch {marker}\nexit 1\n")
        script.chmod(0o755)
        config = tmp_path / "gitconfig"
        config.write_text(
            f'[core]\n\thooksPath = {tmp_path}\n\tsshCommand = {script}\n[filter "x"]\n\tsmudge = {script}\n'
        )
        (tmp_path / "post-checkout").symlink_to(script)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
        monkeypatch.setenv("GIT_DIR", "/nowhere")
        monkeypatch.setenv("GIT_EXTERNAL_DIFF", str(script))
        (tmp_path / ".gitconfig").write_text(config.read_text())
        (working.path / ".gitattributes").write_text("* filter=x\n")
        commit = working.commit_all()
        working.publish(tmp_path / "served" / "r.git")
        Git().check_out(named(f"{served}/r.git"), commit, tmp_path / "out")
        assert not marker.exists()

    def test_time_limit(self) -> None:
        """A server that never answers costs no more than the limit, and git is gone afterwards."""
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            begun = time.monotonic()
            with pytest.raises(ContextError, match="longer"):
                Git(longest_s=0.5).commit_of(named(f"git://127.0.0.1:{listener.getsockname()[1]}/r.git"))
        assert time.monotonic() - begun < 5

    def test_password_in_the_url(self) -> None:
        """A password is in no message."""
        with pytest.raises(ContextError) as caught:
            Git().commit_of(named("http://me:hush@127.0.0.1:1/r.git"))
        assert "hush" not in caught.value.message

    def test_no_git(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where there is no git, the error names the package."""
        monkeypatch.setattr(git, "_PATH", os.devnull)
        with pytest.raises(MachineError) as caught:
            Git().commit_of(named("https://example.com/r.git"))
        assert "install git" in (caught.value.hint or "")

"""Tests for contexts from standard input, from URLs and from git, each in a whole build."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builder.errors import BuildfileError, ContextError, PybuildError, UsageError
from builder.pipeline import build
from builder.source import SourceText
from builder.store import Store
from builder.values.elsewhere import Elsewhere, StreamContext, source_of
from builder.values.request import BuildRequest
from tests.stages.builds import NAME, Bench, content
from tests.support.images import ReadImage, read_layout
from tests.support.repositories import Working, daemon, plain_http


def archive(mode: str = "w:gz", **files: str) -> bytes:
    """A tar of these files (`_dot_` in a name is a dot, `__` a slash)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:  # type: ignore[call-overload]
        for name, text in files.items():
            info = tarfile.TarInfo(name.replace("_dot_", ".").replace("__", "/"))
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


def build_from(bench: Bench, elsewhere: Elsewhere | None, **asked: Any) -> ReadImage:
    """Build with a context from elsewhere."""
    request = BuildRequest(bench.context, tags=(NAME,), elsewhere=elsewhere, **asked)
    with Store.open(bench.root) as store:
        build(request, store, bench.events.append)
    assert bench.problems() == []
    return read_layout(bench.root, str(NAME))


def build_stdin(bench: Bench, data: bytes, **asked: Any) -> ReadImage:
    """Build with this on standard input."""
    source = bench.room / "stdin"
    source.write_bytes(data)
    with open(source, "rb") as stream:
        return build_from(bench, StreamContext(stream.fileno()), **asked)


class TestStream:
    """`-`: standard input."""

    @pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
    def test_archive(self, bench: Bench, mode: str) -> None:
        """A tar is the context, with its Buildfile and ignore file in it."""
        data = archive(mode, Dockerfile="FROM scratch\nCOPY . /c/\n", f="x", g="y", _dot_dockerignore="g\n")
        image = build_stdin(bench, data)
        assert content(image, "/c/f") == "x"
        assert image.node("/c/g") is None

    def test_pipe(self, bench: Bench) -> None:
        """It may be a pipe, which cannot be read twice."""
        reader, writer = os.pipe()
        os.write(writer, archive(Dockerfile="FROM scratch\nCOPY f /f\n", f="x"))
        os.close(writer)
        with open(reader, "rb") as stream:
            assert content(build_from(bench, StreamContext(stream.fileno())), "/f") == "x"

    def test_named_buildfile(self, bench: Bench) -> None:
        """-f names a file of the archive, with an ignore file of its own; errors call it by that name."""
        data = archive(sub__B="FROM scratch\nCOPY . /c/\n", f="x", sub__B_dot_dockerignore="f\n", bad="FROM a b c\n")
        image = build_stdin(bench, data, buildfile=Path("sub/B"))
        assert image.node("/c/f") is None and image.node("/c/bad") is not None
        with pytest.raises(BuildfileError) as caught:
            build_stdin(bench, data, buildfile=Path("bad"))
        assert str(caught.value.span) == "standard input:bad:1"

    @pytest.mark.parametrize("name", ["nowhere", "../stdin", "/etc/passwd", "out", "dir/passwd"])
    def test_buildfile_outside(self, bench: Bench, name: str) -> None:
        """A Buildfile that is not in the archive, or is a link out of it, is not read."""
        out = io.BytesIO(archive("w", f="x"))
        with tarfile.open(fileobj=out, mode="a") as tar:
            for link, target in (("out", "/etc/passwd"), ("dir", "/etc")):
                info = tarfile.TarInfo(link)
                info.type, info.linkname = tarfile.SYMTYPE, target
                tar.addfile(info)
        with pytest.raises(ContextError) as caught:
            build_stdin(bench, out.getvalue(), buildfile=Path(name))
        assert "root:" not in str(caught.value)

    def test_buildfile_alone(self, bench: Bench) -> None:
        """Text is a Buildfile with an empty context."""
        assert build_stdin(bench, b"FROM scratch\nLABEL a=b\n").config["config"]["Labels"] == {"a": "b"}
        with pytest.raises(ContextError, match="not found"):
            build_stdin(bench, b"FROM scratch\nCOPY f /\n")
        with pytest.raises(UsageError):
            build_stdin(bench, b"FROM scratch\n", buildfile=Path("x"))

    @pytest.mark.parametrize("data", [b"", b" \n", b"\0\1\2", archive(f="x" * 5000)[:60]])
    def test_neither(self, bench: Bench, data: bytes) -> None:
        """What is neither a Buildfile nor a whole archive is an error of the context."""
        with pytest.raises(PybuildError) as caught:
            build_stdin(bench, data)
        assert caught.value.exit_code in (3, 4)

    def test_nothing_is_left(self, bench: Bench) -> None:
        """After the build the files are gone, and nothing is remembered of where they were."""
        build_stdin(bench, archive(Dockerfile="FROM scratch\nCOPY f /f\n", f="needle"))
        (bench.room / "stdin").unlink()
        left = [path for path in bench.root.rglob("*") if path.is_file() and b"needle" in path.read_bytes()]
        assert left == []
        build_stdin(bench, archive(Dockerfile="FROM scratch\nCOPY f /f\n", f="needle"))
        with Store.open(bench.root) as store:
            tables = store.fingerprint_path(bench.context).parent
        assert not tables.exists() or list(tables.iterdir()) == []


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """The address of a server of what is in `served`."""
    (tmp_path / "served").mkdir(exist_ok=True)
    with plain_http(tmp_path / "served") as address:
        yield address


class TestUrl:
    """http URLs."""

    def test_archive_and_text(self, bench: Bench, web: str, tmp_path: Path) -> None:
        """An archive is the context; a text is a Buildfile."""
        (tmp_path / "served/c.tgz").write_bytes(archive(Dockerfile="FROM scratch\nCOPY f /f\n", f="x"))
        (tmp_path / "served/text").write_text("FROM scratch\nLABEL a=b\n")
        assert content(build_from(bench, source_of(f"{web}/c.tgz")), "/f") == "x"
        assert build_from(bench, source_of(f"{web}/text")).config["config"]["Labels"] == {"a": "b"}
        with pytest.raises(ContextError, match="the context"):
            build_from(bench, source_of(f"{web}/nowhere"))

    def test_named(self, bench: Bench, web: str, tmp_path: Path) -> None:
        """A named context may be an archive's URL; a text is none."""
        (tmp_path / "served/c.tgz").write_bytes(archive(f="x"))
        (tmp_path / "served/text").write_text("FROM scratch\n")
        text = SourceText("B", "FROM scratch\nCOPY --from=extra f /f\n")
        image = build_from(bench, None, buildfile=text, build_contexts=(("extra", f"{web}/c.tgz"),))
        assert content(image, "/f") == "x"
        with pytest.raises(ContextError, match="extra"):
            build_from(bench, None, buildfile=text, build_contexts=(("extra", f"{web}/text"),))


class TestGit:
    """Git URLs."""

    def test_context(self, bench: Bench, tmp_path: Path) -> None:
        """A repository is the context; ref and directory as in ADD; .git only where it is asked for."""
        working = Working.new(tmp_path / "working")
        working.commit(Dockerfile="FROM scratch\nCOPY . /c/\n", d__Dockerfile="FROM scratch\nCOPY f /f\n", d__f="x")
        working.publish(tmp_path / "served" / "r.git")
        with daemon(tmp_path / "served") as address:
            whole = build_from(bench, source_of(f"{address}/r.git"))
            assert content(whole, "/c/d/f") == "x"
            assert whole.node("/c/.git") is None
            assert content(build_from(bench, source_of(f"{address}/r.git#main:d")), "/f") == "x"
            kept = build_from(bench, source_of(f"{address}/r.git?keep-git-dir"))
            assert kept.node("/c/.git/HEAD") is not None
            text = SourceText("B", "FROM scratch\nCOPY --from=extra f /f\n")
            named = build_from(bench, None, buildfile=text, build_contexts=(("extra", f"{address}/r.git#:d"),))
            assert content(named, "/f") == "x"

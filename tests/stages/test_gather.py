"""What the host gives: the Buildfile's text, the ignore file, and the directories that files come from."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from builder.errors import BuildfileError, ContextError
from builder.source import SourceText
from builder.stages.gather import MOST_LINES, TEXT_LIMIT_BYTES, decode_buildfile, read_buildfile, read_ignore_rules
from builder.values.event import Event, StepStarted
from builder.values.request import BuildRequest
from tests.stages.builds import Bench, content

not_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")


def _read(context: Path, buildfile: Path | SourceText | None = None) -> SourceText:
    return read_buildfile(BuildRequest(context, buildfile))


def test_the_usual_names_in_their_order(tmp_path: Path) -> None:
    """Buildfile comes before Containerfile before Dockerfile; errors call it by its path."""
    for name in ("Dockerfile", "Containerfile", "Buildfile"):
        (tmp_path / name).write_text(f"FROM {name.lower()}\n")
        found = _read(tmp_path)
        assert found == SourceText(str(tmp_path / name), f"FROM {name.lower()}\n")


def test_no_buildfile(tmp_path: Path) -> None:
    """A context without any of the names is told which there could be."""
    with pytest.raises(ContextError, match="no Buildfile") as caught:
        _read(tmp_path)
    assert "Containerfile" in (caught.value.hint or "")


def test_a_text_already_read(tmp_path: Path) -> None:
    """`-f -` is taken as it is; nothing in the context counts."""
    (tmp_path / "Buildfile").write_text("FROM other\n")
    text = SourceText("-", "FROM this\n")
    assert _read(tmp_path, text) is text


def test_a_named_buildfile_may_be_a_link(tmp_path: Path) -> None:
    """A link named by -f is followed wherever it leads; one in the context stays inside its directory."""
    (tmp_path / "real").write_text("FROM scratch\n")
    context = tmp_path / "context"
    context.mkdir()
    (context / "Buildfile").symlink_to("../real")
    assert _read(context, context / "Buildfile").text == "FROM scratch\n"
    with pytest.raises(ContextError):
        _read(context)


def test_things_that_are_no_buildfile(tmp_path: Path) -> None:
    """A directory, a pipe, a socket, a missing file: each is said; nothing is waited for."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dir").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "sock"))
        for name, words in (("pipe", "named pipe"), ("dir", "directory"), ("sock", "socket"), ("no", "no Buildfile")):
            with pytest.raises(ContextError, match=words):
                _read(tmp_path, tmp_path / name)


def test_a_huge_buildfile(tmp_path: Path) -> None:
    """A file beyond the limit is refused without being read whole."""
    with open(tmp_path / "Buildfile", "wb") as file:
        file.truncate(TEXT_LIMIT_BYTES + 1)
    with pytest.raises(BuildfileError, match="larger than 8 MiB"):
        _read(tmp_path)


@pytest.mark.parametrize(("data", "words"), [(b"FROM a\nRUN \0\n", "NUL"), (b"FROM a\nRUN \xff\n", "f:2 is not UTF-8")])
def test_what_is_not_text(data: bytes, words: str) -> None:
    """Binary files and other encodings are refused, the latter with the line."""
    with pytest.raises(BuildfileError, match=words):
        decode_buildfile(data, "f")


@not_root
def test_a_buildfile_that_may_not_be_read(tmp_path: Path) -> None:
    """A file without permission is a ContextError with the file's name."""
    (tmp_path / "Buildfile").write_text("FROM a\n")
    (tmp_path / "Buildfile").chmod(0)
    with pytest.raises(ContextError, match="Buildfile cannot be read: Permission denied"):
        _read(tmp_path)


def test_which_ignore_file_counts(tmp_path: Path) -> None:
    """The Buildfile's own comes before .containerignore before .dockerignore; another Buildfile's never counts."""

    def excluded(buildfile: Path | SourceText | None = None) -> list[str]:
        rules = read_ignore_rules(BuildRequest(tmp_path, buildfile))
        return [name for name in ("own", "container", "docker", "other") if rules.excludes(name)]

    (tmp_path / "Buildfile").write_text("FROM scratch\n")
    (tmp_path / "Dockerfile.dockerignore").write_text("other\n")
    assert excluded() == []
    (tmp_path / ".dockerignore").write_text("docker\n")
    assert excluded() == ["docker"]
    (tmp_path / ".containerignore").write_text("container\n")
    assert excluded() == ["container"]
    (tmp_path / "Buildfile.dockerignore").write_text("own\n")
    assert excluded() == ["own"]
    assert excluded(tmp_path / "Dockerfile") == ["other"]
    assert excluded(SourceText("-", "")) == ["container"]


def test_an_ignore_file_out_of_bounds(tmp_path: Path) -> None:
    """An ignore file that is a pipe, or a link that leads out, is refused; a mark at its start is no part of it."""
    os.mkfifo(tmp_path / ".dockerignore")
    with pytest.raises(ContextError, match="named pipe"):
        read_ignore_rules(BuildRequest(tmp_path))
    (tmp_path / ".dockerignore").unlink()
    (tmp_path / ".dockerignore").symlink_to("/etc/hostname")
    with pytest.raises(ContextError, match="cannot be read"):
        read_ignore_rules(BuildRequest(tmp_path))
    (tmp_path / ".dockerignore").unlink()
    (tmp_path / ".dockerignore").write_bytes(b"\xef\xbb\xbfa\n")
    assert read_ignore_rules(BuildRequest(tmp_path)).excludes("a")


def test_a_context_that_is_not_there(bench: Bench) -> None:
    """A context that is a file or missing is refused when files are wanted from it."""
    for path, words in ((bench.room / "nowhere", "does not exist"), (bench.file("f"), "is not a directory")):
        with pytest.raises(ContextError, match=words):
            read_buildfile(BuildRequest(path))


@not_root
def test_unreadable_files_of_the_context(bench: Bench) -> None:
    """A file or directory that may not be read is a ContextError with its name, at the line that wants it."""
    bench.file("d/secret", "x", 0)
    error = bench.fails(ContextError, "FROM scratch\nCOPY d /d\n")
    assert "cannot read d/secret: Permission denied" in error.message
    assert ".dockerignore" in (error.hint or "")
    assert error.span is not None and error.span.first == 2
    os.chmod(bench.context / "d", 0)
    error = bench.fails(ContextError, "FROM scratch\nCOPY . /d\n")
    os.chmod(bench.context / "d", 0o755)
    assert "d" in error.message and "Permission denied" in error.message
    bench.file(".dockerignore", "d/secret\n")
    assert bench.build("FROM scratch\nCOPY d /d\n").node("/d") is not None


def test_files_that_change_while_they_are_read(bench: Bench) -> None:
    """A file that is exchanged between its look-up and its packing fails the build, whether its size differs or not,
    and the next build is right."""
    path = bench.file("f", "first")

    def exchange(event: Event) -> None:
        if isinstance(event, StepStarted):
            path.write_text(late)

    for late in ("longer than before", "other"):
        path.write_text("first")
        bench.meanwhile = exchange
        error = bench.fails(ContextError, "FROM scratch\nCOPY f /f\n", no_cache=True)
        assert "f changed while it was read" in error.message
        bench.meanwhile = repr
        assert content(bench.build("FROM scratch\nCOPY f /f\n"), "/f") == late
    assert bench.problems() == []


def test_a_file_that_becomes_a_pipe(bench: Bench) -> None:
    """What was a file when it was looked at and is a pipe when it is opened is refused, and not waited for."""
    path = bench.file("f", "first")

    def exchange(event: Event) -> None:
        if isinstance(event, StepStarted):
            path.unlink()
            os.mkfifo(path)

    bench.meanwhile = exchange
    assert "cannot read f in the build context" in bench.fails(ContextError, "FROM scratch\nCOPY f /f\n").message


def test_a_pipe_in_the_context_is_not_opened(bench: Bench) -> None:
    """A pipe is copied as a pipe; a socket is left out; nobody waits for a writer."""
    os.mkfifo(bench.context / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(bench.context / "sock"))
        image = bench.build("FROM scratch\nCOPY . /d/\n")
    node = image.node("/d/pipe")
    assert node is not None and node.kind == "fifo"
    assert image.node("/d/sock") is None


def test_digests_are_remembered(bench: Bench) -> None:
    """An unchanged file is not read again by the next build; the table lies in the store, by the context's path."""
    path = bench.file("f", "text")
    os.utime(path, (1, 1))
    bench.build("FROM scratch\nCOPY f /f\n")
    assert bench.build("FROM scratch\nCOPY f /f\n") and bench.cached == ["COPY f /f"]
    path.write_text("TEXT")
    os.utime(path, (1, 1))
    assert content(bench.build("FROM scratch\nCOPY f /f\n"), "/f") == "TEXT"


def test_a_named_directory_has_its_own_ignore_file(bench: Bench) -> None:
    """The .dockerignore of a named context holds for that context."""
    other = bench.room / "other"
    other.mkdir()
    for name in ("a", "b"):
        (other / name).write_text(name)
    (other / ".dockerignore").write_text("b\n")
    bench.file(".dockerignore", "a\n")
    image = bench.build("FROM scratch\nCOPY --from=o . /\n", build_contexts=(("o", str(other)),))
    assert content(image, "/a") == "a" and image.node("/b") is None


def test_nothing_stays_open(bench: Bench) -> None:
    """A build lets go of every descriptor, whether it works or fails."""
    bench.file("a.tar", b"x" * 600)
    before = len(os.listdir("/proc/self/fd"))
    for buildfile in ("FROM scratch\nADD a.tar /\n", "FROM scratch\nCOPY no /\n"):
        try:
            bench.build(buildfile)
        except ContextError:
            pass
    assert len(os.listdir("/proc/self/fd")) == before


def test_more_lines_than_a_buildfile_has() -> None:
    """Each line costs memory: a file of nothing but line ends is refused before it is cut into lines."""
    assert decode_buildfile(b"\n" * MOST_LINES, "x")
    with pytest.raises(BuildfileError, match="more than 200000 lines"):
        decode_buildfile(b"\n" * (MOST_LINES + 1), "x")

"""The command line as a request."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from builder.commands.caller import Caller
from builder.commands.options import BuildOptions
from builder.commands.request import STDIN_LIMIT_BYTES, request_of
from builder.errors import BuildfileError, ContextError, PybuildError, UsageError
from builder.source import SourceText
from builder.values.access import Access
from builder.values.compression import Compression
from builder.values.crossing import NetworkMode
from builder.values.elsewhere import Elsewhere, StreamContext, UrlContext
from builder.values.output import OciOutput
from builder.values.platform import Platform
from builder.values.repository import Repository
from builder.values.request import BuildRequest
from tests.commands.callers import caller
from tests.report import terminal

NO_ACCESS = Access()


def test_a_line_with_everything(tmp_path: Path) -> None:
    """Every option ends up in the request."""
    (tmp_path / "token").write_bytes(b"t")
    options = BuildOptions(
        context=str(tmp_path),
        file="sub/Dockerfile",
        build_arg=("A=1", "B"),
        build_context=("src=../src", "base=docker-image://debian:12"),
        target="final",
        platform="linux/arm64",
        pull=True,
        no_cache=True,
        tag=("app:1", "app:1", "app"),
        label=("a=b",),
        output=("type=oci,dest=out",),
        network="none",
        add_host=("db:10.0.0.1",),
        secret=(f"id=t,src={tmp_path / 'token'}",),
        ulimit=("nofile=5",),
        memory="1k",
        jobs="3",
        allow=("network.host",),
    )
    request = request_of(options, caller(environment={"B": "2", "http_proxy": "http://p"}))
    assert dataclasses.replace(request, tags=(), secrets=(), ulimits=(), access=NO_ACCESS) == BuildRequest(
        context=tmp_path,
        buildfile=Path("sub/Dockerfile"),
        build_args=(("A", "1"), ("B", "2")),
        build_contexts=(("src", "../src"), ("base", "docker-image://debian:12")),
        labels=(("a", "b"),),
        target="final",
        platform=Platform("linux", "arm64"),
        network=NetworkMode.NONE,
        no_cache=True,
        pull=True,
        outputs=(OciOutput(Path("out")),),
        allow=("network.host",),
        add_hosts=(("db", "10.0.0.1"),),
        memory_bytes=1024,
        jobs=3,
        proxies=(("http_proxy", "http://p"),),
        access=NO_ACCESS,
    )
    assert [tag.familiar for tag in request.tags] == ["app:1", "app:latest"]
    assert [(secret.id, secret.value) for secret in request.secrets] == [("t", b"t")]
    assert [(limit.name, limit.soft) for limit in request.ulimits] == [("nofile", 5)]


def test_a_bare_line(tmp_path: Path) -> None:
    """Without options there are no surprises: the context, and nothing of the environment but proxies."""
    request = request_of(BuildOptions(context=str(tmp_path)), caller(environment={"A": "1"}))
    assert dataclasses.replace(request, access=NO_ACCESS) == BuildRequest(context=tmp_path, access=NO_ACCESS)


def test_a_proxy_given_as_build_arg_wins(tmp_path: Path) -> None:
    """A proxy variable that is given on the line is not also taken from the environment."""
    options = BuildOptions(context=str(tmp_path), build_arg=("HTTP_PROXY=mine",))
    request = request_of(options, caller(environment={"HTTP_PROXY": "theirs", "NO_PROXY": "x"}))
    assert request.build_args == (("HTTP_PROXY", "mine"),)
    assert request.proxies == (("NO_PROXY", "x"),)


def test_the_last_secret_of_an_id_counts(tmp_path: Path) -> None:
    """As with docker a later secret takes the place of an earlier one."""
    options = BuildOptions(context=str(tmp_path), secret=("id=a,env=ONE", "id=a,env=TWO"))
    request = request_of(options, caller(environment={"ONE": "1", "TWO": "2"}))
    assert [secret.value for secret in request.secrets] == [b"2"]


def test_a_buildfile_on_standard_input(tmp_path: Path) -> None:
    """`-f -` is a text that has been read already."""
    request = request_of(BuildOptions(context=str(tmp_path), file="-"), caller(stdin="FROM größe\n".encode()))
    assert request.buildfile == SourceText("-", "FROM größe\n")


@pytest.mark.parametrize("data", [b"FROM a\n\xff", b"x" * (STDIN_LIMIT_BYTES + 1)], ids=["binary", "endless"])
def test_no_buildfile_on_standard_input(tmp_path: Path, data: bytes) -> None:
    """What is not UTF-8, or too much of it, is no Buildfile."""
    with pytest.raises(BuildfileError, match="standard input"):
        request_of(BuildOptions(context=str(tmp_path), file="-"), caller(stdin=data))


@pytest.mark.parametrize(
    ("context", "elsewhere"),
    [
        ("https://example.org/x.git#main:d", Repository("https://example.org/x.git", "main", "d")),
        ("git@example.org:x.git", Repository("git@example.org:x.git")),
        ("github.com/a/b", Repository("https://github.com/a/b.git")),
        ("https://example.org/x.tar.gz", UrlContext("https://example.org/x.tar.gz")),
    ],
)
def test_contexts_elsewhere(context: str, elsewhere: Elsewhere) -> None:
    """URLs are contexts; what they are called is kept."""
    request = request_of(BuildOptions(context=context), caller())
    assert (request.elsewhere, request.context) == (elsewhere, Path(context))


def test_context_on_standard_input(tmp_path: Path) -> None:
    """`-` is standard input, which is not read yet; a Buildfile cannot come from there as well."""
    (tmp_path / "stdin").write_bytes(b"x")
    with open(tmp_path / "stdin", "rb") as stdin:
        who = dataclasses.replace(caller(), stdin=stdin)
        assert request_of(BuildOptions(context="-"), who).elsewhere == StreamContext(stdin.fileno())
        assert stdin.read() == b"x"
        with pytest.raises(UsageError, match="both"):
            request_of(BuildOptions(context="-", file="-"), who)


def test_a_directory_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that is there is the context, whatever it is called."""
    (tmp_path / "github.com" / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert request_of(BuildOptions(context="github.com/a/b"), caller()).elsewhere is None


@pytest.mark.parametrize(
    ("context", "kind", "words"),
    [
        (None, UsageError, "context is missing"),
        ("", UsageError, "empty"),
        ("ftp://example.org/x.tar", UsageError, "URL"),
        ("https://example.org/x.git#--upload-pack=x", UsageError, "branch"),
        ("/nonexistent", ContextError, "does not exist"),
        ("/dev/null", ContextError, "is not a directory"),
        ("a\0b", ContextError, "cannot be looked at|does not exist"),
        ("x" * 5000, ContextError, "cannot be looked at|does not exist"),
    ],
)
def test_contexts_that_cannot_be(context: str | None, kind: type[PybuildError], words: str) -> None:
    """A context that is missing, no directory, or of a kind that is not supported is refused by name."""
    with pytest.raises(kind, match=words) as caught:
        request_of(BuildOptions(context=context), caller())
    assert caught.value.hint


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"file": ""}, "-f/--file"),
        ({"target": " "}, "--target"),
        ({"build_context": ("x=ftp://example.org/x",)}, "--build-context x"),
        ({"build_context": ("x=https://example.org/x.git?evil=1",)}, "--build-context x"),
        ({"output": ("type=oci,dest=-", "type=oci,dest=-")}, "share standard output"),
        ({"output": ("type=oci,dest=-",), "quiet": True}, "-q/--quiet"),
    ],
)
def test_combinations_that_cannot_be(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    """Words that are well formed but ask for what is not there are refused with their option."""
    with pytest.raises(UsageError, match=words):
        request_of(dataclasses.replace(BuildOptions(context=str(tmp_path)), **changes), caller())  # type: ignore[arg-type]


def test_a_tar_does_not_go_to_a_terminal(tmp_path: Path) -> None:
    """`dest=-` is refused while standard output is a terminal."""
    with terminal.opened() as (_, theirs), os.fdopen(os.dup(theirs), "w") as stream:
        base = caller()
        who = Caller(base.environment, base.directory, base.home, base.stdin, stream, base.stderr)
        with pytest.raises(UsageError, match="is a terminal"):
            request_of(BuildOptions(context=str(tmp_path), output=("type=oci,dest=-",)), who)


def test_settings_are_the_defaults_of_a_build(tmp_path: Path) -> None:
    """What the configuration file says counts where the command line says nothing."""
    (tmp_path / "config.toml").write_text(
        '[store]\nlimit = "1MB"\n[build]\nnetwork = "none"\ncompression = "zstd"\ncompression-level = 19\njobs = 2\n'
    )
    who = caller(tmp_path, {"PYBUILD_CONFIG": "config.toml"})
    request = request_of(BuildOptions(context=str(tmp_path)), who)
    assert (request.network, request.store_limit_bytes) == (NetworkMode.NONE, 1 << 20)
    assert (request.compression, request.compression_level, request.jobs) == (Compression.ZSTD, 19, 2)
    assert request_of(BuildOptions(context=str(tmp_path), network="default"), who).network is NetworkMode.DEFAULT

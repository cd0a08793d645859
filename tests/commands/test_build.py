"""The build command."""

from __future__ import annotations

import json
import os
import socket
import tarfile
from pathlib import Path
from typing import Any

import pytest

from builder.commands.build import build, read_mode, wants_check
from builder.commands.caller import Caller
from builder.commands.options import BuildOptions
from builder.errors import BuildfileError, PybuildError, StoreError, UsageError
from builder.report import Mode
from tests.commands.built import make_context
from tests.commands.callers import caller, remarked, said
from tests.report import terminal


def test_what_is_said_at_the_end(tmp_path: Path) -> None:
    """The last lines name the image, its size and how to look at it; standard output stays empty."""
    context = make_context(tmp_path / "context")
    who = caller(tmp_path)
    options = BuildOptions(context=str(context), tag=("app:1", "app"), root="the store", progress="plain")
    assert build(options, who) == 0
    lines = remarked(who).splitlines()
    assert lines[-3].startswith("Built app:1, app:latest: ") and lines[-3].endswith(" in 2 layers")
    assert lines[-1] == "  look at it: pybuild inspect --root 'the store' app:1"
    assert said(who) == ""


def test_quiet_prints_only_the_digest(tmp_path: Path) -> None:
    """-q writes one line to standard output and nothing to standard error."""
    who = caller(tmp_path)
    options = BuildOptions(context=str(make_context(tmp_path / "c")), root="store", quiet=True, metadata_file="meta")
    assert build(options, who) == 0
    assert said(who).strip() == json.loads((tmp_path / "meta").read_text())["containerimage.digest"]
    assert remarked(who) == ""


def test_a_layout_and_an_archive(tmp_path: Path) -> None:
    """Several outputs of one build: a directory and a tar, both whole, both named at the end."""
    who = caller(tmp_path)
    out, tar = tmp_path / "out", tmp_path / "out.tar"
    outputs = (f"type=oci,dest={out}", f"type=oci,dest={tar}")
    assert build(BuildOptions(context=str(make_context(tmp_path / "c")), root="store", output=outputs), who) == 0
    assert (out / "index.json").is_file()
    with tarfile.open(tar) as archive:
        assert "index.json" in archive.getnames()
    assert f"written:    {out}" in remarked(who) and f"written:    {tar}" in remarked(who)


def test_nothing_is_left_under_a_final_name(tmp_path: Path) -> None:
    """A build that fails writes neither image id nor metadata, and takes away those of an earlier one."""
    context = make_context(tmp_path / "c", "FROM scratch\nCOPPY a b\n")
    (tmp_path / "iid").write_text("old")
    with pytest.raises(BuildfileError):
        build(BuildOptions(context=str(context), root="store", iidfile="iid", metadata_file="meta"), caller(tmp_path))
    assert not (tmp_path / "iid").exists() and not (tmp_path / "meta").exists()


def test_secrets_are_not_in_errors(tmp_path: Path) -> None:
    """An error that happens to hold a secret's value is shown without it."""
    context = make_context(tmp_path / "c", "FROM scratch\nCOPY s3cret-value /\n")
    options = BuildOptions(context=str(context), root="store", secret=("id=a,env=TOKEN",))
    with pytest.raises(PybuildError) as caught:
        build(options, caller(tmp_path, {"TOKEN": "s3cret-value"}))
    assert "s3cret" not in f"{caught.value.message}{caught.value.hint}{caught.value}"
    assert "***" in caught.value.message


def test_usage_comes_before_anything_is_made(tmp_path: Path) -> None:
    """A malformed word makes no store."""
    with pytest.raises(UsageError):
        build(BuildOptions(context=str(tmp_path), root="store", memory="lots"), caller(tmp_path))
    assert not (tmp_path / "store").exists()


def test_a_place_that_is_no_store(tmp_path: Path) -> None:
    """A root that holds something else is refused."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "precious").touch()
    with pytest.raises(StoreError):
        build(BuildOptions(context=str(make_context(tmp_path / "c")), root="store"), caller(tmp_path))


def test_how_a_build_is_shown() -> None:
    """auto is a live view on a terminal and plain elsewhere; -q is quiet; other values are refused."""
    assert read_mode(BuildOptions(), caller()) is Mode.PLAIN
    assert read_mode(BuildOptions(quiet=True), caller()) is Mode.QUIET
    with terminal.opened() as (_, theirs), os.fdopen(os.dup(theirs), "w") as stream:
        base = caller()
        who = Caller({"TERM": "xterm"}, base.directory, base.home, base.stdin, base.stdout, stream)
        assert read_mode(BuildOptions(), who) is Mode.TTY
        assert read_mode(BuildOptions(progress="auto"), who) is Mode.TTY
        assert read_mode(BuildOptions(progress="plain"), who) is Mode.PLAIN
    for other in ("tty", "quiet", "rawjson", ""):
        with pytest.raises(UsageError, match="--progress"):
            read_mode(BuildOptions(progress=other), caller())


def test_a_socket_in_the_context_is_no_obstacle(tmp_path: Path) -> None:
    """A context may hold what cannot be copied, as long as nobody copies it."""
    context = make_context(tmp_path / "c")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(context / "sock"))
        assert build(BuildOptions(context=str(context), root="store"), caller(tmp_path)) == 0


@pytest.mark.parametrize("asked", [{"check": True}, {"call": "check"}])
def test_check_builds_nothing(tmp_path: Path, asked: dict[str, Any]) -> None:
    """--check and --call=check show the findings, say how many there are, end with 1, and build nothing."""
    context = make_context(tmp_path / "c", "FROM scratch\nCMD x\n")
    who = caller(tmp_path)
    assert build(BuildOptions(context=str(context), root="store", tag=("app",), **asked), who) == 1
    lines = remarked(who).splitlines()
    assert "JSONArgsRecommended" in lines[0]
    assert lines[-1] == "checked: 1 warning"
    assert not list((tmp_path / "store" / "blobs" / "sha256").iterdir())


def test_check_without_findings(tmp_path: Path) -> None:
    """A clean file ends with 0; with -q nothing is said."""
    context = make_context(tmp_path / "c", 'FROM scratch\nCMD ["x"]\n')
    who = caller(tmp_path)
    assert build(BuildOptions(context=str(context), root="store", check=True, quiet=True), who) == 0
    assert remarked(who) == ""


def test_unknown_call() -> None:
    """Other methods of --call are refused, `build` is what happens anyway."""
    with pytest.raises(UsageError, match="outline"):
        wants_check(BuildOptions(call="outline"))
    assert not wants_check(BuildOptions(call="build"))

"""`pybuild copy`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from builder.commands.caller import Caller
from builder.commands.copy import run
from builder.commands.line import Line, Value
from builder.errors import ImageError, PybuildError, UsageError
from builder.oci.archive import ArchiveSource
from builder.oci.layout import LayoutSource
from builder.stages.images import build_platform
from builder.store import Store
from tests.commands.built import build_into
from tests.commands.callers import caller, remarked, said
from tests.commands.test_save import Terminal
from tests.registry import running_registry, skopeo


def copy(tmp_path: Path, src: str, dst: str, who: Caller | None = None, **options: Value) -> Caller:
    """Copy with the store below `tmp_path`; whoever did it."""
    who = who or caller(tmp_path, home=tmp_path)
    values: dict[str, Value] = {"src": src, "dst": dst, "root": str(tmp_path / "store")}
    values |= dict.fromkeys(("platform", "format", "src_creds", "dest_creds", "creds", "authfile", "cert_dir"))
    values |= {"all": False, "quiet": False, "insecure_registry": ()}
    assert run(Line({**values, **options}), who) == 0
    return who


def test_the_stores_image_comes_first(tmp_path: Path) -> None:
    """A source without a transport is the store's, by name or digest; the digest at the destination is printed."""
    digest = build_into(tmp_path / "store", tmp_path / "one", "app:1")
    for source in ("app:1", "store:app:1", digest[7:20]):
        assert said(copy(tmp_path, source, "oci:l:1")) == f"{digest}\n"
    assert str(LayoutSource(tmp_path / "l", "1").load(build_platform()).manifest.digest) == digest


def test_what_the_store_lacks_is_the_registrys(tmp_path: Path) -> None:
    """As FROM has it; with store: in front it is not looked for elsewhere."""
    digest = build_into(tmp_path / "store", tmp_path / "one", "app:1")
    with running_registry(tmp_path) as address:
        assert said(copy(tmp_path, "app:1", f"docker://{address}/app:1")) == f"{digest}\n"
        assert said(copy(tmp_path, f"{address}/app:1", "oci:l:1")) == f"{digest}\n"
        with pytest.raises(ImageError, match="in the store"):
            copy(tmp_path, f"store:{address}/app:1", "oci:l:1")
        shown = skopeo("inspect", "--tls-verify=false", "--format", "{{.Digest}}", f"docker://{address}/app:1")
        assert shown.strip() == digest


def test_an_archive_on_standard_output_is_alone_there(tmp_path: Path) -> None:
    """No digest beside it; and no archive on a terminal."""
    digest = build_into(tmp_path / "store", tmp_path / "one", "app:1")
    with open(tmp_path / "a.tar", "w", encoding="utf-8") as out:
        copy(tmp_path, "app:1", "docker-archive:-:x:2", replace(caller(tmp_path), stdout=out))
    loaded = ArchiveSource(tmp_path / "a.tar", "docker.io/library/x:2").load(build_platform())
    assert str(loaded.manifest.digest) == digest
    with pytest.raises(UsageError, match="not written to a terminal"):
        copy(tmp_path, "app:1", "oci-archive:-", replace(caller(tmp_path), stdout=Terminal()))


def test_into_the_store_under_a_name(tmp_path: Path) -> None:
    """From any transport."""
    digest = build_into(tmp_path / "other", tmp_path / "one", "app:1")
    copy(tmp_path, "app:1", "oci:l:1", root=str(tmp_path / "other"))
    assert said(copy(tmp_path, "oci:l:1", "store:new:2")) == f"{digest}\n"
    with Store.open(tmp_path / "store") as store:
        assert [image.name for image in store.images.all()] == ["docker.io/library/new:2"]


def test_quiet_is_quiet(tmp_path: Path) -> None:
    """Only the digest is left."""
    build_into(tmp_path / "store", tmp_path / "one", "app:1")
    copy(tmp_path, "app:1", "oci:l:1")
    who = copy(tmp_path, "oci:l:1", "store:new:2", quiet=True, root=str(tmp_path / "other"))
    assert remarked(who) == "" and said(who).startswith("sha256:")


@pytest.mark.parametrize(
    ("src", "dst", "options", "words"),
    [
        ("app", "app:2", {}, "needs its transport in front"),
        ("app", "oci:l", {"format": "x"}, "--format"),
        ("app", "oci:l", {"all": True, "format": "oci"}, "--all copies everything as it is"),
        ("app", "oci:l", {"all": True, "platform": "linux/amd64"}, "--all copies everything as it is"),
        ("docker://a.example/x", "docker://b.example/x", {"creds": "me:secret"}, "a login is for one"),
        ("a.example/x", "docker://b.example/x", {"creds": "me:secret"}, "a login is for one"),
        ("x", "docker://b.example/x", {"creds": "me:secret"}, "a login is for one"),
        ("oci:none", "oci:l", {}, "none does not exist"),
        ("App", "oci:l", {}, "names are lower case"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    tmp_path: Path, src: str, dst: str, options: dict[str, Value], words: str
) -> None:
    """Before anything is written."""
    with pytest.raises(PybuildError, match=words) as caught:
        copy(tmp_path, src, dst, None, **options)
    assert "secret" not in caught.value.message
    assert not (tmp_path / "l").exists()

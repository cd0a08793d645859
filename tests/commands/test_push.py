"""`pybuild push` to a real registry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.commands.app import run
from builder.errors import ImageError, UsageError
from builder.oci.registry import RegistrySource
from tests.commands.built import build_into
from tests.commands.callers import caller, remarked, said
from tests.oci.images import AMD64
from tests.registry import running_registry


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a docker-registry."""
    with running_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


def push(root: Path, *words: str) -> tuple[str, str]:
    """Run the command; what it said and what it remarked."""
    who = caller(root.parent)
    assert run(["push", "--root", str(root), *words], who) == 0
    return said(who), remarked(who)


def test_an_image_goes_where_its_name_says(registry: str, tmp_path: Path) -> None:
    """The digest is printed, and what was sent is told beside it."""
    digest = build_into(tmp_path / "store", tmp_path / "context", f"{registry}/own:1")
    out, told = push(tmp_path / "store", f"{registry}/own:1")
    assert out == f"{digest}\n"
    assert f"pushed {registry}/own:1: 3 blobs sent (" in told
    assert str(RegistrySource(f"{registry}/own:1").load(AMD64).manifest.digest) == digest


def test_a_destination_is_another_name(registry: str, tmp_path: Path) -> None:
    """With or without docker:// in front, by the name or by a digest; what is there already is not sent."""
    digest = build_into(tmp_path / "store", tmp_path / "context", "app:1")
    push(tmp_path / "store", "app:1", f"{registry}/other:1")
    out, told = push(tmp_path / "store", digest, f"docker://{registry}/other:2")
    assert out == f"{digest}\n"
    assert "3 blobs there already (" in told
    assert str(RegistrySource(f"{registry}/other:2").load(AMD64).manifest.digest) == digest


def test_quiet_prints_the_digest_alone(registry: str, tmp_path: Path) -> None:
    """Nothing goes to standard error; the digest file has the same."""
    digest = build_into(tmp_path / "store", tmp_path / "context", "app:1")
    told = push(tmp_path / "store", "-q", "--digestfile", "digest", "app:1", f"{registry}/quiet:1")
    assert told == (f"{digest}\n", "")
    assert (tmp_path / "digest").read_text() == digest


def test_all_tags_go(registry: str, tmp_path: Path) -> None:
    """Every name of the repository, and no other; an image with several tags is pushed once."""
    build_into(tmp_path / "store", tmp_path / "context", f"{registry}/all:1", f"{registry}/all:2", f"{registry}/else:3")
    out, _ = push(tmp_path / "store", "--all-tags", f"{registry}/all")
    assert len(out.splitlines()) == 1
    for tag in ("1", "2"):
        RegistrySource(f"{registry}/all:{tag}").load(AMD64)
    with pytest.raises(ImageError, match="was not found"):
        RegistrySource(f"{registry}/else:3").load(AMD64)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("app:1",), "app:1 names no registry"),
        (("app:1", "oci:there"), "oci:there is not in a registry"),
        (("app:1", "host.test/UPPER"), "names are lower case"),
        (("--all-tags", "app", "host.test/app"), "the tags go to where their names say"),
        (("--all-tags", "app:1"), "app:1 names one of them"),
        (("--all-tags", "--digestfile", "d", "app"), "there may be several digests"),
        (("--format", "tar", "app:1", "host.test/app"), "'tar' is not supported"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    """Before anything is sent, with what to do instead."""
    build_into(tmp_path / "store", tmp_path / "context", "app:1")
    with pytest.raises(UsageError, match=message) as caught:
        push(tmp_path / "store", *words)
    assert caught.value.hint


def test_a_digest_is_no_destination_of_its_own(tmp_path: Path) -> None:
    """Without a name in the store there is nowhere to go."""
    digest = build_into(tmp_path / "store", tmp_path / "context")
    with pytest.raises(UsageError, match="is no name to push to"):
        push(tmp_path / "store", digest)


def test_an_image_that_is_not_there(tmp_path: Path) -> None:
    """The name is said, and no store is made where there was none."""
    with pytest.raises(ImageError, match="there is no image 'app:1' in the store"):
        push(tmp_path / "store", "app:1", "host.test/app")
    assert not (tmp_path / "store").exists()

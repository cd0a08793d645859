"""`pybuild images`."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from builder.commands.app import run
from builder.errors import UsageError
from builder.store import Store
from builder.values.reference import Reference
from tests.commands.built import build_into
from tests.commands.callers import caller, said
from tests.commands.looks import json_of, lines_of, store_image
from tests.report import terminal
from tests.stages.builds import row


def test_the_latest_comes_first(tmp_path: Path) -> None:
    """Every name has a line with tag, short digest, age and size."""
    root = tmp_path / "store"
    digest = build_into(root, tmp_path / "c", "first:1")
    build_into(root, tmp_path / "c", "localhost:5000/second:2")
    who = caller()
    assert run(["images", "--root", str(root), "--format", "table"], who) == 0
    head, second, first = said(who).splitlines()
    assert head.split() == ["NAME", "TAG", "DIGEST", "AGE", "SIZE", "SHARED", "UNIQUE"]
    assert second.startswith("localhost:5000/second  2    ") and first.startswith("first ")
    assert digest[7:19] in first


def test_json(tmp_path: Path) -> None:
    """Programs get an array of objects."""
    digest = build_into(tmp_path / "store", tmp_path / "c", "app:1")
    who = caller()
    run(["images", "--root", str(tmp_path / "store"), "--format", "json"], who)
    [shown] = json.loads(said(who))
    assert (shown["name"], shown["tag"], shown["digest"]) == ("app", "1", digest)
    assert shown["size"] == shown["uniqueSize"] > 0 and shown["sharedSize"] == 0
    assert len(shown["platforms"]) == 1 and shown["created"]


def test_no_store_is_no_images(tmp_path: Path) -> None:
    """Where nothing was built there is an empty list, and looking makes no store."""
    who = caller()
    assert run(["images", "--root", str(tmp_path / "none"), "--format", "json"], who) == 0
    assert json.loads(said(who)) == []
    assert not (tmp_path / "none").exists()


def test_a_damaged_image_is_listed(tmp_path: Path) -> None:
    """An image whose manifest is gone is listed as damaged, beside the others."""
    root = tmp_path / "store"
    digest = build_into(root, tmp_path / "c", "app:1")
    (root / "blobs" / "sha256" / digest[7:]).unlink()
    who = caller()
    assert run(["images", "--root", str(root), "--format", "table"], who) == 0
    assert said(who).splitlines()[1].endswith("damaged")


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ("app", ["app:2", "app:1"]),
        ("app:1", ["app:1"]),
        ("docker.io/library/app", ["app:2", "app:1"]),
        ("localhost/team/app", ["localhost/team/app:3"]),
        ("*app:3", ["localhost/team/app:3"]),
        ("localhost/*", ["localhost/team/app:3"]),
        ("ap", []),
        ("app:3", []),
        ("NO:such name", []),
    ],
)
def test_names_choose(tmp_path: Path, asked: str, names: list[str]) -> None:
    """A name without a tag stands for all of its tags, one with a tag for itself, a pattern for what it fits."""
    for name in ("localhost/team/app:3", "app:1", "app:2"):
        store_image(tmp_path, name, [[row("a", "a")]])
    assert [f"{each['name']}:{each['tag']}" for each in json_of(tmp_path, "images", asked)] == names


def test_digests_alone(tmp_path: Path) -> None:
    """-q prints the beginning of each digest once, with --no-trunc all of it; other commands take either."""
    for name in ("app:1", "app:2"):
        store_image(tmp_path, name)
    [short] = lines_of(tmp_path, "images", "-q")
    [whole] = lines_of(tmp_path, "images", "-q", "--no-trunc")
    assert whole.startswith(f"sha256:{short}") and len(whole) == 71
    for digest in (short, whole):
        assert json_of(tmp_path, "inspect", digest)["names"] == ["app:1", "app:2"]


def test_eighty_columns(tmp_path: Path) -> None:
    """On a terminal lines fit its width, however long names are; --no-trunc cuts nothing."""
    name = "registry.example.com/some/quite/long/name/of/an/image:with-a-tag"
    store_image(tmp_path, name)
    with terminal.opened(columns=80) as (ours, theirs), os.fdopen(os.dup(theirs), "w") as stream:
        who = replace(caller(tmp_path), stdout=stream)
        run(["images", "--root", str(tmp_path / "store")], who)
        lines = terminal.read_now(ours).splitlines()
        assert all(len(line) <= 80 for line in lines) and lines[1].startswith("registry.example.com/some/")
        run(["images", "--no-trunc", "--root", str(tmp_path / "store")], who)
        assert "registry.example.com/some/quite/long/name/of/an/image  with-a-tag" in terminal.read_now(ours)


def test_formats_are_checked_first() -> None:
    """An unknown format is refused."""
    for form in ("yaml", "{{.ID}}"):
        with pytest.raises(UsageError):
            run(["images", "--format", form], caller())


def test_what_was_pulled_by_its_digest(tmp_path: Path) -> None:
    """A name with a digest and no tag is shown by its repository; its tag is null for programs."""
    store_image(tmp_path, "app:1")
    with Store.open(tmp_path / "store") as store:
        [image] = store.images.all()
        store.images.tag(Reference.parse(f"localhost:5000/team/app@{image.manifest.digest}"), image.manifest)
    assert {(each["name"], each["tag"]) for each in json_of(tmp_path, "images")} == {
        ("app", "1"),
        ("localhost:5000/team/app", None),
    }
    assert any(line.startswith("localhost:5000/team/app  <none>  ") for line in lines_of(tmp_path, "images"))
    assert len(json_of(tmp_path, "images", "localhost:5000/team/app")) == 1


def test_two_names_of_one_image(tmp_path: Path) -> None:
    """Names of one image all show what that image shares with others: a second name makes nothing of it shared."""
    store_image(tmp_path, "app:1", [[row("a", "a")]])
    alone = json_of(tmp_path, "images")[0]
    with Store.open(tmp_path / "store") as store:
        [image] = store.images.all()
        store.images.tag(Reference.parse("app:2"), image.manifest)
    for shown in json_of(tmp_path, "images"):
        assert (shown["sharedSize"], shown["uniqueSize"]) == (0, alone["uniqueSize"])

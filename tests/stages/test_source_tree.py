"""The trees that files are copied from: the context under its ignore rules, and stacks of layers."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.errors import ContextError
from builder.lang.ignore import IgnoreRules
from builder.oci.layout import LayoutSource
from builder.stages.images import FoundImage, build_platform
from builder.stages.layers import Layers
from builder.stages.source_tree import HostTree, SourceTree, StackTree, host_directory, real_path, walk
from builder.store import Store
from builder.tree.fingerprint import Fingerprints
from builder.tree.pack import Item, pack_layer
from builder.values.entry import Kind
from builder.values.event import Event
from builder.values.stack import Stack
from tests.stages.builds import base, row

FILES = {"a": "1", "d/b": "2", "d/e/c": "3", "z": "4"}


def _host(directory: Path, rules: str = "") -> HostTree:
    root = host_directory(directory, "the context")
    return HostTree(root, IgnoreRules.parse(rules, "ignore"), Fingerprints.load(directory / "none"), "the context")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with FILES and some links."""
    directory = tmp_path / "files"
    for name, text in FILES.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    (directory / "out").symlink_to("../../etc")
    (directory / "abs").symlink_to("/d/e")
    (directory / "loop").symlink_to("loop")
    os.link(directory / "a", directory / "d" / "same")
    return directory


@pytest.fixture(params=["host", "stack"])
def tree(request: pytest.FixtureRequest, tmp_path: Path, files: Path) -> Iterator[SourceTree]:
    """The same files as a directory of the host and as layers."""
    if request.param == "host":
        with_links = _host(files)
        yield with_links
        with_links.close()
        return
    links = {"out": "../../etc", "abs": "/d/e", "loop": "loop"}
    lower = [row("d"), row("d/e"), *(row(name, text) for name, text in FILES.items() if name != "z"), row("gone", "")]
    lower.append({"path": "d/same", "type": "hardlink", "to": "a"})
    upper = [{"path": name, "type": "symlink", "to": to} for name, to in links.items()]
    layout = base(tmp_path / "base", [lower, [*upper, row("z", "4"), row(".wh.gone", "")]])
    with Store.open(tmp_path / "store") as store:
        source = LayoutSource(Path(layout[4:].removesuffix(":latest")), "latest")
        image = source.load(build_platform())
        layers = Layers(store, list[Event]().append)
        layers.learn(FoundImage(image, source))
        yield StackTree(layers, Stack.of(image.layers), "the image")


def _names(tree: SourceTree, top: bytes = b"") -> list[bytes]:
    return [entry.path for entry in walk(tree, top)]


def test_a_walk_is_sorted_and_whole(tree: SourceTree) -> None:
    """Everything below a directory comes depth first with names sorted; links are not followed."""
    assert _names(tree) == [b"a", b"abs", b"d", b"d/b", b"d/e", b"d/e/c", b"d/same", b"loop", b"out", b"z"]
    assert _names(tree, b"d/e") == [b"d/e/c"]


def test_real_paths(tree: SourceTree) -> None:
    """Links are followed inside the tree only: an absolute one starts at the tree, `..` stops there."""
    assert real_path(tree, b"abs/c") == b"d/e/c"
    assert real_path(tree, b"abs") == b"d/e" and real_path(tree, b"abs", follow_last=False) == b"abs"
    assert real_path(tree, b"d/../../a") == b"a"
    assert real_path(tree, b"out/passwd") is None
    assert real_path(tree, b"a/b") is None and real_path(tree, b"nothing") is None
    assert real_path(tree, b"") == b""
    with pytest.raises(ContextError, match="too many symlinks"):
        real_path(tree, b"loop/x")


def test_contents_and_digests(tree: SourceTree) -> None:
    """Files open at their start, each with a descriptor of its own, and their digests are those of the content."""
    entries = [entry for entry in walk(tree, b"") if entry.kind is Kind.FILE]
    texts = []
    for opener in tree.openers(entries):
        fd = opener()
        texts.append(os.read(fd, 1))
        os.close(fd)
    assert texts == [b"1", b"2", b"3", b"1", b"4"]
    assert list(tree.digests(entries)) == [hashlib.sha256(text).hexdigest() for text in texts]


def test_names_of_one_file(tree: SourceTree) -> None:
    """Two names of one file have one identity, and no other file has it."""
    one, other, third = (entry for name in (b"a", b"d/same", b"z") if (entry := tree.look(name)) is not None)
    assert tree.identity(one) == tree.identity(other) != tree.identity(third)


def test_ignored_files_are_not_there(files: Path) -> None:
    """What the rules exclude cannot be looked at, is in no listing, and the hint says why it is missing."""
    tree = _host(files, "d\n!d/e\nz\n")
    assert _names(tree) == [b"a", b"abs", b"d", b"d/e", b"d/e/c", b"loop", b"out"]
    assert tree.look(b"z") is None and tree.look(b"d/b") is None
    assert "ignore file" in (tree.missing_hint(b"z") or "")
    assert "ignore file" not in (tree.missing_hint(b"nothing") or "")


def test_a_readmitted_child_that_is_not_there(files: Path) -> None:
    """An excluded directory shows only if something below it is let in again and exists."""
    assert b"d" not in _names(_host(files, "d\n!d/none\n"))
    assert b"d" not in _names(_host(files, "d\n"))


def test_a_file_exchanged_for_a_link(files: Path) -> None:
    """A name that has become a link since it was listed is refused, whatever the link points at."""
    tree = _host(files)
    entry = tree.look(b"a")
    assert entry is not None
    (opener,) = tree.openers([entry])
    (files / "a").unlink()
    (files / "a").symlink_to("/etc/passwd")
    with pytest.raises(ContextError, match="cannot read a"):
        opener()


def test_a_file_that_went_away(files: Path) -> None:
    """Its digest cannot be had any more, and that is said."""
    entry = _host(files).look(b"d/e/c")
    assert entry is not None
    (files / "d/e/c").unlink()
    with pytest.raises(ContextError, match="d/e/c went away"):
        list(_host(files).digests([entry]))


def _packed(tree: HostTree, path: bytes, room: Path) -> None:
    """Pack a file that nobody has read."""
    entry = tree.look(path)
    assert entry is not None
    pack_layer([Item(entry, tree.contents([entry])(entry))], room / "blob", room / "index", "none")


def test_packing_is_reading(files: Path, tmp_path: Path) -> None:
    """The digest of a file that is packed before anybody read it is known from then on."""
    tree = _host(files)
    _packed(tree, b"a", tmp_path)
    entry = tree.look(b"a")
    assert entry is not None and tree.unread([entry]) == []
    (files / "a").write_text("2")
    assert list(tree.digests([entry])) == [hashlib.sha256(b"1").hexdigest()]


@pytest.mark.parametrize("text", ["2", "22", ""])
def test_a_file_that_changes_before_it_is_packed(files: Path, tmp_path: Path, text: str) -> None:
    """Is refused, longer, shorter or of the same size; nothing stays of the layer."""
    tree = _host(files)
    assert tree.look(b"a") is not None
    (files / "a").write_text(text)
    os.utime(files / "a", (1, 1))
    with pytest.raises(ContextError, match="a changed while it was read"):
        _packed(tree, b"a", tmp_path)
    assert not (tmp_path / "blob").exists()


def test_two_threads_that_read_different_things(files: Path, tmp_path: Path) -> None:
    """What one has packed, another that reads other bytes cannot pack: all a build's layers are of one content."""
    tree = _host(files)
    entry = tree.look(b"a")
    assert entry is not None
    times = (files / "a").stat()
    late = tree.contents([entry])(entry)
    _packed(tree, b"a", tmp_path)
    (files / "a").write_text("2")
    os.utime(files / "a", ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(ContextError, match="a changed while it was read"):
        pack_layer([Item(entry, late)], tmp_path / "blob2", tmp_path / "index2", "none")


def test_a_huge_directory(tmp_path: Path) -> None:
    """Twenty thousand names in one directory cost one listing and no rules' work where there are no rules."""
    for number in range(20_000):
        os.close(os.open(tmp_path / f"{number:05}", os.O_CREAT | os.O_WRONLY))
    tree = _host(tmp_path)
    names = _names(tree)
    assert len(names) == 20_000 and names == sorted(names)
    assert real_path(tree, b"12345") == b"12345"


def test_a_deep_directory(tmp_path: Path) -> None:
    """Depth is somebody else's choice: no recursion breaks on it."""
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    assert len(_names(_host(tmp_path, "x\n"))) == 1100
    subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)  # pytest's own way of removing is recursive


@pytest.mark.parametrize(("name", "words"), [("no", "does not exist"), ("a", "is not a directory")])
def test_a_directory_that_is_none(files: Path, name: str, words: str) -> None:
    """A host directory that is missing or a file is told by its title."""
    with pytest.raises(ContextError, match=f"the stuff .*{words}"):
        host_directory(files / name, "the stuff")


def test_more_than_a_layer_holds_is_not_read(files: Path) -> None:
    """A sparse file that says it has terabytes is refused by its size, with its name, before it is read."""
    os.truncate(files / "z", 10 << 40)
    tree = _host(files)
    with pytest.raises(ContextError, match="z among them 10995116277760: no layer holds more"):
        tree.digests([entry for entry in walk(tree, b"") if entry.kind is Kind.FILE])
    tree.close()

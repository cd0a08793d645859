"""COPY: files of the context, of stages and of images become layers, with all that belongs to them."""

from __future__ import annotations

import os
import tarfile

import pytest

from builder.errors import BuildfileError, ContextError
from builder.stages.place import FIXED_MTIME_NS
from tests.stages.builds import Bench, base, content, row
from tests.support.images import ReadImage

CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")  # cap_net_raw+ep, as setcap writes it


def _names(image: ReadImage, layer: int = -1) -> list[str]:
    return [name for name, _, _ in image.layers[layer]]


def test_files_keep_what_is_theirs(bench: Bench) -> None:
    """Modes with setuid and times are kept; the host's owner is not; a link stays a link."""
    path = bench.file("d/tool", "x", 0o4755)
    os.utime(path, (1_500_000_000, 1_500_000_000))
    (bench.context / "d/link").symlink_to("tool")
    image = bench.build("FROM scratch\nCOPY d /d\n")
    tool, link = image.node("/d/tool"), image.node("/d/link")
    assert tool is not None and link is not None
    assert (tool.info.mode, tool.info.uid, tool.info.gid, tool.info.mtime) == (0o4755, 0, 0, 1_500_000_000)
    assert (link.kind, link.info.linkname) == ("symlink", "tool")


def test_times_have_whole_seconds(bench: Bench) -> None:
    """A file of the context and one of an archive lose their fraction of a second, and the header that it needs."""
    os.utime(bench.file("f"), ns=(0, 1_234_567_890_987_654_321))
    with tarfile.open(bench.context / "t.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("of-tar")
        info.mtime = 99.5
        tar.addfile(info)
    image = bench.build("FROM scratch\nCOPY f /f\nADD t.tar /\n")
    for path, time_s in (("/f", 1_234_567_890), ("/of-tar", 99)):
        node = image.node(path)
        assert node is not None and node.info.mtime == time_s and "mtime" not in node.info.pax_headers


@pytest.mark.kernel
def test_a_step_sees_the_times_that_the_layer_has(bench: Bench, busybox: str) -> None:
    """A later RUN sees a copied file's time in whole seconds; one that only looks changes nothing."""
    os.utime(bench.file("d/f"), ns=(0, 1_234_567_890_987_654_321))
    look = "stat -c %y /d/f; cat /d/f; test ! /d/f -ot /d/f"
    image = bench.build(f"FROM {busybox}\nCOPY d /d\nRUN {look}\nRUN touch /n\nCOPY d/f /n2\n")
    assert bench.output.startswith("2009-02-13 23:31:30.000000000")
    assert [_names(image, at) for at in (-3, -2, -1)] == [["d", "d/f"], ["n"], ["n2"]]


@pytest.mark.kernel
def test_what_a_step_made_loses_its_fraction(bench: Bench, busybox: str) -> None:
    """A file that a RUN wrote just now has whole seconds where it is copied to."""
    copied = f"FROM {busybox}\nCOPY --from=s /g /\nRUN stat -c %y /g\n"
    image = bench.build(f"FROM {busybox} AS s\nRUN echo y > /g\n{copied}")
    node = image.node("/g")
    assert ".000000000 " in bench.output
    assert node is not None and "mtime" not in node.info.pax_headers


def test_hard_links_from_a_stage(bench: Bench) -> None:
    """Names of one file stay names of one file, also across directories; the content is in the layer once."""
    rows = [row("a"), row("a/one", "same"), row("b"), {"path": "b/two", "type": "hardlink", "to": "a/one"}]
    layout = base(bench.room / "base", [rows])
    image = bench.build(f"FROM {layout} AS s\nFROM scratch\nCOPY --from=s / /x/\n")
    assert image.node("/x/a/one") is image.node("/x/b/two")
    assert [info.islnk() for name, info, _ in image.layers[0] if name.startswith("x/") and not info.isdir()] == [
        False,
        True,
    ]


def test_capabilities_and_owners_from_an_image(bench: Bench) -> None:
    """What is copied from an image keeps owners and extended attributes, unless --chown says otherwise."""
    rows = [row("ping", "x", mode="0755", uid=5, gid=6, xattrs={"security.capability": CAPABILITY.hex()})]
    layout = base(bench.room / "base", [rows])
    image = bench.build(f"FROM scratch\nCOPY --from={layout} ping /a\n", build_contexts=())
    node = image.node("/a")
    assert node is not None and (node.info.uid, node.info.gid) == (5, 6)
    assert node.xattrs == {"security.capability": CAPABILITY}
    node = bench.build(f"FROM scratch\nCOPY --from={layout} --chown=7:8 ping /a\n").node("/a")
    assert node is not None and (node.info.uid, node.info.gid) == (7, 8)


def test_the_same_files_give_the_same_layer(bench: Bench) -> None:
    """Neither the order of a directory nor the umask nor the clock changes a layer."""
    for name in ("b", "a", "c/d"):
        os.utime(bench.file(f"d/{name}", name), (1, 1))
    for directory in ("d/c", "d"):
        os.utime(bench.context / directory, (1, 1))
    first = bench.build("FROM scratch\nCOPY d /x/y/\n").diff_ids
    assert bench.build("FROM scratch\nCOPY d /x/y/\n", no_cache=True).diff_ids == first
    assert bench.started != []


def test_made_directories_have_a_fixed_time(bench: Bench) -> None:
    """A directory that is made on the way is of root, 0755, and as old as every other such one."""
    bench.file("f")
    node = bench.build("FROM scratch\nCOPY f /a/b/f\n").node("/a")
    assert node is not None
    info = node.info
    assert (info.mode, info.uid, info.mtime) == (0o755, 0, FIXED_MTIME_NS // 1_000_000_000)


def test_source_date_epoch_is_the_latest_time(bench: Bench) -> None:
    """With SOURCE_DATE_EPOCH no file of the layer is newer, and what is older stays so."""
    os.utime(bench.file("old"), (100, 100))
    os.utime(bench.file("new"), (2_000_000_000, 2_000_000_000))
    asked = {"build_args": (("SOURCE_DATE_EPOCH", "1000"),)}
    image = bench.build("FROM scratch\nCOPY old new /d/\n", **asked)
    times = {name: info.mtime for name, info, _ in image.layers[0]}
    assert times == {"d": 1000, "d/old": 100, "d/new": 1000}
    assert image.config["created"] == "1970-01-01T00:16:40Z"


def test_the_directories_above_are_in_the_layer(bench: Bench) -> None:
    """A layer repeats the directories that its files are in, as they are, and nothing else that has not changed."""
    layout = base(bench.room / "base", [[row("tmp", mode="1777"), row("tmp/app", uid=5), row("tmp/app/old", "1")]])
    bench.file("new", "2")
    image = bench.build(f"FROM {layout}\nCOPY new /tmp/app/\n")
    assert [(name, info.mode, info.uid) for name, info, _ in image.layers[-1]] == [
        ("tmp", 0o1777, 0),
        ("tmp/app", 0o755, 5),
        ("tmp/app/new", 0o644, 0),
    ]
    assert content(image, "/tmp/app/old") == "1"


def test_through_a_link_of_the_image(bench: Bench) -> None:
    """A destination goes through the image's links, and `..` in them stops at its root."""
    links = [{"path": "lib", "type": "symlink", "to": "usr/lib"}, {"path": "up", "type": "symlink", "to": "../../../x"}]
    layout = base(bench.room / "base", [[row("usr"), row("usr/lib"), *links]])
    bench.file("f", "1")
    image = bench.build(f"FROM {layout}\nCOPY f /lib/\nCOPY f /up/f\n")
    assert (_names(image, -2), _names(image)) == (["usr", "usr/lib", "usr/lib/f"], ["x", "x/f"])


def test_link_does_not_look_at_the_base(bench: Bench) -> None:
    """COPY --link makes the same layer on any base, and is known there without being done again."""
    bench.file("f", "1")
    one, two = (base(bench.room / name, [[row(name)]]) for name in ("one", "two"))
    first = bench.build(f"FROM {one}\nCOPY --link f /d/f\n")
    second = bench.build(f"FROM {two}\nCOPY --link f /d/f\n")
    assert first.diff_ids[-1] == second.diff_ids[-1]
    assert bench.cached == ["COPY --link f /d/f"]


def test_heredocs(bench: Bench) -> None:
    """A file written in the Buildfile has its text, and the mode that --chmod says."""
    image = bench.build("FROM scratch\nARG V=x\nCOPY --chmod=750 <<a <<'b' /d/\n$V\na\n$V\nb\n")
    assert (content(image, "/d/a"), content(image, "/d/b")) == ("x\n", "$V\n")
    node = image.node("/d/a")
    assert node is not None and node.info.mode == 0o750


def test_a_missing_source_and_a_bad_target(bench: Bench) -> None:
    """What is not there is named with its place; sources need a directory, and a directory no file in its way."""
    bench.file("f", "1")
    bench.file("d/x", "1")
    error = bench.fails(ContextError, "FROM scratch\nCOPY f nothing /d/\n")
    assert "nothing" in error.message and error.span is not None and error.span.first == 2
    bench.fails(BuildfileError, "FROM scratch\nCOPY f d/x /d\n")
    bench.fails(BuildfileError, "FROM scratch\nCOPY f /d\nCOPY d /d\n")


def test_nothing_to_copy_makes_no_layer(bench: Bench) -> None:
    """An empty directory copied to one that is there changes nothing, and the second build knows it."""
    (bench.context / "empty").mkdir()
    layout = base(bench.room / "base", [[row("d")]])
    for done in (False, True):
        image = bench.build(f"FROM {layout}\nCOPY empty /d/\n")
        assert len(image.layers) == 1 and (bench.cached != []) is done
        assert image.config["history"][-1]["empty_layer"] is True


def test_names_that_are_not_text(bench: Bench) -> None:
    """A name that is no UTF-8, and one of 255 bytes, arrive as they are."""
    odd, long = b"odd-\xff\xfe", b"l" * 255
    for name in (odd, long):
        with open(os.path.join(os.fsencode(bench.context), name), "wb") as file:
            file.write(name)
    image = bench.build("FROM scratch\nCOPY . /d/\n")
    for name in (odd, long):
        node = image.files["d/" + os.fsdecode(name)]
        assert node.content == name

"""WORKDIR: the directory is made where the image lacks it, by nobody's hand, and known to later builds."""

from __future__ import annotations

import pytest

from builder.errors import BuildfileError
from builder.stages.place import FIXED_MTIME_NS
from tests.stages.builds import Bench, base, row


def test_missing_directories_are_made(bench: Bench) -> None:
    """All that is missing on the way is made, root's, 0755 and of a fixed time, as a layer of its own."""
    image = bench.build("FROM scratch\nWORKDIR /a/b\n")
    facts = [(name, info.mode, info.uid, info.mtime) for name, info, _ in image.layers[0]]
    assert facts == [(name, 0o755, 0, FIXED_MTIME_NS // 10**9) for name in ("a", "a/b")]
    assert image.config["config"]["WorkingDir"] == "/a/b"


def test_a_directory_that_is_there(bench: Bench) -> None:
    """It is left as it is, and there is no layer."""
    layout = base(bench.room / "base", [[row("a", mode="0700", uid=9)]])
    image = bench.build(f"FROM {layout}\nWORKDIR /a\n")
    assert len(image.layers) == 1 and image.config["history"][-1]["empty_layer"] is True


def test_the_user_owns_what_is_made(bench: Bench) -> None:
    """The USER in force owns the new directories, as BuildKit has it."""
    passwd = row("etc/passwd", "app:x:1000:1001::/:/bin/sh\n")
    layout = base(bench.room / "base", [[row("etc"), passwd]])
    image = bench.build(f"FROM {layout}\nUSER app\nWORKDIR /new\n")
    node = image.node("/new")
    assert node is not None and (node.info.uid, node.info.gid) == (1000, 1001)
    error = bench.fails(BuildfileError, f"FROM {layout}\nUSER nobody\nWORKDIR /new\n")
    assert error.span is not None and error.span.first == 3


def test_links_of_the_image_are_followed(bench: Bench) -> None:
    """A working directory behind a link is made where the link leads, inside the image (CVE-2026-55686)."""
    layout = base(bench.room / "base", [[{"path": "up", "type": "symlink", "to": "../../../real"}]])
    image = bench.build(f"FROM {layout}\nWORKDIR /up/in\n")
    assert [name for name, _, _ in image.layers[-1]] == ["real", "real/in"]


@pytest.mark.parametrize("path", ["/file", "/file/in"])
def test_a_file_in_the_way(bench: Bench, path: str) -> None:
    """It is said at the instruction's place."""
    layout = base(bench.room / "base", [[row("file", "x")]])
    error = bench.fails(BuildfileError, f"FROM {layout}\nWORKDIR {path}\n")
    assert "/file" in error.message and error.span is not None and error.span.first == 2


def test_it_is_known_the_next_time(bench: Bench) -> None:
    """The same WORKDIR on the same files is not done again; on others it is."""
    bench.build("FROM scratch\nWORKDIR /a\n")
    bench.build("FROM scratch\nWORKDIR /a\n")
    assert bench.cached == ["WORKDIR /a"]
    bench.build("FROM scratch\nWORKDIR /b\nWORKDIR /a\n")
    assert bench.started == ["WORKDIR /b", "WORKDIR /a"]

"""What a machine allows."""

from __future__ import annotations

from builder.values.ladder import NetworkMode, RootKind, Rung


def test_words_are_what_is_written() -> None:
    """Rungs, networks and ways of making a root are their words in JSON and on the command line."""
    assert [str(rung) for rung in Rung] == ["range", "single", "root"]
    assert [str(mode) for mode in NetworkMode] == ["default", "host", "none", "proxy"]
    assert [str(kind) for kind in RootKind] == ["overlay", "fuse-overlayfs", "copy"]


def test_auto_is_the_default() -> None:
    """The default network has two words."""
    assert NetworkMode("auto") is NetworkMode.DEFAULT

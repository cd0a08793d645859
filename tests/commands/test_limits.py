"""`--limit` and `[limits]`."""

from __future__ import annotations

import pytest

from builder.commands.limits import enforce_limits, limits_of
from builder.errors import UsageError
from builder.tree import bounds
from builder.values.limits import Limits
from builder.values.settings import Setting, Settings
from tests.commands.callers import caller
from tests.support.limited import limited


def test_none() -> None:
    """Without a word the defaults hold."""
    assert limits_of((), Settings()) == Limits()


def test_sizes_and_counts() -> None:
    """Sizes have docker's units; others are whole numbers; of a name the last counts."""
    words = ("layer=1g", "layer=50GB", "header=65536", "index-depth=8", "ratio=2000")
    assert limits_of(words, Settings()) == Limits(layer_bytes=50 << 30, header_bytes=65536, index_depth=8, ratio=2000)


def test_options_go_before_the_configuration() -> None:
    """The command line goes before what a file says, name by name."""
    settings = Settings(ratio=Setting(50, "config.toml:2"), index_depth=Setting(9, "config.toml:3"))
    assert limits_of(("ratio=60",), settings) == Limits(ratio=60, index_depth=9)


@pytest.mark.parametrize(
    ("word", "said", "hint"),
    [
        ("layers=1g", "no limit 'layers'", "did you mean layer?"),
        ("size=1g", "no limit 'size'", "there are document, index-entries"),
        ("layer", "layer has no value", "--limit NAME=VALUE"),
        ("layer=", "layer: invalid size", "--limit NAME=VALUE"),
        ("layer=much", "layer: invalid size", "--limit NAME=VALUE"),
        ("layer=0", "layer: 0 is not between", "--limit NAME=VALUE"),
        ("document=1g", "document: 1073741824 is not between", "--limit NAME=VALUE"),
        ("ratio=1k", "ratio: '1k' is not a whole number", "--limit NAME=VALUE"),
        ("ratio=-5", "ratio: '-5' is not a whole number", "--limit NAME=VALUE"),
    ],
)
def test_refused(word: str, said: str, hint: str) -> None:
    """What is no limit, and what no limit can be, is said with how it is written."""
    with pytest.raises(UsageError) as caught:
        limits_of((word,), Settings())
    assert said in caught.value.message
    assert hint in (caught.value.hint or "")


def test_they_are_enforced() -> None:
    """A command's limits hold from then on."""
    with limited(Limits()):
        enforce_limits(("ratio=77",), caller())
        assert bounds.limits().ratio == 77

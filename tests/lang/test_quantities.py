"""Tests of durations, sizes, truth values and numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.lang.quantities import count, duration_ns, identity, mode, size_bytes, truth


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("0s", 0),
        ("1h2m3s", 3_723_000_000_000),
        ("1m30s", 90_000_000_000),
        ("500ms", 500_000_000),
        ("1.5h", 5_400_000_000_000),
        (".5s", 500_000_000),
        ("1.s", 1_000_000_000),
        ("2us", 2_000),
        ("2µs", 2_000),
        ("-3s", -3_000_000_000),
        ("+3ns", 3),
        ("0.3333333333333333333333333333333333333333h", 1_199_999_999_999),
    ],
)
def test_durations(text: str, expected: int) -> None:
    """Durations are written as Go writes them."""
    assert duration_ns(text) == expected


@pytest.mark.parametrize(
    "text", ["", "often", "1", "1x", "1 s", ".s", "-", "s", "1h2", "300000000h", "1" * 5000 + "s", "1d", "٣s"]
)
def test_bad_durations(text: str) -> None:
    """Everything else is an error, without a unit too."""
    with pytest.raises(ValueError, match="invalid duration"):
        duration_ns(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0), ("10", 10), ("10b", 10), ("64m", 64 << 20), ("1.5GiB", 3 << 29), ("2 kb", 2048), ("1T", 1 << 40)],
)
def test_sizes(text: str, expected: int) -> None:
    """Sizes have binary units in any case."""
    assert size_bytes(text) == expected


@pytest.mark.parametrize("text", ["", "m", "-1", "1x", "1mib2", "1bb", "1  k", "9" * 5000, "9999999p"])
def test_bad_sizes(text: str) -> None:
    """Negative, huge and unit-less nonsense is an error."""
    with pytest.raises(ValueError, match="invalid size"):
        size_bytes(text)


def test_truth() -> None:
    """True and false have the spellings of Go's ParseBool."""
    assert [truth(text) for text in ("1", "t", "True", "0", "F", "false")] == [True] * 3 + [False] * 3
    with pytest.raises(ValueError, match="invalid value"):
        truth("yes")


def test_identities_and_modes() -> None:
    """Ids are decimal, modes octal, both below 2^32."""
    assert (identity("0"), identity("4294967295"), mode("0755"), mode("1777")) == (0, 4294967295, 0o755, 0o1777)


@pytest.mark.parametrize("text", ["", "-1", "+1", "4294967296", "x", "1_0", "٣", "9" * 5000, "0x1"])
def test_bad_identities(text: str) -> None:
    """Signs, underscores and digits of other scripts are no numbers."""
    with pytest.raises(ValueError, match="invalid"):
        identity(text)


def test_bad_mode() -> None:
    """Eight is no octal digit."""
    with pytest.raises(ValueError, match="octal"):
        mode("0888")


def test_count() -> None:
    """A count has a sign, so that a negative one can be told."""
    assert (count("3"), count("-3"), count("+3"), count("000")) == (3, -3, 3, 0)
    with pytest.raises(ValueError, match="too large"):
        count("2147483648")


@given(st.text(max_size=12) | st.from_regex(r"[-+]?[0-9.]*(ns|ms|s|m|h|k|GiB)?", fullmatch=True))
def test_any_text_is_a_number_or_refused(text: str) -> None:
    """No text raises anything but ValueError."""
    for function in (duration_ns, size_bytes, truth, identity, mode, count):
        try:
            function(text)
        except ValueError as error:
            assert "invalid" in str(error)

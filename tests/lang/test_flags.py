"""Tests of flags."""

from __future__ import annotations

import pytest

from builder.errors import BuildfileError
from builder.lang.flags import Takes, read_flags

_KNOWN = {"from": Takes.TEXT, "link": Takes.TRUTH, "exclude": Takes.TEXTS}


def test_values() -> None:
    """Each kind of flag gives its kind of value; what is not given is None or nothing."""
    flags = read_flags("COPY", ("--from=a=b", "--exclude=x", "--link", "--exclude=y"), _KNOWN)
    assert (flags.text("from"), flags.texts("exclude"), flags.truth("link")) == ("a=b", ("x", "y"), True)
    none = read_flags("COPY", (), _KNOWN)
    assert (none.text("from"), none.texts("exclude"), none.truth("link"), none.has("link")) == (None, (), None, False)


@pytest.mark.parametrize(("word", "expected"), [("--link", True), ("--link=TRUE", True), ("--link=False", False)])
def test_truth(word: str, expected: bool) -> None:
    """A switch is on by itself, or says true or false in any case."""
    assert read_flags("COPY", (word,), _KNOWN).truth("link") is expected


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (("--frm=a",), "unknown flag: --frm", "--from"),
        (("--wibble",), "unknown flag: --wibble", "COPY knows --exclude, --from, --link"),
        (("--from=a", "--from=b"), "duplicate flag specified: --from", "once"),
        (("--link", "--link"), "duplicate flag", "once"),
        (("--from",), "missing a value", "--from=VALUE"),
        (("--link=",), "missing a value", "--link=true"),
        (("--link=yes",), "expecting boolean value", "--link=false"),
    ],
)
def test_errors(words: tuple[str, ...], message: str, hint: str) -> None:
    """What is wrong with a flag is said with what would be right."""
    with pytest.raises(BuildfileError) as caught:
        read_flags("COPY", words, _KNOWN)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_no_flags_at_all() -> None:
    """An instruction without flags says so."""
    with pytest.raises(BuildfileError) as caught:
        read_flags("ENV", ("--a",), {})
    assert "takes no flags" in (caught.value.hint or "")

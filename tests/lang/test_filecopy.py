"""Tests of COPY and ADD."""

from __future__ import annotations

import pytest

from builder.values.instruction import Add, Copy, Heredoc
from tests.lang.reading import error_of, instruction


def test_all_flags_of_copy() -> None:
    """COPY knows seven flags."""
    text = "COPY --from=b --chown=1:2 --chmod=u+x --link --parents --exclude=*.o --exclude=x a b /c/"
    copy = instruction(text)
    assert isinstance(copy, Copy)
    assert (copy.sources, copy.destination, copy.from_) == (("a", "b"), "/c/", "b")
    assert (copy.chown, copy.chmod, copy.link, copy.parents) == ("1:2", "u+x", True, True)
    assert copy.excludes == ("*.o", "x")
    assert copy.original == text


def test_all_flags_of_add() -> None:
    """ADD knows seven flags; without --unpack the question is open."""
    add = instruction("ADD --chown=1 --chmod=644 --link=false --exclude=x --checksum=sha256:0 --keep-git-dir a /c")
    assert isinstance(add, Add)
    assert (add.chown, add.chmod, add.link, add.excludes) == ("1", "644", False, ("x",))
    assert (add.checksum, add.keep_git_dir, add.unpack) == ("sha256:0", True, None)
    unpacked = instruction("ADD --unpack=false a /c")
    assert isinstance(unpacked, Add)
    assert unpacked.unpack is False


def test_json_form() -> None:
    """The JSON form may hold paths with blanks, and has no here-documents."""
    copy = instruction('COPY ["a b", "<<EOF", "/c d"]')
    assert isinstance(copy, Copy)
    assert (copy.sources, copy.inline, copy.destination) == (("a b", "<<EOF"), (), "/c d")


def test_heredocs_as_sources() -> None:
    """Here-documents stand beside paths; the last of two with the same name counts for both, as in BuildKit."""
    copy = instruction("COPY <<a x <<-'b' /d/\n$A\na\n\tB\nb\n")
    assert isinstance(copy, Copy)
    assert copy.sources == ("x",)
    assert copy.inline == (Heredoc("a", "$A\n", expand=True), Heredoc("b", "B\n", expand=False))


def test_words_stay_as_written() -> None:
    """Quotes and variables are the plan's to expand."""
    copy = instruction("COPY \"$A\" \\$b 'c' /d")
    assert isinstance(copy, Copy)
    assert copy.sources == ('"$A"', "\\$b", "'c'")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("COPY", "at least two arguments"),
        ("COPY a", "only 'a'"),
        ("ADD a", "at least two arguments"),
        ("COPY a <<EOF\nEOF", "cannot accept a heredoc as a destination"),
        ("COPY --checksum=x a b", "unknown flag: --checksum"),
        ("ADD --from=x a b", "unknown flag: --from"),
        ("COPY --from=$x a b", "variable expansion is not supported for --from"),
        ("COPY <<'EOF' it's /x", "has no body"),
    ],
)
def test_errors(line: str, message: str) -> None:
    """What is wrong is said at the instruction's line."""
    error = error_of("FROM a\n" + line)
    assert message in error.message
    assert str(error.span) == "Buildfile:2"

"""Tests of the build checks as a whole: which findings are shown, and when they are errors."""

from __future__ import annotations

import pytest

from builder.lang.checks import EXPERIMENTAL, RULES, refusal
from tests.lang.reading import parsed


def _rules(text: str) -> list[str]:
    return [warning.rule for warning in parsed(text).warnings]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM a AS B\nMAINTAINER c", ["StageNameCasing", "MaintainerDeprecated"]),
        ("# check=skip=StageNameCasing\nFROM a AS B\nMAINTAINER c", ["MaintainerDeprecated"]),
        ("# check=skip=StageNameCasing, MaintainerDeprecated\nFROM a AS B\nMAINTAINER c", []),
        ("# check=skip=all\nFROM a AS B\nMAINTAINER c", []),
        ("FROM a AS B\n# check=skip=MaintainerDeprecated\nMAINTAINER c", ["StageNameCasing"]),
        ("FROM a AS B\n# check=skip=all\n# another\nMAINTAINER c", ["StageNameCasing"]),
        ("FROM a AS B\n# check=bogus\nMAINTAINER c", ["StageNameCasing", "MaintainerDeprecated"]),
    ],
)
def test_skipping(text: str, expected: list[str]) -> None:
    """Rules are left out for the file by the directive, for an instruction by a comment above it."""
    assert _rules(text) == expected


def test_findings_are_in_the_order_of_lines() -> None:
    """Findings come by line, whatever rule they are of."""
    lines = [warning.span.first for warning in parsed("FROM a AS B\nCMD a\nMAINTAINER c\nFROM d as e\n").warnings]
    assert lines == sorted(lines)
    assert len(lines) == 4


def test_findings_as_errors() -> None:
    """With error=true findings are an error that names their rules, at the first of them."""
    buildfile = parsed("# check=error=true\nFROM a\nMAINTAINER c\nCMD d\n")
    error = refusal(buildfile, buildfile.warnings)
    assert error is not None
    assert error.message == "lint violation found for rules: JSONArgsRecommended, MaintainerDeprecated"
    assert str(error.span) == "Buildfile:3"


def test_findings_are_no_errors_otherwise() -> None:
    """Without error=true, or without findings, nothing is refused."""
    lenient = parsed("FROM a\nMAINTAINER c\n")
    assert refusal(lenient, lenient.warnings) is None
    clean = parsed("# check=error=true\nFROM a\n")
    assert refusal(clean, clean.warnings) is None


def test_rules_have_their_published_names() -> None:
    """The twenty-two published rules, one of them experimental, and one of ours."""
    assert len(RULES) == 22 + 1
    assert "CredentialInValue" in RULES
    assert EXPERIMENTAL <= RULES

"""Tests of the build checks of text and instructions."""

from __future__ import annotations

import pytest

from builder.lang.checks import credentials_given, ignored_sources
from builder.lang.ignore import IgnoreRules
from tests.lang.reading import parsed


def _found(text: str) -> list[tuple[str, int]]:
    return [(warning.rule, warning.span.first) for warning in parsed(text).warnings]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM a AS Base", [("StageNameCasing", 1)]),
        ("FROM a as base", [("FromAsCasing", 1)]),
        ("from a AS base", [("FromAsCasing", 1)]),
        ("FROM a AS base", []),
        ("from a as base", []),
        ("FROM a\nRUN b \\\n\n c", [("NoEmptyContinuation", 3)]),
        ("FROM a\nRUN b \\\n# c\n d", []),
        ("FROM a\nrun b\nRUN c", [("ConsistentInstructionCasing", 2)]),
        ("from a\nrun b\nRUN c", [("ConsistentInstructionCasing", 3)]),
        ("FROM a\nRun b", [("ConsistentInstructionCasing", 2)]),
        ("arg X\nFROM a", []),
        ("FROM a AS b\nFROM c AS B", [("DuplicateStageName", 2), ("StageNameCasing", 2)]),
        ("FROM a AS scratch\nFROM b AS context", [("ReservedStageName", 1), ("ReservedStageName", 2)]),
        ('FROM a\nCMD ["a"]\nRUN b\nCMD ["c"]', [("MultipleInstructionsDisallowed", 2)]),
        ('FROM a\nENTRYPOINT ["a"]\nENTRYPOINT ["b"]', [("MultipleInstructionsDisallowed", 2)]),
        ("FROM a\nHEALTHCHECK NONE\nHEALTHCHECK CMD b", [("MultipleInstructionsDisallowed", 2)]),
        ('FROM a AS b\nCMD ["a"]\nFROM b\nCMD ["c"]', []),
        ("FROM a\nCMD b", [("JSONArgsRecommended", 2)]),
        ("FROM a\nENTRYPOINT b", [("JSONArgsRecommended", 2)]),
        ('FROM a\nSHELL ["x"]\nCMD b', []),
        ('FROM a AS b\nSHELL ["x"]\nFROM b\nCMD b', []),
        ("FROM a\nMAINTAINER b", [("MaintainerDeprecated", 2)]),
        ("FROM a\nWORKDIR b\nWORKDIR c", [("WorkdirRelativePath", 2)]),
        ("FROM a AS b\nWORKDIR /b\nWORKDIR c\nFROM b\nWORKDIR d", []),
        ("FROM a\nWORKDIR $b\n", []),
        ('FROM a\nWORKDIR "/b c"\n', []),
        ("FROM a\nENV b c", [("LegacyKeyValueFormat", 2)]),
        ("FROM a\nLABEL b c", [("LegacyKeyValueFormat", 2)]),
        ("FROM a\nENV GITHUB_TOKEN=b", [("SecretsUsedInArgOrEnv", 2)]),
        ("FROM a\nARG password", [("SecretsUsedInArgOrEnv", 2)]),
        ("FROM a\nENV PUBLIC_KEY=b KEYS=c MONKEY=d TOKEN_FILE=e", []),
        ("ARG TOKEN\nFROM a", []),
        ("ARG X=https://a:b@c/\nFROM a", [("CredentialInValue", 1)]),
        ("FROM a\nENV A=1 B=https://a:b@c/", [("CredentialInValue", 2)]),
        ("FROM a\nLABEL a.b=postgres://a:b@c/", [("CredentialInValue", 2)]),
        ("FROM a\nARG X\nADD https://a:b@c/d /d\nADD https://c/d https://${X}:$X@c/d /d/", [("CredentialInValue", 3)]),
        ("FROM a\n# check=skip=CredentialInValue\nENV B=https://a:b@c/", []),
        ("FROM a\nEXPOSE 80/TCP", [("ExposeProtoCasing", 2)]),
        ("FROM a\nEXPOSE 8080:80 127.0.0.1:80:80/tcp", [("ExposeInvalidFormat", 2), ("ExposeInvalidFormat", 2)]),
        ("FROM a\nEXPOSE 80/tcp $p", []),
    ],
)
def test_rules(text: str, expected: list[tuple[str, int]]) -> None:
    """Each rule finds what its documentation describes, at the line it describes."""
    assert _found(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# check=experimental=all\nARG a\n# something\nARG b\nFROM c", [("InvalidDefinitionDescription", 4)]),
        ("# check=experimental=all\n# x\n# a is it\nARG a\nFROM c", []),
        ("# check=experimental=all\n# text\n#\nFROM c AS d", []),
        ("# check=experimental=all\n# text\nFROM c AS d", [("InvalidDefinitionDescription", 3)]),
        ("# text\nFROM c AS d", []),
    ],
)
def test_experimental_rule(text: str, expected: list[tuple[str, int]]) -> None:
    """Comments above ARG and named stages are descriptions only for those who ask for that check."""
    assert _found(text) == expected


def test_messages_name_the_words() -> None:
    """A finding says which word it means."""
    messages = [warning.message for warning in parsed("FROM a AS Base\nENV API_KEY b\n").warnings]
    assert "'Base'" in messages[0]
    assert '"API_KEY"' in messages[2]


@pytest.mark.parametrize(
    ("line", "ignored", "expected"),
    [
        ("COPY secret /x", "secret", 1),
        ("ADD ./d/../secret/ /x", "secret", 1),
        ("COPY d/f g /x/", "d", 1),
        ("COPY . /x", "secret", 0),
        ("COPY . /x", "**", 1),
        ("COPY secret /x", "*\n!secret", 0),
        ("COPY --from=b secret /x", "secret", 0),
        ("ADD https://a/secret /x", "**", 0),
        ("COPY $secret /x", "**", 0),
        ("COPY <<secret /x\nsecret", "**", 0),
    ],
)
def test_ignored_sources(line: str, ignored: str, expected: int) -> None:
    """A source that the ignore file hides is found, unless a ! makes it uncertain."""
    warnings = ignored_sources(parsed("FROM a\n" + line), IgnoreRules.parse(ignored, ".dockerignore"))
    assert [warning.rule for warning in warnings] == ["CopyIgnoredFile"] * expected


def test_a_credential_is_not_repeated() -> None:
    """A finding says where it is and of what kind; logs are read by many."""
    warning = parsed('FROM a\nENV B="https://me:hunter2@c/"').warnings[0]
    assert warning.message.startswith('The value of ENV "B" looks like a password in a URL; who has the image')


def test_credentials_of_the_command_line() -> None:
    """A build arg is told of at the ARG that takes it, and only where one does."""
    found = credentials_given(parsed("ARG A\nFROM a\nARG B\nARG C"), {"B": "https://a:b@c", "X": "https://a:b@c"})
    assert [(warning.rule, warning.span.first) for warning in found] == [("CredentialInValue", 3)]
    assert 'The value of --build-arg "B"' in found[0].message
    assert credentials_given(parsed("FROM a\nARG B"), {"B": "harmless"}) == ()

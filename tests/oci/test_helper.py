"""What login helpers say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.errors import UsageError
from builder.oci.helper import Helper
from builder.values.access import Credential
from tests.support.keeper import Keeper


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    """A helper that keeps logins."""
    return Keeper(tmp_path / "bin")


def helper_of(keeper: Keeper) -> Helper:
    """It as we see it."""
    return Helper(keeper.name, "/config.json", keeper.environment)


def saying(directory: Path, script: str) -> Helper:
    """A helper that says something odd."""
    path = directory / "docker-credential-odd"
    path.write_text(f"#!/bin/sh\ncat >/dev/null\n{script}\n")
    path.chmod(0o755)
    return Helper("odd", "/config.json", {"PATH": f"{directory}:{os.environ['PATH']}"})


def test_a_login_goes_in_and_out(keeper: Keeper) -> None:
    """store, get, erase; an identity token travels as the secret of <token>."""
    helper = helper_of(keeper)
    for login in (Credential("me", "secret"), Credential("<token>", identity_token="idt")):
        helper.store("reg", login)
        assert helper.find("reg") == login
    assert keeper.logins["reg"]["Username"] == "<token>"
    assert helper.erase("reg")
    assert helper.find("reg") is None
    assert not helper.erase("reg")


def test_a_helper_that_is_missing_is_the_files_fault(tmp_path: Path) -> None:
    """The message names helper and file."""
    with pytest.raises(UsageError, match=r"docker-credential-gone is not in PATH \(/config.json names it\)"):
        Helper("gone", "/config.json", {"PATH": str(tmp_path)}).find("reg")


def test_a_refusal_is_told_in_one_line(tmp_path: Path) -> None:
    """A locked keychain, say: what it says, without its line breaks."""
    with pytest.raises(UsageError, match="gives no login: the keychain is locked, sorry"):
        saying(tmp_path, "printf 'the keychain\\nis locked,\\tsorry\\n'; exit 1").find("reg")


@pytest.mark.parametrize("said", ["secret", "[]", '{"Username": 1, "Secret": "secret"}', '{"Secret": "secret"'])
def test_nonsense_is_refused_and_not_repeated(tmp_path: Path, said: str) -> None:
    """It may hold a password."""
    with pytest.raises(UsageError, match="answers with what is not a login") as caught:
        saying(tmp_path, f"echo '{said}'").find("reg")
    assert "secret" not in caught.value.message


def test_an_empty_secret_is_no_login(tmp_path: Path) -> None:
    """Some helpers say so instead of not finding it."""
    assert saying(tmp_path, """echo '{"Username": "", "Secret": ""}'""").find("reg") is None

"""Where logins are found."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from builder.errors import UsageError
from builder.oci.keyring import FILES, AuthFiles, OneLogin
from builder.values.access import Credential
from tests.support.keeper import Keeper

NOTHING: dict[str, str] = {}


def write(path: Path, **entries: str) -> Path:
    """A file of logins: registries and NAME:PASSWORD."""
    auths = {name: {"auth": base64.b64encode(text.encode()).decode()} for name, text in entries.items()}
    path.write_text(json.dumps({"auths": auths}))
    return path


def test_the_first_file_with_a_login_counts(tmp_path: Path) -> None:
    """Files that are not there, or know nothing of the registry, are passed over."""
    files = (
        tmp_path / "missing",
        write(tmp_path / "one", a="one:1"),
        write(tmp_path / "two", a="two:2", b="two:2"),
    )
    keys = AuthFiles(files, NOTHING)
    assert keys.find("a", "x") == Credential("one", "1")
    assert keys.find("b", "x") == Credential("two", "2")
    assert keys.find("c", "x") is None


def test_a_named_file_is_the_only_one(tmp_path: Path) -> None:
    """And it must be there."""
    one, two = write(tmp_path / "one", a="one:1"), write(tmp_path / "two", b="two:2")
    keys = AuthFiles((two,), NOTHING, named=one)
    assert keys.find("b", "x") is None
    with pytest.raises(UsageError, match="missing does not exist"):
        AuthFiles((two,), NOTHING, named=tmp_path / "missing").find("b", "x")


def test_no_file_is_opened_before_a_login_is_wanted(tmp_path: Path) -> None:
    """A broken one is no matter to who needs none."""
    broken = tmp_path / "broken"
    broken.write_text("{")
    keys = AuthFiles((broken,), NOTHING)
    with pytest.raises(UsageError):
        keys.find("a", "x")


def test_a_helper_goes_before_the_files_own_entries(tmp_path: Path) -> None:
    """Where it has none, the entry counts, and then the next file."""
    keeper = Keeper(tmp_path / "bin")
    keeper.keep("a", "kept", "1")
    one = write(tmp_path / "one", a="entry:1", b="entry:1")
    one.write_text(json.dumps({**json.loads(one.read_text()), "credsStore": "keeper"}))
    keys = AuthFiles((one, write(tmp_path / "two", c="two:2")), keeper.environment)
    assert keys.find("a", "x") == Credential("kept", "1")
    assert keys.find("b", "x") == Credential("entry", "1")
    assert keys.find("c", "x") == Credential("two", "2")


def test_a_helper_is_asked_for_docker_hub_by_dockers_name(tmp_path: Path) -> None:
    """That is the name under which `docker login` has stored it."""
    keeper = Keeper(tmp_path / "bin")
    keeper.keep("https://index.docker.io/v1/", "<token>", "idt")
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"credHelpers": {"docker.io": "keeper"}}))
    login = AuthFiles((file,), keeper.environment).find("docker.io", "library/app")
    assert login == Credential("<token>", identity_token="idt")
    assert keeper.asked == ["get https://index.docker.io/v1/"]


def test_a_helper_that_cannot_be_asked_is_an_error(tmp_path: Path) -> None:
    """Going on as nobody would end in a riddle."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"credsStore": "gone"}))
    with pytest.raises(UsageError, match="docker-credential-gone is not in PATH"):
        AuthFiles((file,), {"PATH": str(tmp_path)}).find("a", "x")


def test_helpers_for_every_registry_are_asked_in_their_order(tmp_path: Path) -> None:
    """Before the files or after them, as registries.conf puts it; without the word for the files, instead of them."""
    keeper = Keeper(tmp_path / "bin")
    keeper.keep("a", "kept", "1")
    file = write(tmp_path / "one", a="entry:1", b="entry:2")

    def found(registry: str, *keepers: str) -> Credential | None:
        return AuthFiles((file,), keeper.environment, None, lambda: keepers).find(registry, "x")

    assert found("a", "keeper", FILES) == Credential("kept", "1")
    assert found("a", FILES, "keeper") == Credential("entry", "1")
    assert found("b", "keeper", FILES) == Credential("entry", "2")
    assert found("b", "keeper") is None


def test_a_login_of_the_command_line_is_for_one_registry() -> None:
    """For those that the command names; else for the first that asks, and no other."""
    login = Credential("me", "secret")
    named = OneLogin(login, ("a",))
    assert [named.find(name, "x") for name in ("b", "a", "b")] == [None, login, None]
    first = OneLogin(login)
    assert [first.find(name, "x") for name in ("b", "a", "b")] == [login, None, login]

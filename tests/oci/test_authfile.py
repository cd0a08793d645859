"""Files of logins."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import UsageError
from builder.oci.authfile import AuthFile, encoded, entry_of, keys_for, server_of
from builder.values.access import Credential


def auth(text: str) -> dict[str, str]:
    """An entry."""
    return {"auth": base64.b64encode(text.encode()).decode()}


def file_of(directory: Path, value: object, name: str = "auth.json") -> AuthFile:
    """A file with this content."""
    path = directory / name
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    file = AuthFile.read(path)
    assert file is not None
    return file


def test_there_may_be_no_file(tmp_path: Path) -> None:
    """Nor a directory for it; an empty one has no logins."""
    assert AuthFile.read(tmp_path / "a" / "b") is None
    assert AuthFile.read(Path("/dev/null/x")) is None
    assert file_of(tmp_path, "").login("reg", "a") is None


@pytest.mark.parametrize(
    ("entry", "login"),
    [
        (auth("me:secret"), Credential("me", "secret")),
        (auth("me:with:colons"), Credential("me", "with:colons")),
        (auth("me:padded\0\0"), Credential("me", "padded")),
        ({"username": "me", "password": "secret"}, Credential("me", "secret")),
        ({"identitytoken": "idt"}, Credential("", "", "idt")),
        ({**auth("me:"), "identitytoken": "idt"}, Credential("me", "", "idt")),
        ({**auth("me:secret"), "username": "old", "password": "old"}, Credential("me", "secret")),
        (auth("me:"), None),
        ({}, None),
        (None, None),
    ],
)
def test_each_form_of_an_entry(tmp_path: Path, entry: object, login: Credential | None) -> None:
    """`auth`, name and password apart, identity tokens; an entry without a secret is none."""
    assert file_of(tmp_path, {"auths": {"reg": entry}}).login("reg", "a") == login


def test_the_narrowest_entry_counts(tmp_path: Path) -> None:
    """A repository's before its namespace's before the registry's (containers-auth.json(5))."""
    entries = {"reg": auth("all:1"), "reg/a/b": auth("part:1"), "reg/a/b/c": auth("one:1"), "reg/a/bc": auth("other:1")}
    file = file_of(tmp_path, {"auths": entries})
    for repository, name in (("a/b/c", "one"), ("a/b/d", "part"), ("a/bc", "other"), ("a", "all"), ("", "all")):
        login = file.login("reg", repository)
        assert login is not None
        assert login.username == name
    assert file.login("other", "a/b/c") is None


@pytest.mark.parametrize(
    ("key", "server"),
    [
        ("https://index.docker.io/v1/", "docker.io"),
        ("index.docker.io/v1/", "docker.io"),
        ("index.docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("docker.io", "docker.io"),
        ("docker.io/me", "docker.io/me"),
        ("https://reg:5000", "reg:5000"),
        ("http://reg:5000/v2/", "reg:5000"),
        ("reg:5000/v1/", "reg:5000"),
        ("reg:5000/a/b", "reg:5000/a/b"),
        ("Reg.Example/a", "reg.example/a"),
        ("", ""),
    ],
)
def test_old_names_of_registries_are_understood(key: str, server: str) -> None:
    """With scheme, with an API's version, and docker's hub by any of its names."""
    assert server_of(key) == server


def test_docker_s_own_entry_is_found(tmp_path: Path) -> None:
    """The one that `docker login` makes; an entry under today's name goes first."""
    entries = {"https://index.docker.io/v1/": auth("docker:1")}
    login = file_of(tmp_path, {"auths": entries}).login("docker.io", "library/app")
    assert login == Credential("docker", "1")
    entries["docker.io"] = auth("podman:1")
    assert file_of(tmp_path, {"auths": entries}).login("docker.io", "library/app") == Credential("podman", "1")


def test_the_oldest_form_is_read(tmp_path: Path) -> None:
    """~/.dockercfg is the entries alone."""
    file = file_of(tmp_path, {"https://reg/v1/": {**auth("me:secret"), "email": "x"}}, ".dockercfg")
    assert file.login("reg", "a") == Credential("me", "secret")
    assert file.helper("reg") is None


def test_which_helper_keeps_a_login(tmp_path: Path) -> None:
    """A registry's own, else the one for all, else none."""
    helpers = {"reg": "one", "https://index.docker.io/v1/": "hub"}
    file = file_of(tmp_path, {"credHelpers": helpers, "credsStore": "all"})
    assert [file.helper(name) for name in ("reg", "docker.io", "other")] == ["one", "hub", "all"]
    assert file_of(tmp_path, {"credHelpers": helpers}).helper("other") is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is not valid JSON"),
        ("[]", "not a JSON object"),
        ('{"auths": []}', "'auths' is not an object"),
        ('{"auths": {"reg": 1}}', "the entry for 'reg' is not an object"),
        ('{"auths": {"reg": {"auth": 1}}}', "'auth' is not a string"),
        ('{"auths": {"reg": {"auth": "%%%"}}}', "is not base64"),
        ('{"auths": {"reg": {"auth": "bWU="}}}', "is not NAME:PASSWORD"),
        ('{"credHelpers": {"reg": 1}}', "'credHelpers' is not an object of strings"),
        ('{"credsStore": 1}', "'credsStore' is not a string"),
        ('{"auths": {"reg": {"auth": "bWU6c2VjcmV0", "auth": "x"}}}', "there twice"),
    ],
)
def test_a_file_that_is_no_file_of_logins_is_named(tmp_path: Path, content: str, words: str) -> None:
    """One sentence with the file and what is wrong in it; no login stands in it."""
    with pytest.raises(UsageError, match=words) as caught:
        file = file_of(tmp_path, content)
        file.helper("reg")
        file.login("reg", "a")
    assert str(tmp_path / "auth.json") in caught.value.message
    assert "bWU" not in caught.value.message


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    """And is no reason to go on as nobody."""
    (tmp_path / "auth.json").mkdir()
    with pytest.raises(UsageError, match="cannot be read"):
        AuthFile.read(tmp_path / "auth.json")


@given(st.text(), st.text())
def test_what_is_written_can_be_read(name: str, password: str) -> None:
    """A name has no colon; a password may be anything but padding."""
    login = Credential(name.replace(":", "") or "x", password.rstrip("\0") or "x")
    try:
        entry = entry_of(login)
    except UnicodeEncodeError:
        return  # a lone surrogate is no text
    file = AuthFile.empty(Path("/x"))
    fields = json.loads(encoded({"auths": {"reg": entry}}))
    assert replace(file, document=replace(file.document, fields=fields)).login("reg", "") == login


def test_the_keys_of_a_repository() -> None:
    """The narrowest first."""
    assert tuple(keys_for("reg:1", "a/b")) == ("reg:1/a/b", "reg:1/a", "reg:1")
    assert tuple(keys_for("reg:1", "")) == ("reg:1",)

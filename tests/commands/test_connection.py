"""How registries are reached."""

from __future__ import annotations

import io
import os
import pty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from builder.commands.caller import Caller
from builder.commands.connection import (
    Connection,
    access_of,
    auth_files,
    cert_folders,
    login_of,
    named_auth_file,
    trust_of,
)
from builder.errors import UsageError
from builder.values.access import Credential
from tests.commands.callers import caller
from tests.support.keeper import Keeper


def test_proxies_come_from_the_environment() -> None:
    """HTTP_PROXY and its kind are part of the way to a registry."""
    access = access_of(Connection(), caller(environment={"https_proxy": "http://p:3128"}))
    assert dict(access.proxies)["https_proxy"] == "http://p:3128"


def test_where_logins_are_looked_for(tmp_path: Path) -> None:
    """podman's places, then docker's; the first is the one that a login is written to."""
    who = caller(environment={"XDG_RUNTIME_DIR": "/run/user/1000"}, home=Path("/home/me"))
    assert auth_files(who) == (
        Path("/run/user/1000/containers/auth.json"),
        Path("/home/me/.config/containers/auth.json"),
        Path("/home/me/.docker/config.json"),
        Path("/home/me/.dockercfg"),
    )
    named = {"XDG_CONFIG_HOME": "/config", "DOCKER_CONFIG": "docker", "XDG_RUNTIME_DIR": "relative"}
    assert auth_files(caller(tmp_path, named)) == (
        Path("/config/containers/auth.json"),
        tmp_path / "docker" / "config.json",
    )


def test_helpers_of_registries_conf_are_asked(tmp_path: Path) -> None:
    """`credential-helpers`, as podman reads it."""
    keeper = Keeper(tmp_path / "bin")
    keeper.keep("a", "kept", "1")
    conf = tmp_path / "registries.conf"
    conf.write_text('credential-helpers = ["containers-auth.json", "keeper"]\n')
    environment = {**keeper.environment, "HOME": str(tmp_path), "CONTAINERS_REGISTRIES_CONF": str(conf)}
    keyring = access_of(Connection(), caller(tmp_path, environment)).keyring
    assert keyring.find("a", "x") == Credential("kept", "1")


def test_a_file_of_logins_may_be_named(tmp_path: Path) -> None:
    """The option goes before REGISTRY_AUTH_FILE; both are relative to the current directory."""
    who = caller(tmp_path, {"REGISTRY_AUTH_FILE": "env.json"})
    assert named_auth_file("option.json", who) == tmp_path / "option.json"
    assert named_auth_file(None, who) == tmp_path / "env.json"
    assert named_auth_file(None, caller(tmp_path)) is None
    with pytest.raises(UsageError, match="--authfile"):
        named_auth_file("", who)


def test_where_certificates_are_looked_for() -> None:
    """The user's folders before the machine's."""
    folders = cert_folders(caller(home=Path("/home/me")))
    assert [str(folder) for folder in folders] == [
        "/home/me/.config/containers/certs.d",
        "/home/me/.config/docker/certs.d",
        "/etc/containers/certs.d",
        "/etc/docker/certs.d",
    ]


def test_what_is_trusted_comes_from_options_and_environment(tmp_path: Path) -> None:
    """--cert-dir, --insecure-registry, SSL_CERT_FILE and SSL_CERT_DIR; a scheme before a host is no harm."""
    who = caller(tmp_path, {"SSL_CERT_FILE": "/ca.pem", "SSL_CERT_DIR": "cas"})
    trust = access_of(Connection(cert_dir=".", insecure_registry=("http://a:5000/", "b")), who).trust
    assert trust.insecure == ("a:5000", "b")
    assert trust.cert_dir == tmp_path
    assert (trust.roots_file, trust.roots_dir) == (Path("/ca.pem"), tmp_path / "cas")


def test_an_insecure_registry_is_a_host_in_any_case() -> None:
    """As hosts are, and with or without a scheme in front."""
    assert trust_of(Connection(insecure_registry=("http://Reg.Example:5000/",)), caller()).insecure == (
        "reg.example:5000",
    )


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        (Connection(cert_dir="missing"), "--cert-dir: 'missing' is not a directory"),
        (Connection(cert_dir=""), "--cert-dir"),
        (Connection(insecure_registry=("a/b",)), "--insecure-registry: 'a/b' is not a host"),
        (Connection(insecure_registry=("",)), "--insecure-registry"),
        (Connection(creds=":x"), "--creds: the user name is missing"),
        (Connection(creds="me"), "there is no password"),
    ],
)
def test_options_that_cannot_be_meant_are_mistakes(tmp_path: Path, connection: Connection, words: str) -> None:
    """Each with its own sentence."""
    with pytest.raises(UsageError, match=words):
        access_of(connection, caller(tmp_path))


@pytest.mark.parametrize(
    ("names", "others"),
    [
        (("reg:5000/app:1",), ("docker.io", "other")),
        (("docker://reg:5000/app", "oci:dir:tag", "./x", "docker-archive:x.tar", "UPPER"), ("docker.io", "oci")),
    ],
)
def test_a_login_of_the_command_line_is_for_the_registries_it_names(
    names: tuple[str, ...], others: tuple[str, ...]
) -> None:
    """Whatever else is asked on the way (bases, mirrors) sees nothing of it."""
    keys = access_of(Connection(creds="me:sec:ret"), caller(), names).keyring
    assert [keys.find(name, "x") for name in others] == [None] * len(others)
    assert keys.find("reg:5000", "app") == Credential("me", "sec:ret")


@pytest.mark.parametrize("names", [("a.example/x", "b.example/x"), ("x", "docker://a.example/x"), ("a:1/x", "a:2/x")])
def test_a_login_of_the_command_line_is_for_one_registry(names: tuple[str, ...]) -> None:
    """Where several are named, nobody said which of them may see it."""
    with pytest.raises(UsageError, match="a login is for one of them") as caught:
        access_of(Connection(creds="me:secret"), caller(), names)
    assert "secret" not in caught.value.message
    access_of(Connection(creds="me:secret"), caller(), ("a.example/x:1", "a.example/y", "oci:dir"))


def test_a_login_for_no_registry_by_name_is_kept_back() -> None:
    """A registry only gets it once it has refused us without; stored logins are known to be right."""
    assert access_of(Connection(creds="me:secret"), caller()).anonymous_first
    assert not access_of(Connection(creds="me:secret"), caller(), ("reg.example/app",)).anonymous_first
    assert not access_of(Connection(), caller()).anonymous_first


def test_no_file_is_read_for_nothing(tmp_path: Path) -> None:
    """A broken file of logins is no matter before a registry wants a login; then it is."""
    (tmp_path / "auth.json").write_text("{")
    keys = access_of(Connection(authfile="auth.json"), caller(tmp_path)).keyring
    with pytest.raises(UsageError, match="is not valid JSON"):
        keys.find("reg", "x")


@contextmanager
def terminal() -> Iterator[tuple[Caller, int]]:
    """A caller at a terminal, and its other end."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "rb+", buffering=0) as stdin:
        yield Caller({}, Path("/"), None, stdin, io.StringIO(), io.StringIO()), ours
    os.close(ours)


def test_a_password_that_is_left_out_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, and only there."""
    monkeypatch.setattr("getpass.getpass", lambda prompt: "typed" if prompt == "Password: " else "")
    with terminal() as (who, _):
        assert login_of("me", who) == Credential("me", "typed")
    with pytest.raises(UsageError, match="there is no password") as caught:
        login_of("me", caller())
    assert "--creds USER:PASSWORD" in (caught.value.hint or "")

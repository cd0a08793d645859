"""`pybuild login` against a real registry, and what other tools make of it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.cli import run as run_line
from builder.commands.caller import Caller
from builder.commands.login import key_of
from builder.errors import UsageError
from tests.certificates import Authority, new_authority
from tests.commands.callers import caller, remarked, said
from tests.registry import Tls, running_registry, skopeo
from tests.support.keeper import Keeper


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A private CA."""
    return new_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[str]:
    """A docker-registry with TLS by the private CA; the login is me and sec:ret."""
    directory = tmp_path_factory.mktemp("registry")
    with running_registry(directory, users={"me": "sec:ret"}, tls=Tls(*authority.server())) as running:
        yield running


@pytest.fixture
def certificates(authority: Authority, tmp_path: Path) -> str:
    """A folder with the private CA."""
    return str(authority.trusted_in(tmp_path / "certs"))


def login(directory: Path, *words: str, password: str = "sec:ret\n", **environment: str) -> tuple[int, Caller]:
    """Log in as me with a password on standard input; the file is auth.json."""
    surroundings = {"REGISTRY_AUTH_FILE": "auth.json", **environment}
    who = caller(directory, surroundings, password.encode(), home=directory / "home")
    return run_line(["login", "-u", "me", "--password-stdin", *words], who), who


def test_a_login_that_works_is_kept(tmp_path: Path, address: str, certificates: str) -> None:
    """And nothing of it is shown."""
    status, who = login(tmp_path, "--cert-dir", certificates, address)
    assert (status, said(who)) == (0, "")
    assert remarked(who) == f"logged in to {address}; kept in {tmp_path / 'auth.json'}\n"
    assert json.loads((tmp_path / "auth.json").read_text()) == {"auths": {address: {"auth": "bWU6c2VjOnJldA=="}}}


@pytest.mark.parametrize("password", ["wrong\n", "sec:ret \n"])
def test_a_login_that_does_not_work_is_not_kept(tmp_path: Path, address: str, certificates: str, password: str) -> None:
    """One sentence, exit code 5, no file."""
    status, who = login(tmp_path, "--cert-dir", certificates, address, password=password)
    assert status == 5
    assert remarked(who).startswith(f"pybuild: {address} refuses the login (401)\n")
    assert password.strip() not in remarked(who)
    assert not (tmp_path / "auth.json").exists()


@pytest.mark.clients
def test_skopeo_and_podman_find_our_login(tmp_path: Path, address: str, certificates: str) -> None:
    """In the file where we wrote it."""
    login(tmp_path, "--cert-dir", certificates, address)
    layout = tmp_path / "layout"
    _tiny_layout(layout)
    file = str(tmp_path / "auth.json")
    skopeo("copy", "--dest-cert-dir", certificates, "--authfile", file, f"oci:{layout}", f"docker://{address}/app:1")
    found = skopeo("inspect", "--raw", "--cert-dir", certificates, "--authfile", file, f"docker://{address}/app:1")
    assert json.loads(found)["schemaVersion"] == 2
    command = ["podman", "login", "--get-login", "--authfile", file, address]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "HOME": str(tmp_path)}
    )
    assert done.stdout == "me\n", done.stderr


@pytest.mark.clients
def test_we_find_skopeos_login(tmp_path: Path, address: str, certificates: str) -> None:
    """skopeo writes it, we log out of it."""
    file = str(tmp_path / "auth.json")
    words = ("login", "-u", "me", "-p", "sec:ret", "--authfile", file, "--cert-dir", certificates, address)
    skopeo(*words)
    who = caller(tmp_path, {"REGISTRY_AUTH_FILE": file})
    assert run_line(["logout", address], who) == 0
    assert json.loads(Path(file).read_text())["auths"] == {}


def test_a_helper_that_the_file_names_keeps_it(tmp_path: Path, address: str, certificates: str) -> None:
    """Nothing secret is in the file."""
    keeper = Keeper(tmp_path / "bin")
    (tmp_path / "auth.json").write_text('{"credsStore": "keeper"}')
    status, who = login(tmp_path, "--cert-dir", certificates, address, **keeper.environment)
    assert status == 0, remarked(who)
    assert keeper.logins[address] == {"ServerURL": address, "Username": "me", "Secret": "sec:ret"}
    assert "auths" not in json.loads((tmp_path / "auth.json").read_text())


def test_a_private_ca_must_be_named(tmp_path: Path, address: str) -> None:
    """The password is not sent to who cannot prove itself; --insecure-registry says that it may be."""
    status, who = login(tmp_path, address)
    assert status == 5
    assert "is not trusted" in remarked(who)
    assert login(tmp_path, "--insecure-registry", address, address)[0] == 0


def test_the_registrys_folder_is_found(tmp_path: Path, address: str, authority: Authority) -> None:
    """~/.config/containers/certs.d/HOST:PORT, as podman has it."""
    authority.trusted_in(tmp_path / "home" / ".config" / "containers" / "certs.d" / address)
    assert login(tmp_path, address)[0] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["login", "--password-stdin", "x.example"], "the user name is missing"),
        (["login", "x.example"], "the user name is missing"),
        (["login", "-u", "me", "x.example"], "there is no password"),
        (["login", "-u", "me", "-p", "x", "--password-stdin", "x.example"], "are both given"),
        (["login", "-u", "me", "--password-stdin", "x.example"], "there is no password on standard input"),
        (["login", "-u", "me", "-p", "x", "a b"], "a login is for HOST"),
    ],
)
def test_what_cannot_be_meant_is_a_mistake(tmp_path: Path, words: list[str], message: str) -> None:
    """Without a terminal nobody is asked."""
    who = caller(tmp_path)
    assert run_line(words, who) == 2
    assert message in remarked(who)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (None, "docker.io"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("http://reg:5000/v2/", "reg:5000"),
        ("reg", "reg"),
        ("reg.example/team/app", "reg.example/team/app"),
        ("[::1]:5000", "[::1]:5000"),
    ],
)
def test_what_a_login_is_for(text: str | None, key: str) -> None:
    """A host, or a part of it; docker's hub by any of its names."""
    assert key_of(text) == key


@pytest.mark.parametrize("text", ["", "reg/UP", "reg/a:tag", "reg/../x", "a b", "reg/a//b", "user@reg"])
def test_what_no_login_can_be_for(text: str) -> None:
    """No tag, no digest, no user."""
    with pytest.raises(UsageError, match="a login is for"):
        key_of(text)


def _tiny_layout(directory: Path) -> None:
    """The smallest image: no layers."""
    from builder.values.digest import Digest

    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(value: object, media_type: str) -> dict[str, object]:
        data = json.dumps(value).encode()
        digest = Digest.of(data)
        (blobs / digest.hex).write_bytes(data)
        return {"mediaType": media_type, "digest": str(digest), "size": len(data)}

    empty = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}, "config": {}}
    config = put(empty, "application/vnd.oci.image.config.v1+json")
    kind = "application/vnd.oci.image.manifest.v1+json"
    manifest = put({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": []}, kind)
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))


def test_a_user_name_with_a_colon_is_refused(tmp_path: Path) -> None:
    """HTTP would take what stands behind it for the password's beginning."""
    who = caller(tmp_path, {}, b"secret\n")
    assert run_line(["login", "-u", "me:you", "--password-stdin", "127.0.0.1:1"], who) == 2
    assert "a user name has no colon" in remarked(who)

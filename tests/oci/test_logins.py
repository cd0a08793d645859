"""Logins tried, written down and taken away."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.errors import ImageError, StoreError, UsageError
from builder.oci.authfile import AuthFile
from builder.oci.keyring import OneLogin
from builder.oci.logins import check_login, remove_all_logins, remove_login, store_login
from builder.values.access import Access, Credential, Trust
from tests.certificates import Authority
from tests.oci.rogue import QUICK, Rogue, body, json_answer, redirect, running_rogue, status
from tests.support.keeper import Keeper

LOGIN = Credential("me", "secret")
NOTHING: dict[str, str] = {}


def check(registry: str, login: Credential = LOGIN, trust: Trust | None = None) -> bool:
    """Whether a registry takes a login."""
    return check_login(registry, "", Access(keyring=OneLogin(login, (registry,)), trust=trust or Trust()), QUICK)


def test_a_real_registry_takes_the_right_login_only(
    login_registry: str, tls_registry: str, authority: Authority
) -> None:
    """By Basic, without TLS on loopback and with it."""
    trust = Trust(roots_file=authority.certificate)
    assert check(login_registry)
    assert check(tls_registry, trust=trust)
    for registry in (login_registry, tls_registry):
        with pytest.raises(ImageError, match=r"refuses the login \(401\)"):
            check(registry, Credential("me", "wrong"), trust)


def test_a_token_service_is_asked_too(rogue: Rogue) -> None:
    """The login is good when the registry takes the token."""
    realm = f'Bearer realm="{rogue.url}/token",service="reg"'
    rogue.routes["/v2/"] = lambda exchange: (
        exchange.send(200) if exchange.headers.get("Authorization") else exchange.send(401, WWW_Authenticate=realm)
    )
    rogue.routes["/token"] = json_answer({"token": "letmein"})
    assert check(rogue.address)
    rogue.routes["/token"] = status(401)
    with pytest.raises(ImageError, match="refuses the login"):
        check(rogue.address)


def test_a_login_is_not_tried_where_the_registry_redirects_to(rogue: Rogue) -> None:
    """Another server's challenge is not the registry's."""
    with running_rogue() as other:
        rogue.routes["/v2/"] = redirect(f"{other.url}/v2/")
        other.routes["/v2/"] = status(401, WWW_Authenticate=f'Bearer realm="{other.url}/token"')
        access = Access(keyring=OneLogin(Credential("me", "secret"), (rogue.address,)))
        with pytest.raises(ImageError, match="refuses the login"):
            check_login(rogue.address, "", access, QUICK)
        assert {auth for _, auth in (*rogue.requests, *other.requests)} == {""}
        assert other.count("/token") == 0


def test_a_registry_may_want_no_login(registry: str) -> None:
    """That is not the same as a login that is right."""
    assert not check(registry)


def test_what_is_no_registry_says_so(rogue: Rogue) -> None:
    """/v2/ is where every registry answers."""
    with pytest.raises(ImageError, match="answers 404") as caught:
        check(rogue.address)
    assert "is it a registry?" in (caught.value.hint or "")
    rogue.routes["/v2/"] = body(b"")
    assert not check(rogue.address)


def test_a_new_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    """And so is its directory; nothing else is left there."""
    path = tmp_path / "run" / "containers" / "auth.json"
    assert store_login(path, "reg", LOGIN, NOTHING) == str(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert os.listdir(path.parent) == ["auth.json"]
    file = AuthFile.read(path)
    assert file is not None
    assert file.login("reg", "a") == LOGIN


def test_what_others_have_written_stays(tmp_path: Path) -> None:
    """Other logins, and whatever else docker keeps in its config.json, in its order; a link stays a link."""
    real = tmp_path / "real.json"
    before = {
        "HttpHeaders": {"X": "ü"},
        "auths": {"other": {"auth": "YTpi", "email": "x"}},
        "plugins": {"a": {"b": "1"}},
    }
    real.write_text(json.dumps(before))
    path = tmp_path / "config.json"
    path.symlink_to(real)
    store_login(path, "reg", LOGIN, NOTHING)
    after = json.loads(real.read_text())
    assert list(after) == list(before)
    assert after["auths"].pop("reg") == {"auth": "bWU6c2VjcmV0"}
    assert after == before
    assert path.is_symlink()
    assert remove_login(path, "reg", NOTHING)
    assert json.loads(real.read_text()) == before


def test_an_entry_keeps_the_name_it_has(tmp_path: Path) -> None:
    """Docker finds its own hub by its old name only, and two entries for one registry would be one too many."""
    path = tmp_path / "config.json"
    store_login(path, "docker.io", LOGIN, NOTHING)
    assert list(json.loads(path.read_text())["auths"]) == ["https://index.docker.io/v1/"]
    path.write_text('{"auths": {"https://reg/v1/": {}}}')
    store_login(path, "reg", LOGIN, NOTHING)
    assert list(json.loads(path.read_text())["auths"]) == ["https://reg/v1/"]
    other = tmp_path / "auth.json"
    store_login(other, "docker.io", LOGIN, NOTHING)
    assert list(json.loads(other.read_text())["auths"]) == ["docker.io"]


def test_a_helper_keeps_the_login_where_the_file_says_so(tmp_path: Path) -> None:
    """Then nothing secret is written."""
    keeper = Keeper(tmp_path / "bin")
    path = tmp_path / "config.json"
    path.write_text('{"credHelpers": {"reg": "keeper"}}')
    assert store_login(path, "reg", LOGIN, keeper.environment) == "docker-credential-keeper"
    assert path.read_text() == '{"credHelpers": {"reg": "keeper"}}'
    assert keeper.logins["reg"]["Secret"] == "secret"
    assert remove_login(path, "reg", keeper.environment)
    assert keeper.logins == {}
    assert not remove_login(path, "reg", keeper.environment)


def test_all_logins_of_a_file_can_go(tmp_path: Path) -> None:
    """Those of its helpers too."""
    keeper = Keeper(tmp_path / "bin")
    path = tmp_path / "config.json"
    path.write_text('{"credHelpers": {"kept": "keeper"}, "x": 1}')
    for name in ("kept", "a", "b"):
        store_login(path, name, LOGIN, keeper.environment)
    assert remove_all_logins(path, keeper.environment) == 3
    assert keeper.logins == {}
    assert json.loads(path.read_text()) == {"credHelpers": {"kept": "keeper"}, "x": 1, "auths": {}}
    assert remove_all_logins(tmp_path / "missing", NOTHING) == 0


def test_logins_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    """A lock keeps one from being overwritten by the other."""
    path = tmp_path / "auth.json"
    names = [f"reg{number}" for number in range(12)]
    threads = [threading.Thread(target=store_login, args=(path, name, LOGIN, NOTHING)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(json.loads(path.read_text())["auths"]) == sorted(names)


def test_a_damaged_file_is_not_replaced(tmp_path: Path) -> None:
    """There may be other logins in it."""
    path = tmp_path / "auth.json"
    path.write_text("{")
    with pytest.raises(UsageError, match="not valid JSON"):
        store_login(path, "reg", LOGIN, NOTHING)
    assert path.read_text() == "{"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """With another way."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written") as caught:
        store_login(tmp_path / "file" / "auth.json", "reg", LOGIN, NOTHING)
    assert "--authfile" in (caught.value.hint or "")


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("/dev/null", path)])
def test_what_is_no_file_is_not_replaced_by_one(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """Somebody who logs in with --authfile /dev/null, as root even, still has a /dev/null afterwards."""
    make(tmp_path / "auth.json")
    with pytest.raises(UsageError, match="is not a regular file"):
        store_login(tmp_path / "auth.json", "reg.example", LOGIN, NOTHING)
    assert not (tmp_path / "auth.json").is_file()

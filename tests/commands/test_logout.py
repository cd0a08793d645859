"""`pybuild logout`."""

from __future__ import annotations

import json
from pathlib import Path

from builder.cli import run as run_line
from builder.oci.logins import store_login
from builder.values.access import Credential
from tests.commands.callers import caller, remarked

LOGIN = Credential("me", "secret")


def test_one_login_is_forgotten(tmp_path: Path) -> None:
    """The others stay."""
    for name in ("a.example", "b.example"):
        store_login(tmp_path / "auth.json", name, LOGIN, {})
    who = caller(tmp_path)
    assert run_line(["logout", "--authfile", "auth.json", "a.example"], who) == 0
    assert remarked(who) == "logged out of a.example\n"
    assert list(json.loads((tmp_path / "auth.json").read_text())["auths"]) == ["b.example"]


def test_all_logins_are_forgotten(tmp_path: Path) -> None:
    """With --all, which goes with no host."""
    for name in ("a.example", "b.example"):
        store_login(tmp_path / "auth.json", name, LOGIN, {})
    who = caller(tmp_path)
    assert run_line(["logout", "--all", "--authfile", "auth.json"], who) == 0
    assert remarked(who) == f"2 logins removed from {tmp_path / 'auth.json'}\n"
    assert run_line(["logout", "--all", "a.example"], caller(tmp_path, home=tmp_path)) == 2


def test_a_login_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    """So that nobody believes to have logged out of something else."""
    who = caller(tmp_path)
    assert run_line(["logout", "--authfile", "auth.json", "a.example"], who) == 2
    assert "there is no login for a.example" in remarked(who)


def test_a_login_in_another_file_is_told(tmp_path: Path) -> None:
    """Docker's own is docker's to remove."""
    store_login(tmp_path / ".docker" / "config.json", "a.example", LOGIN, {})
    who = caller(tmp_path, {"XDG_RUNTIME_DIR": str(tmp_path / "run")}, home=tmp_path)
    assert run_line(["logout", "a.example"], who) == 0
    assert "there is a login for a.example in another file" in remarked(who)
    assert "a.example" in (tmp_path / ".docker" / "config.json").read_text()


def test_without_a_host_it_is_docker_hub(tmp_path: Path) -> None:
    """As for docker."""
    store_login(tmp_path / "auth.json", "docker.io", LOGIN, {})
    who = caller(tmp_path, {"REGISTRY_AUTH_FILE": "auth.json"})
    assert run_line(["logout"], who) == 0
    assert remarked(who) == "logged out of docker.io\n"

"""A real registry (docker-registry) on loopback for tests, and skopeo to fill it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

NOBODY: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Tls:
    """A registry's certificate and key; with `client_authority` it asks for client certificates of that CA."""

    certificate: Path
    key: Path
    client_authority: Path | None = None


@contextmanager
def running_registry(
    directory: Path,
    users: Mapping[str, str] = NOBODY,
    tls: Tls | None = None,
    port: int = 0,
    auth: Mapping[str, object] | None = None,
) -> Iterator[str]:
    """Run docker-registry with its files in `directory`; gives `127.0.0.1:PORT`. Skips the test where there is none.

    With `users` (names and passwords) it wants one of these logins, by Basic; with `tls` it speaks https; `auth` is its
    whole `auth` section instead (tests/support/tokens.py).
    """
    program = shutil.which("docker-registry") or shutil.which("registry")
    if program is None:
        pytest.skip("docker-registry is not installed")
    address = f"127.0.0.1:{port or free_port()}"
    config = directory / "registry.yml"
    config.write_text(
        json.dumps(_config(directory, address, users, tls) | ({"auth": auth} if auth else {}))
    )  # YAML is JSON too
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "REGISTRY_"))}
    process = subprocess.Popen(
        [program, "serve", str(config)],
        env={**environment, "OTEL_TRACES_EXPORTER": "none"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_it_answers(address, process)
        yield address
    finally:
        process.kill()
        process.wait()


def _config(directory: Path, address: str, users: Mapping[str, str], tls: Tls | None) -> dict[str, object]:
    config: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(directory / "registry")}, "delete": {"enabled": True}},
    }
    web: dict[str, object] = {"addr": address}
    if tls is not None:
        clients = {} if tls.client_authority is None else {"clientcas": [str(tls.client_authority)]}
        web["tls"] = {"certificate": str(tls.certificate), "key": str(tls.key), **clients}
    if users:
        path = directory / "htpasswd"
        path.write_text("".join(f"{name}:{_bcrypt(password)}\n" for name, password in users.items()))
        config["auth"] = {"htpasswd": {"realm": "test registry", "path": str(path)}}
    return {**config, "http": web}


def _bcrypt(password: str) -> str:
    """The only hash that docker-registry takes; libcrypt makes it, and Debian's perl-base is the shortest way to it."""
    program = ["perl", "-e", 'print crypt($ARGV[0], "\\$2b\\$04\\$abcdefghijklmnopqrstuu")', password]
    hashed = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    assert hashed.startswith("$2b$"), "this machine's crypt(3) knows no bcrypt"
    return hashed


def push(source: str, name: str, *options: str) -> None:
    """Copy an image from any transport of skopeo's to a plain-http registry; `name` is HOST:PORT/REPOSITORY:TAG."""
    skopeo("copy", "--dest-tls-verify=false", *options, source, f"docker://{name}")


def skopeo(*arguments: str) -> str:
    """Run skopeo and give what it printed. Skips the test where it is not installed."""
    program = shutil.which("skopeo")
    if program is None:
        pytest.skip("skopeo is not installed")
    command = [program, "--insecure-policy", *arguments]
    # skopeo remembers which blobs it has seen where, and takes a zstd one of another test for the gzip one of this.
    with tempfile.TemporaryDirectory() as memory:
        environment = {**os.environ, "XDG_DATA_HOME": memory}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_it_answers(address: str, process: subprocess.Popen[bytes]) -> None:
    host, _, port = address.partition(":")
    for _ in range(200):
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            return
        except OSError:
            assert process.poll() is None, "docker-registry ended at once"
            time.sleep(0.05)
    raise AssertionError("docker-registry does not answer")

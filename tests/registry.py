"""A real registry (docker-registry) on loopback for tests, and skopeo to fill it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_CONFIG = """version: 0.1
log: {{level: error}}
storage:
  filesystem: {{rootdirectory: {root}}}
  delete: {{enabled: true}}
http: {{addr: "{address}"}}
"""


@contextmanager
def running_registry(directory: Path) -> Iterator[str]:
    """Run docker-registry with its files in `directory`; gives `127.0.0.1:PORT`. Skips the test where there is none."""
    program = shutil.which("docker-registry") or shutil.which("registry")
    if program is None:
        pytest.skip("docker-registry is not installed")
    address = f"127.0.0.1:{free_port()}"
    config = directory / "registry.yml"
    config.write_text(_CONFIG.format(root=directory / "registry", address=address))
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


def push(source: str, name: str, *options: str) -> None:
    """Copy an image from any transport of skopeo's to a plain-http registry; `name` is HOST:PORT/REPOSITORY:TAG."""
    skopeo("copy", "--dest-tls-verify=false", *options, source, f"docker://{name}")


def skopeo(*arguments: str) -> str:
    """Run skopeo and give what it printed. Skips the test where it is not installed."""
    program = shutil.which("skopeo")
    if program is None:
        pytest.skip("skopeo is not installed")
    done = subprocess.run([program, "--insecure-policy", *arguments], capture_output=True, text=True, check=False)
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

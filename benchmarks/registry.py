"""Debian's docker-registry on loopback: one with the bases, and a fresh one for each push."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CONFIG = """version: 0.1
log: {{level: error}}
storage:
  filesystem: {{rootdirectory: {directory}}}
  delete: {{enabled: true}}
http: {{addr: "{address}"}}
"""
_PATIENCE_S = 15.0


class NoRegistry(Exception):
    """There is none, or it does not answer."""


@contextmanager
def registry(directory: Path) -> Iterator[str]:
    """A registry that keeps its blobs there; gives its address."""
    program = shutil.which("docker-registry")
    if program is None:
        raise NoRegistry("docker-registry is not installed (Debian: apt-get install docker-registry)")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    directory.mkdir(parents=True, exist_ok=True)
    config = directory.with_name(directory.name + ".yml")
    config.write_text(_CONFIG.format(directory=directory, address=address))
    environment = {"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"}
    process = subprocess.Popen(
        [program, "serve", str(config)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _await(address, process)
        yield address
    finally:
        process.kill()
        process.wait()


def _await(address: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until and process.poll() is None:
        try:
            _ask(address, "GET", "/v2/")
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise NoRegistry(f"the registry on {address} does not answer")


def has(address: str, name: str) -> bool:
    """Whether it has an image called REPOSITORY:TAG."""
    repository, tag = name.split(":")
    return _ask(address, "HEAD", f"/v2/{repository}/manifests/{tag}")[0] == 200


def put_layout(address: str, layout: Path, name: str) -> None:
    """Send the one image of an OCI layout there under REPOSITORY:TAG."""
    repository, tag = name.split(":")
    entry = json.loads((layout / "index.json").read_text())["manifests"][0]
    text = _blob(layout, entry["digest"]).read_bytes()
    manifest = json.loads(text)
    for blob in (manifest["config"], *manifest["layers"]):
        _, headers = _ask(address, "POST", f"/v2/{repository}/blobs/uploads/")
        where = headers["location"].partition(address)[2]
        with _blob(layout, blob["digest"]).open("rb") as file:
            _good(_ask(address, "PUT", f"{where}&digest={blob['digest']}", file, {"Content-Length": str(blob["size"])}))
    kind = {"Content-Type": manifest["mediaType"]}
    _good(_ask(address, "PUT", f"/v2/{repository}/manifests/{tag}", text, kind))


def manifest_digest(address: str, name: str) -> str:
    """The digest of an image's manifest."""
    repository, tag = name.split(":")
    answer = _ask(address, "HEAD", f"/v2/{repository}/manifests/{tag}")
    _good(answer)
    return answer[1]["docker-content-digest"]


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / digest.replace(":", "/")


def _ask(
    address: str, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str]]:
    connection = http.client.HTTPConnection(address, timeout=120)
    accept = {
        "Accept": "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
    }
    try:
        connection.request(method, path, body, {**accept, **(headers or {})})  # type: ignore[arg-type]
        answer = connection.getresponse()
        answer.read()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def _good(answer: tuple[int, dict[str, str]]) -> None:
    if answer[0] >= 300:
        raise NoRegistry(f"the registry answers {answer[0]}")

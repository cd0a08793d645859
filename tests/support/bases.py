"""The base images of the conformance cases, written as OCI layouts by code that shares nothing with the program."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

from tests.support.tars import compressed, layer

BUSYBOX = Path("/bin/busybox")
_SUFFIX = {"+gzip": "gzip", "+zstd": "zstd"}


class LayoutWriter:
    """An OCI layout in a directory, for one name."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "blobs" / "sha256").mkdir(parents=True)
        (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def blob(self, data: bytes, media_type: str) -> dict[str, Any]:
        """Write a blob; its descriptor."""
        digest = hashlib.sha256(data).hexdigest()
        (self.directory / "blobs" / "sha256" / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def image(self, platform: str, config: dict[str, Any], layers: list[tuple[bytes, str]]) -> dict[str, Any]:
        """Write an image of these uncompressed layers and their media types; the manifest's descriptor."""
        os_name, _, architecture = platform.partition("/")
        document = {
            "architecture": architecture,
            "os": os_name,
            "created": "2023-11-14T22:13:20Z",
            "config": config,
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}" for tar, _ in layers],
            },
            "history": [{"created": "2023-11-14T22:13:20Z", "created_by": f"layer {n}"} for n in range(len(layers))],
        }
        blobs = [self.blob(compressed(tar, _compression(kind)), kind) for tar, kind in layers]
        manifest_type = "application/vnd.oci.image.manifest.v1+json"
        manifest = {
            "schemaVersion": 2,
            "mediaType": manifest_type,
            "config": self.blob(json.dumps(document).encode(), "application/vnd.oci.image.config.v1+json"),
            "layers": blobs,
        }
        descriptor = self.blob(json.dumps(manifest).encode(), manifest_type)
        descriptor["platform"] = {"os": os_name, "architecture": architecture}
        return descriptor

    def finish(self, manifests: list[dict[str, Any]]) -> None:
        """Name the image `latest`; several manifests stand in an index of their own."""
        top = manifests[0]
        if len(manifests) > 1:
            index_type = "application/vnd.oci.image.index.v1+json"
            index = {"schemaVersion": 2, "mediaType": index_type, "manifests": manifests}
            top = self.blob(json.dumps(index).encode(), index_type)
        named = {**top, "annotations": {"org.opencontainers.image.ref.name": "latest"}}
        (self.directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))


def _compression(media_type: str) -> str | None:
    return next((how for suffix, how in _SUFFIX.items() if media_type.endswith(suffix)), None)


def applets() -> list[str]:
    """The names that this machine's static busybox answers to."""
    listed = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
    return [name for name in listed if name != "busybox"]


def write_bases(bases: dict[str, Any], directory: Path) -> dict[str, list[str]]:
    """Write every base but debian as a layout `directory/NAME`; their first images' diff-ids by name."""
    shared = layer(_rows(bases["busybox"][0]["layers"][0]["entries"]))
    shared_type = bases["busybox"][0]["layers"][0]["media_type"]
    diff_ids: dict[str, list[str]] = {}
    for name, platforms in bases.items():
        if isinstance(platforms, str):
            continue
        writer = LayoutWriter(directory / name)
        manifests = []
        for image in platforms:
            layers = [
                (shared, shared_type) if isinstance(one, str) else (layer(_rows(one["entries"])), one["media_type"])
                for one in image["layers"]
            ]
            manifests.append(writer.image(image["platform"], image["config"], layers))
            ids = [f"sha256:{hashlib.sha256(tar).hexdigest()}" for tar, _ in layers]
            diff_ids.setdefault(name, ids)
        writer.finish(manifests)
    return diff_ids


def _rows(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for entry in entries:
        if "for_each_applet_of" in entry:
            taken = {row["path"] for row in rows}
            names = [name for name in applets() if f"bin/{name}" not in taken]
            rows += [{**entry, "path": f"bin/{name}"} for name in names]
        elif "content_from" in entry:
            rows.append({**entry, "data": BUSYBOX.read_bytes()})
        else:
            rows.append(entry)
    return rows

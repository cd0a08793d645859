"""OCI layouts from plain tars, made without any of the builders that are compared."""

from __future__ import annotations

import hashlib
import json
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path

_PIECE = 1 << 20
_OCI = "application/vnd.oci.image"
_LEVEL = 6  # what registries hold is mostly made by gzip's default
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def make_layout(layout: Path, tars: Sequence[Path]) -> None:
    """One image of these layers, as gzip, in a new OCI layout."""
    making = layout.with_name(layout.name + ".making")
    shutil.rmtree(making, ignore_errors=True)
    blobs = making / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    layers, diff_ids = [], []
    for tar in tars:
        descriptor, diff_id = _gzipped(tar, blobs)
        layers.append(descriptor)
        diff_ids.append(diff_id)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": [_PATH], "Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [
            {"created": "2023-11-14T22:13:20Z", "created_by": f"layer {number}"} for number in range(len(tars))
        ],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_OCI}.manifest.v1+json",
        "config": _document(config, f"{_OCI}.config.v1+json", blobs),
        "layers": layers,
    }
    index = {"schemaVersion": 2, "manifests": [_document(manifest, f"{_OCI}.manifest.v1+json", blobs)]}
    (making / "index.json").write_text(json.dumps(index))
    (making / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    making.rename(layout)


def _gzipped(tar: Path, blobs: Path) -> tuple[dict[str, object], str]:
    plain, packed = hashlib.sha256(), hashlib.sha256()
    press = zlib.compressobj(_LEVEL, zlib.DEFLATED, 31)
    path, size = blobs / "making", 0
    with tar.open("rb") as source, path.open("wb") as target:
        while data := source.read(_PIECE):
            plain.update(data)
            out = press.compress(data)
            packed.update(out)
            size += target.write(out)
        out = press.flush()
        packed.update(out)
        size += target.write(out)
    path.rename(blobs / packed.hexdigest())
    descriptor = {"mediaType": f"{_OCI}.layer.v1.tar+gzip", "digest": f"sha256:{packed.hexdigest()}", "size": size}
    return descriptor, f"sha256:{plain.hexdigest()}"


def _document(value: object, kind: str, blobs: Path) -> dict[str, object]:
    text = json.dumps(value).encode()
    name = hashlib.sha256(text).hexdigest()
    (blobs / name).write_bytes(text)
    return {"mediaType": kind, "digest": f"sha256:{name}", "size": len(text)}

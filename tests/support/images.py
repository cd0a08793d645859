"""Reading images the slow, plain way: layers laid on each other in memory with the standard library's tarfile.

It shares no code with the program, so it can hold it to account. Every invariant of a whole image is checked on the
way: digests, sizes, diff-ids, history, duplicate and hostile paths, hard links.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard


@dataclass
class Node:
    """One thing in a file system; hard links are the same Node under several names."""

    info: tarfile.TarInfo
    content: bytes = b""

    @property
    def kind(self) -> str:
        for kind, check in (
            ("dir", self.info.isdir()),
            ("symlink", self.info.issym()),
            ("fifo", self.info.isfifo()),
            ("file", self.info.isreg()),
        ):
            if check:
                return kind
        return "other"

    @property
    def xattrs(self) -> dict[str, bytes]:
        prefix = "SCHILY.xattr."
        return {
            name.removeprefix(prefix): value.encode("utf-8", "surrogateescape")
            for name, value in self.info.pax_headers.items()
            if name.startswith(prefix)
        }


@dataclass
class ReadImage:
    """An image: config, the entries of each layer, and the file system that they make."""

    digest: str
    config: dict[str, Any]
    diff_ids: list[str]
    layers: list[list[tuple[str, tarfile.TarInfo, bytes]]]
    files: dict[str, Node] = field(default_factory=dict)

    def real(self, path: str) -> str:
        """A path with links followed inside the image."""
        waiting = [part for part in path.split("/") if part][::-1]
        done: list[str] = []
        for _ in range(1000):
            if not waiting:
                break
            part = waiting.pop()
            if part in (".", ""):
                continue
            if part == "..":
                del done[-1:]
                continue
            node = self.files.get("/".join((*done, part)))
            if node is not None and node.kind == "symlink" and waiting:
                if node.info.linkname.startswith("/"):
                    done.clear()
                waiting += node.info.linkname.split("/")[::-1]
            else:
                done.append(part)
        return "/".join(done)

    def node(self, path: str) -> Node | None:
        """What is at an absolute path; links in its parents are followed."""
        return self.files.get(self.real(path))


def read_layout(directory: Path, tag: str | None = None) -> ReadImage:
    """Read and check the image of a layout."""
    assert json.loads((directory / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((directory / "index.json").read_text())
    name = "org.opencontainers.image.ref.name"
    found = [one for one in index["manifests"] if tag is None or one.get("annotations", {}).get(name) == tag]
    assert len(found) == 1, f"{len(found)} manifests for {tag!r}"
    manifest = json.loads(_blob(directory, found[0]))
    config = json.loads(_blob(directory, manifest["config"]))
    diff_ids = config["rootfs"]["diff_ids"]
    assert len(diff_ids) == len(manifest["layers"])
    image = ReadImage(found[0]["digest"], config, diff_ids, [])
    for descriptor, diff_id in zip(manifest["layers"], diff_ids, strict=True):
        tar = _uncompressed(_blob(directory, descriptor), descriptor["mediaType"])
        assert diff_id == "sha256:" + hashlib.sha256(tar).hexdigest(), "a diff-id is not that of its layer"
        image.layers.append(_entries(tar))
        _apply(image.files, image.layers[-1])
    history = config.get("history", [])
    assert sum(not line.get("empty_layer", False) for line in history) == len(diff_ids), "history does not fit"
    return image


def _blob(directory: Path, descriptor: dict[str, Any]) -> bytes:
    algorithm, _, digest = descriptor["digest"].partition(":")
    data: bytes = (directory / "blobs" / algorithm / digest).read_bytes()
    assert len(data) == descriptor["size"], "a size is wrong"
    assert hashlib.sha256(data).hexdigest() == digest, "a digest is wrong"
    return data


def _uncompressed(data: bytes, media_type: str) -> bytes:
    if media_type.endswith(("+gzip", ".gzip")):  # OCI's, Docker's
        return gzip.decompress(data)
    if media_type.endswith("+zstd"):
        return bytes(zstandard.ZstdDecompressor().decompressobj().decompress(data))
    assert media_type.endswith(".tar"), media_type
    assert data[:2] != b"\x1f\x8b", "a media type lies"
    return data


def _entries(tar_bytes: bytes) -> list[tuple[str, tarfile.TarInfo, bytes]]:
    rows = []
    seen: set[str] = set()
    with tarfile.open(fileobj=io.BytesIO(tar_bytes), mode="r:", errors="surrogateescape") as tar:
        for info in tar:
            parts = [part for part in info.name.split("/") if part not in ("", ".")]
            assert ".." not in parts, f"a layer has .. in {info.name!r}"
            name = "/".join(parts)
            assert name not in seen, f"a layer names {name!r} twice"
            if info.islnk():
                info.linkname = "/".join(part for part in info.linkname.split("/") if part not in ("", "."))
                assert info.linkname in seen, f"{name!r} links to {info.linkname!r}, which is not before it"
            seen.add(name)
            reader = tar.extractfile(info) if info.isreg() else None
            rows.append((name, info, reader.read() if reader is not None else b""))
    return rows


def _apply(files: dict[str, Node], entries: list[tuple[str, tarfile.TarInfo, bytes]]) -> None:
    for name, _, _ in entries:
        parent, _, last = name.rpartition("/")
        prefix = parent + "/" if parent else ""
        if last == ".wh..wh..opq":
            for path in [path for path in files if path.startswith(prefix) and path != parent]:
                del files[path]
        elif last.startswith(".wh."):
            _remove(files, prefix + last[4:])
    for name, info, content in entries:
        if name.rpartition("/")[2].startswith(".wh."):
            continue
        old = files.get(name)
        if old is not None and (old.kind == "dir") != info.isdir():
            _remove(files, name)
        files[name] = files[info.linkname] if info.islnk() else Node(info, content)


def _remove(files: dict[str, Node], path: str) -> None:
    for name in [name for name in files if name == path or name.startswith(path + "/")]:
        del files[name]

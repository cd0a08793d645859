"""The files of an image in an OCI layout or archive, layer upon layer: nothing is compared that holds other files.

Left out is what builders leave of their own mounts (/etc/resolv.conf and its kind, the empty /proc, /sys, /dev), times,
and owners of files that the context has, where every builder says the same.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol, cast

from benchmarks.values import LayerSize, Listing

_PIECE = 1 << 20
_MOUNTED = ("etc/resolv.conf", "etc/hosts", "etc/hostname", "etc/mtab", "proc", "sys", "dev", "run")
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"


class Blobs(Protocol):
    """Where blobs are: a directory or a tar."""

    def open(self, name: str) -> IO[bytes]:
        """A file of it, by path."""


class Directory:
    """An OCI layout."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self, name: str) -> IO[bytes]:
        """A file of it."""
        return (self._path / name).open("rb")


class Archive:
    """An OCI layout in a tar."""

    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(path)  # noqa: SIM115 - as long as this is

    def open(self, name: str) -> IO[bytes]:
        """A file of it; writers differ in how they spell paths."""
        for spelling in (name, f"./{name}"):
            try:
                file = self._tar.extractfile(spelling)
            except KeyError:
                continue
            if file is not None:
                return file
        raise FileNotFoundError(name)


def listing(path: Path) -> Listing:
    """What an image consists of; the path is that of a layout or an archive with one image."""
    blobs: Blobs = Directory(path) if path.is_dir() else Archive(path)
    manifest = _load(blobs, json.load(blobs.open("index.json"))["manifests"][0]["digest"])
    while "manifests" in manifest:  # an index that a builder puts around its image
        manifest = _load(blobs, manifest["manifests"][0]["digest"])
    entries: dict[str, str] = {}
    sizes = []
    for layer in manifest["layers"]:
        kind = layer["mediaType"].rpartition("tar")[2].strip("+.") or "tar"
        with _plain(blobs.open(_path(layer["digest"])), kind) as counted:
            _apply(counted, entries)
            while counted.read(_PIECE):
                pass
        sizes.append(LayerSize(layer["size"], counted.size, kind))
    return Listing(entries, tuple(sizes))


def differences(one: Listing, other: Listing) -> list[str]:
    """What is not the same in both, a line for each path."""
    paths = one.entries.keys() | other.entries.keys()
    return [
        f"{path}: {one.entries.get(path, 'not there')} | {other.entries.get(path, 'not there')}"
        for path in sorted(paths)
        if one.entries.get(path) != other.entries.get(path)
    ]


def _apply(stream: _Counted, entries: dict[str, str]) -> None:
    with tarfile.open(fileobj=cast(IO[bytes], stream), mode="r|") as tar:
        for member in tar:
            path = member.name.strip("/").removeprefix("./")
            parent, _, name = path.rpartition("/")
            if name == _OPAQUE:
                _remove_below(entries, parent)
            elif name.startswith(_WHITEOUT):
                gone = f"{parent}/{name[len(_WHITEOUT) :]}".strip("/")
                entries.pop(gone, None)
                _remove_below(entries, gone)
            elif path not in ("", ".") and not path.startswith(_MOUNTED):
                entries[path] = _described(tar, member)


def _remove_below(entries: dict[str, str], parent: str) -> None:
    for path in [path for path in entries if path.startswith(f"{parent}/")]:
        del entries[path]


def _described(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    owner = f"{member.uid}:{member.gid}"
    if member.isreg():
        file = tar.extractfile(member)
        assert file is not None
        digest = hashlib.sha256()
        while data := file.read(_PIECE):
            digest.update(data)
        return f"file {member.mode & 0o7777:o} {owner} {member.size} {digest.hexdigest()}"
    if member.issym():
        return f"link {owner} {member.linkname}"
    if member.islnk():
        return f"hard link {member.linkname.removeprefix('./').strip('/')}"
    return f"{'directory' if member.isdir() else 'special'} {member.mode & 0o7777:o} {owner}"


class _Counted:
    """A stream that knows how much was read from it; as much of a file as tarfile needs."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest, self.size = pieces, b"", 0

    def read(self, size: int) -> bytes:
        while len(self._rest) < size:
            data = next(self._pieces, b"")
            if not data:
                break
            self._rest += data
        data, self._rest = self._rest[:size], self._rest[size:]
        self.size += len(data)
        return data


@contextmanager
def _plain(stream: IO[bytes], kind: str) -> Iterator[_Counted]:
    """The tar that is in a layer."""
    with stream:
        if kind == "zstd":
            with subprocess.Popen(["zstd", "-dc"], stdin=stream, stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                yield _Counted(iter(lambda: process.stdout.read(_PIECE), b""))  # type: ignore[union-attr]
        elif kind == "gzip":
            yield _Counted(_inflated(stream))
        else:
            yield _Counted(iter(lambda: stream.read(_PIECE), b""))


def _inflated(stream: IO[bytes]) -> Iterator[bytes]:
    """Of all members of a gzip file: pgzip writes one, others several."""
    press = zlib.decompressobj(31)
    while data := stream.read(_PIECE):
        while data:
            if out := press.decompress(data):
                yield out
            data = press.unused_data
            if press.eof:
                press = zlib.decompressobj(31)


def _load(blobs: Blobs, digest: str) -> dict[str, Any]:
    with blobs.open(_path(digest)) as file:
        return json.load(file)  # type: ignore[no-any-return]


def _path(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")

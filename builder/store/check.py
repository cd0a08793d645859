"""Checking a store: is every blob what its name says, does every record lead to something, is index.json whole?

Nothing is mended or removed here. Images are followed from index.json to their layers, without `oci`'s strictness: only
what points where matters.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from builder.errors import StoreError
from builder.store import descriptors, files
from builder.store.files import JsonValue
from builder.store.layers import LAYER_VERSION
from builder.store.promised import promised
from builder.store.pulled import PULLED_VERSION
from builder.store.records import STEP_VERSION, record_of
from builder.store.store import Store
from builder.values.digest import DiffId, Digest
from builder.values.image import Descriptor
from builder.values.limits import HIGHEST_DOCUMENT_BYTES

_READ_BYTES = 1 << 20
_DEPTH = 4  # of an index that holds indexes


def check(store: Store) -> list[str]:
    """What is wrong with the store, a sentence each; an empty list is a clean bill. Reads every blob.

    Raises StoreError where the store cannot be read at all.
    """
    with files.plain_errors(f"cannot check the store {store.root}"):
        return [
            *_blobs(store),
            *_layer_records(store),
            *_indexes(store),
            *_step_records(store),
            *_pulled_records(store),
            *_snapshots(store),
            *_names(store),
        ]


def _folder(store: Store, name: str) -> Path:
    return store.root / "pybuild" / name


def _blob(store: Store, digest: Digest) -> Path:
    return store.root / "blobs" / "sha256" / digest.hex  # not asked for from the store: to look is not to use


def _blobs(store: Store) -> Iterator[str]:
    directory = store.root / "blobs" / "sha256"
    for name in sorted(os.listdir(directory)):
        try:
            expected = Digest.parse(f"sha256:{name}")
        except ValueError:
            yield f"blobs/sha256/{name}: not the name of a blob"
            continue
        if not os.path.isfile(directory / name) or os.path.islink(directory / name):
            yield f"blob {expected}: not a regular file"
        elif _digest_of(directory / name) != expected.hex:
            yield f"blob {expected}: its content has another digest"


def _digest_of(path: Path) -> str:
    hasher = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while data := file.read(_READ_BYTES):
            hasher.update(data)
    return hasher.hexdigest()


def _documents(directory: Path, version: int) -> Iterator[tuple[str, dict[str, JsonValue] | str]]:
    """Each record of a folder by its name: its document, or what is wrong with it."""
    for name in sorted(os.listdir(directory)):
        try:
            document = files.decode(files.read_bounded(directory / name, files.RECORD_LIMIT_BYTES))
            found = document.get("version")
            yield name, document if found == version else f"it has version {found!r}"
        except ValueError as error:
            yield name, str(error)


def _layer_records(store: Store) -> Iterator[str]:
    for name, document in _documents(_folder(store, "layers"), LAYER_VERSION):
        try:
            if isinstance(document, str):
                raise ValueError(document)
            descriptor = descriptors.from_json(document.get("descriptor"))
            if document.get("diff_id") != f"sha256:{name.removesuffix('.json')}":
                raise ValueError("it is of another layer")
        except ValueError as error:
            yield f"layer record {name}: {error}"
            continue
        problem = _missing(store, descriptor)
        if problem:
            yield f"layer record {name}: {problem}"


def _missing(store: Store, descriptor: Descriptor) -> str:
    try:
        size = os.stat(_blob(store, descriptor.digest)).st_size
    except FileNotFoundError:
        return f"blob {descriptor.digest} is not there"
    return "" if size == descriptor.size else f"blob {descriptor.digest} has {size} bytes and not {descriptor.size}"


def _indexes(store: Store) -> Iterator[str]:
    directory = _folder(store, "indexes")
    for name in sorted(os.listdir(directory)):
        try:
            with open(directory / name, "rb") as file:
                head = files.decode(file.readline(1000))
            if head.get("diff_id") != f"sha256:{name}":
                raise ValueError("it is of another layer")
        except ValueError as error:
            yield f"layer index {name}: {error}"


def _step_records(store: Store) -> Iterator[str]:
    for name, document in _documents(_folder(store, "steps"), STEP_VERSION):
        try:
            if isinstance(document, str):
                raise ValueError(document)
            diff_id = record_of(document).diff_id
        except ValueError as error:
            yield f"step record {name}: {error}"
            continue
        if diff_id is not None and not _has_record(store, diff_id):
            yield f"step record {name}: no layer {diff_id} is known"


def _has_record(store: Store, diff_id: DiffId) -> bool:
    return os.path.isfile(_folder(store, "layers") / f"{diff_id.hex}.json")


def _pulled_records(store: Store) -> Iterator[str]:
    for name, document in _documents(_folder(store, "pulled"), PULLED_VERSION):
        try:
            if isinstance(document, str):
                raise ValueError(document)
            manifest = descriptors.from_json(document.get("manifest"))
        except ValueError as error:
            yield f"record of a pulled image {name}: {error}"
            continue
        problem = _missing(store, manifest)
        if problem:
            yield f"record of a pulled image {name}: {problem}"


def _snapshots(store: Store) -> Iterator[str]:
    directory = _folder(store, "snapshots")
    for name in sorted(os.listdir(directory)):
        if not os.path.isdir(directory / name / "fs") or not os.path.isfile(directory / name / "state"):
            yield f"snapshot {name}: it is not whole"


def _names(store: Store) -> Iterator[str]:
    try:
        entries = store.images.entries()
    except StoreError as error:
        yield error.message
        return
    seen: set[str] = set()
    elsewhere = promised(store)
    for entry in entries:
        name = descriptors.annotations_of(entry).get("org.opencontainers.image.ref.name", "an image without a name")
        if name in seen:
            yield f"index.json: {name} is there twice"
        if name != "an image without a name":
            seen.add(name)
        for problem in _reach(store, entry, elsewhere, _DEPTH):
            yield f"{name}: {problem}"


def _reach(store: Store, value: JsonValue, elsewhere: frozenset[Digest], depth: int) -> Iterator[str]:
    """Problems with a manifest or index and all that it needs; a layer that is `elsewhere` need not be here."""
    try:
        descriptor = descriptors.from_json(value)
    except ValueError as error:
        yield str(error)
        return
    problem = _missing(store, descriptor)
    if problem or depth == 0:
        yield problem or "its indexes are nested too deeply"
        return
    try:
        document = files.decode(files.read_bounded(_blob(store, descriptor.digest), HIGHEST_DOCUMENT_BYTES))
    except ValueError as error:
        yield f"manifest {descriptor.digest}: {error}"
        return
    for manifest in _list(document.get("manifests")):
        yield from _reach(store, manifest, elsewhere, depth - 1)
    for needed in [*_list(document.get("layers")), *([document["config"]] if "config" in document else [])]:
        try:
            found = descriptors.from_json(needed)
            spared = found.digest in elsewhere and not os.path.lexists(_blob(store, found.digest))
            problem = "" if spared else _missing(store, found)
        except ValueError as error:
            problem = str(error)
        if problem:
            yield problem


def _list(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []

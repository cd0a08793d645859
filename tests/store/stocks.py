"""Things to put in a store as builds do: layers with their indexes, steps, images, bases, snapshots, caches."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from builder.store import Store
from builder.values.digest import ChainId, DiffId, Digest, chain_of
from builder.values.image import MEDIA_CONFIG, MEDIA_LAYER, MEDIA_MANIFEST, Descriptor
from builder.values.key import CacheKey
from builder.values.mount import Sharing
from builder.values.platform import Platform
from builder.values.record import LayerRecord, StepRecord
from builder.values.reference import Reference

AMD64 = Platform.of("linux", "amd64")
DAY_NS = 86_400 * 1_000_000_000


@dataclass(frozen=True)
class Stocked:
    """An image that was put in a store."""

    manifest: Descriptor
    diff_ids: tuple[DiffId, ...]

    @property
    def chain(self) -> ChainId:
        return chain_of(self.diff_ids)


def key(text: str) -> CacheKey:
    """The key of a step."""
    return CacheKey(Digest.of(text.encode()).hex)


def layer(store: Store, text: str, size: int = 0) -> LayerRecord:
    """A layer with a blob of its own and an index; at least `size` bytes large."""
    data = (text * (size // len(text) + 1)).encode()
    digest = store.blobs.put(data)
    diff_id = DiffId.of(text.encode())
    index = store.blobs.temporary()
    head = {"version": 1, "diff_id": str(diff_id)}
    index.write_text(json.dumps(head) + '\n["f","f",420,0,0,5000,0,"",0,""]\n["d","d",493,0,0,0,0,"",-1,""]\n')
    store.layers.adopt_index(index, diff_id)
    record = LayerRecord(diff_id, Descriptor(MEDIA_LAYER, digest, len(data)))
    store.layers.put(record)
    return record


def step(store: Store, text: str, size: int = 0) -> LayerRecord:
    """A step of the cache with the layer that it made."""
    made = layer(store, text, size)
    store.records.put(key(text), StepRecord(made.diff_id, 1))
    return made


def manifest(store: Store, layers: list[LayerRecord]) -> Stocked:
    """An image of these layers, without a name."""
    diff_ids = tuple(each.diff_id for each in layers)
    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": [str(each) for each in diff_ids]}}).encode()
    document = {
        "schemaVersion": 2,
        "mediaType": MEDIA_MANIFEST,
        "config": _descriptor(MEDIA_CONFIG, store.blobs.put(config), len(config)),
        "layers": [
            _descriptor(each.descriptor.media_type, each.descriptor.digest, each.descriptor.size) for each in layers
        ],
    }
    data = json.dumps(document).encode()
    return Stocked(Descriptor(MEDIA_MANIFEST, store.blobs.put(data), len(data)), diff_ids)


def image(store: Store, name: str, *texts: str) -> Stocked:
    """An image with a name, whose layers are steps of the cache."""
    made = manifest(store, [step(store, text) for text in texts])
    store.images.tag(Reference.parse(name), made.manifest)
    return made


def base(store: Store, name: str, *texts: str) -> Stocked:
    """An image that was pulled, with its layers unpacked."""
    made = manifest(store, [layer(store, text) for text in texts])
    store.pulled.put(Reference.parse(name), AMD64, made.manifest)
    return made


def snapshot(store: Store, made: Stocked) -> Path:
    """The uppermost layer of an image, unpacked."""
    scratch = store.snapshots.scratch()
    (scratch / "fs").mkdir()
    (scratch / "fs" / "f").write_text("f")
    return store.snapshots.publish(scratch, made.chain, made.diff_ids[-1])


def cache(store: Store, name: str, size: int = 1) -> Path:
    """A cache mount that was used."""
    lease = store.caches.lock(name, Sharing.SHARED)
    lease.directory.mkdir(exist_ok=True)
    (lease.directory / "file").write_bytes(b"c" * size)
    lease.lock.release()
    return lease.directory.parent


def age(root: Path, days: float, *paths: Path) -> None:
    """Let the paths, or all that a store holds, have been used last so many days ago."""
    for path in paths or [root / name for name in files_of(root)]:
        then_ns = path.stat().st_mtime_ns - int(days * DAY_NS)
        os.utime(path, ns=(then_ns, then_ns))


def files_of(root: Path) -> set[str]:
    """Every file of a store but locks, marks, the rooms of sessions, and the trash."""
    found = {path.relative_to(root) for path in root.rglob("*") if not path.is_dir()}
    return {str(path) for path in found if not {"locks", "unsettled", "tmp", "trash"} & set(path.parts)}


def _descriptor(media_type: str, digest: Digest, size: int) -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(digest), "size": size}

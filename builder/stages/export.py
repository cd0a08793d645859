"""Export: layers and config become an image: config and manifest written, names set, outputs made.

An image is named only when every blob of it is in the store, so the store is a whole OCI layout at any time.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from builder.errors import StoreError
from builder.oci.config import write_config
from builder.oci.manifest import write_manifest
from builder.stages.commit import now_s
from builder.stages.hands import Hands
from builder.stages.perform import Outcome, history_of
from builder.values.event import Exported, ImageReady
from builder.values.image import MEDIA_CONFIG, MEDIA_MANIFEST, Descriptor, History, Image, ImageConfig, Layer
from builder.values.key import key_of
from builder.values.record import StepRecord
from builder.values.request import Output
from builder.values.step import TargetBase, TargetPlan


def assemble(
    target: TargetPlan, outcomes: Mapping[int, Outcome], plans: Mapping[int, TargetPlan], hands: Hands
) -> Image:
    """The image of a target, its documents and blobs in the store. Raises ImageError, StoreError."""
    layers = hands.layers.prove_all(outcomes[target.index].stack.layers)
    created_s = _created_s(target, outcomes, layers, hands)
    config = ImageConfig(
        platform=target.platform,
        config=target.config,
        created=timestamp(created_s),
        author=target.author,
        history=_history(target, outcomes, plans, created_s),
        diff_ids=tuple(layer.diff_id for layer in layers),
        os_version=target.base_config.os_version,
    )
    config_descriptor = _put(write_config(config), MEDIA_CONFIG, hands)
    manifest = write_manifest(config_descriptor, [layer.descriptor for layer in layers])
    descriptor = replace(_put(manifest, MEDIA_MANIFEST, hands), platform=target.platform)
    return Image(descriptor, config_descriptor, config, layers)


def _created_s(target: TargetPlan, outcomes: Mapping[int, Outcome], layers: tuple[Layer, ...], hands: Hands) -> int:
    """When this very image was first made: a build that changes nothing gives the same image again."""
    if hands.source_date_epoch is not None:
        return hands.source_date_epoch
    bare = ImageConfig(
        target.platform, target.config, author=target.author, diff_ids=tuple(layer.diff_id for layer in layers)
    )
    texts = [action.created_by for action in target.actions]
    key = key_of("image", {"config": write_config(bare).decode(), "history": texts})
    record = None if hands.request.no_cache else hands.store.records.find(key)
    if record is None or not record.created_s:
        times = [done.created_s for done in outcomes[target.index].done]
        record = StepRecord(None, max([now_s(hands), *times]))
        hands.store.records.put(key, record)
    return record.created_s


def _history(
    target: TargetPlan, outcomes: Mapping[int, Outcome], plans: Mapping[int, TargetPlan], created_s: int
) -> tuple[History, ...]:
    """The base's history and that of every target on the way, bottom first."""
    parts: list[tuple[History, ...]] = []
    while True:
        parts.append(history_of(outcomes[target.index], created_s, timestamp))
        if not isinstance(target.base, TargetBase):
            break
        target = plans[target.base.index]
    parts.append(_base_history(target.base_config))
    return tuple(line for part in reversed(parts) for line in part)


def _base_history(config: ImageConfig) -> tuple[History, ...]:
    """The base's own history; one line a layer where it has none or one that does not fit its layers."""
    layered = sum(not line.empty_layer for line in config.history)
    if layered == len(config.diff_ids):
        return config.history
    return tuple(History("", config.created, comment="layer of the base image") for _ in config.diff_ids)


def _put(data: bytes, media_type: str, hands: Hands) -> Descriptor:
    return Descriptor(media_type, hands.store.blobs.put(data), len(data))


def timestamp(seconds: int) -> str:
    """A Unix time as RFC 3339 in UTC, which is how the image-spec writes times."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def publish(image: Image, hands: Hands) -> tuple[str, ...]:
    """Name the image in the store and write the outputs asked for. Raises StoreError."""
    names = tuple(name.familiar for name in hands.request.tags)
    for name in hands.request.tags:
        hands.store.images.tag(name, image.manifest)
    size = image.config_descriptor.size + sum(layer.descriptor.size for layer in image.layers)
    hands.emit(ImageReady(image.manifest.digest, names, size))
    for output in hands.request.outputs:
        _write(output, image, hands)
        hands.emit(Exported("oci", output.destination))
    return names


def _write(output: Output, image: Image, hands: Hands) -> None:
    from builder.oci.archive import write_archive
    from builder.oci.layout import write_layout

    blob_path, names = hands.store.blobs.path, hands.request.tags
    if not output.tar:
        write_layout(Path(output.destination), image, blob_path, names)
    elif output.descriptor is None:
        write_archive(Path(output.destination), image, blob_path, names)
    else:
        try:
            with open(output.descriptor, "wb", closefd=False) as stream:
                write_archive(stream, image, blob_path, names)
        except OSError as error:
            raise _unwritable(error) from error


def _unwritable(error: OSError) -> StoreError:
    if isinstance(error, BrokenPipeError):
        return StoreError("standard output was closed before all of the image was written")
    hint = "make room there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else None
    return StoreError(f"cannot write the image to standard output: {error.strerror}", hint=hint)

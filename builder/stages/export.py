"""Export: layers and config become an image: config and manifest written, names set. Outputs are another room's.

An image is named only when every blob of it is in the store, but for layers of its base that `spare` leaves where they
are.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from builder.declare import dataclass, replace
from builder.oci.config import write_config
from builder.oci.manifest import write_manifest
from builder.stages.hands import Hands
from builder.stages.perform import Outcome, history_of
from builder.stages.recompress import recompressed_layers
from builder.stages.spare import layers_of
from builder.values.event import ImageReady
from builder.values.image import MEDIA_CONFIG, MEDIA_MANIFEST, Descriptor, History, Image, ImageConfig, Layer
from builder.values.key import key_of
from builder.values.record import StepRecord
from builder.values.step import TargetBase, TargetPlan


@dataclass(frozen=True, slots=True)
class Built:
    """The image of a build as it is in the store; the lowest `kept` of its layers are the base's."""

    image: Image
    kept: int


@dataclass(frozen=True, slots=True)
class Left:
    """What a build leaves: the image that the names in the store lead to, and the last one that an output holds."""

    named: Image
    last: Image


def assemble(
    target: TargetPlan, outcomes: Mapping[int, Outcome], plans: Mapping[int, TargetPlan], hands: Hands
) -> Built:
    """The image of a target, its documents and blobs in the store. Raises ImageError, StoreError.

    Layers of this build that are known from another one may be compressed in another way: an image does not depend on
    what was built before it, so they are brought into the form that is asked for now.
    """
    request = hands.request
    kept = _base_layers(target, plans)
    stack = outcomes[target.index].stack
    layers = recompressed_layers(
        layers_of(stack, kept, hands), request.compression, request.compression_level, hands.store, kept
    )
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
    if request.secrets:
        from builder.stages.leaks import refuse_in_config

        refuse_in_config(config, hands)
    config_descriptor = _put(write_config(config), MEDIA_CONFIG, hands)
    manifest = write_manifest(config_descriptor, [layer.descriptor for layer in layers])
    descriptor = replace(_put(manifest, MEDIA_MANIFEST, hands), platform=target.platform)
    return Built(_annotated(Image(descriptor, config_descriptor, config, layers), hands), kept)


def _annotated(image: Image, hands: Hands) -> Image:
    if not hands.request.annotations:
        return image
    from builder.stages.variant import annotated

    return annotated(image, hands.request.annotations, hands)


def _base_layers(target: TargetPlan, plans: Mapping[int, TargetPlan]) -> int:
    """How many layers the outside image has that this target is built on in the end."""
    while isinstance(target.base, TargetBase):
        target = plans[target.base.index]
    return len(target.base_config.diff_ids)


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
        record = StepRecord(None, max([hands.now_s(), *times]))
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
    """Name the image in the store. Raises StoreError."""
    hands.store.settle()  # an output that has files of the store is as durable as they are
    names = tuple(name.familiar for name in hands.request.tags)
    for name in hands.request.tags:
        hands.store.images.tag(name, image.manifest)
    size = image.config_descriptor.size + sum(layer.descriptor.size for layer in image.layers)
    hands.emit(ImageReady(image.manifest.digest, names, size))
    return names

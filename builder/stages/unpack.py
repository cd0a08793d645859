"""Unpack: a stack of layers becomes a stack of snapshot directories, those that are missing made by the worker."""

from __future__ import annotations

from pathlib import Path

from builder.stages.hands import Hands
from builder.tree import bounds
from builder.values.crossing import Tree, Unpacked, UnpackJob
from builder.values.digest import ChainId
from builder.values.event import Transfer
from builder.values.image import Layer
from builder.values.stack import Stack


def tree_of(stack: Stack, hands: Hands) -> Tree:
    """The stack's snapshots, uppermost first. Raises ImageError, StoreError, MachineError."""
    if not stack.layers:
        return Tree(())
    lowers: tuple[str, ...] = ()
    coming = hands.layers.absent(stack.layers)
    # They come while the door opens, and upper ones while lower ones are unpacked.
    with hands.layers.arriving(coming) as arrived:
        snapshots = hands.store.snapshots.within(hands.door.ids)
        for layer, chain in zip(stack.layers, stack.chains(), strict=True):
            path = snapshots.find(chain)
            if path is None:
                held = arrived(coming.index(layer)) if layer in coming else hands.layers.ensure(layer)
                path = _made(held, chain, lowers, hands)
            lowers = (str(path), *lowers)
    return Tree(lowers)


def _made(layer: Layer, chain: ChainId, lowers: tuple[str, ...], hands: Hands) -> Path:
    """The snapshot of a layer that had none when it was looked for; another target may have made it since."""
    with hands.turns.turn(("unpack", chain)) as waited:
        there = hands.store.snapshots.within(hands.door.ids).find(chain) if waited else None
        return there or _unpacked(layer, chain, lowers, hands)


def _unpacked(held: Layer, chain: ChainId, lowers: tuple[str, ...], hands: Hands) -> Path:
    descriptor = held.descriptor
    with_index = not hands.store.layers.has_index(held.diff_id)
    index = hands.store.blobs.temporary() if with_index else None
    scratch = hands.store.snapshots.scratch()
    what = descriptor.digest.hex[:12]
    hands.emit(Transfer("unpack", what, 0, descriptor.size))
    try:
        job = UnpackJob(
            blob=str(hands.layers.blob_path(held)),
            media_type=descriptor.media_type,
            diff_id=str(held.diff_id),
            lowers=lowers,
            target=str(scratch / "fs"),
            index=str(index) if index is not None else "",
            limits=bounds.limits(),
        )
        with hands.layers.reading(held):
            made = hands.door.call(job, Unpacked)
    except BaseException:
        hands.store.snapshots.discard(scratch)
        raise
    if index is not None:
        hands.store.layers.adopt_index(index, held.diff_id)
    hands.layers.trust(held)  # the worker has hashed what it unpacked
    hands.emit(Transfer("unpack", what, descriptor.size, descriptor.size))
    return hands.store.snapshots.within(hands.door.ids).publish(scratch, chain, held.diff_id, made.room_bytes)

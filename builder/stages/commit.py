"""Commit: what a step changed becomes a layer of the store, and the step's record remembers it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from builder.stages.hands import Hands
from builder.stages.recompress import remember_made
from builder.tree import bounds
from builder.tree.pack import Item, pack_watched
from builder.values.compression import Compression
from builder.values.digest import DiffId, Digest
from builder.values.image import MEDIA_LAYER, MEDIA_LAYER_GZIP, MEDIA_LAYER_ZSTD, Layer
from builder.values.key import CacheKey
from builder.values.record import StepRecord
from builder.values.stack import Stack

if TYPE_CHECKING:
    from builder.stages.leaks import Sought
    from builder.tree.leaks import Search
    from builder.values.crossing import CommitSpec, Committed, Tree

MEDIA_TYPES = {
    Compression.GZIP: MEDIA_LAYER_GZIP,
    Compression.ZSTD: MEDIA_LAYER_ZSTD,
    Compression.NONE: MEDIA_LAYER,
}


def upper_commit(upper: Path, tree: Tree, hands: Hands) -> CommitSpec:
    """How what `upper` changes over the tree is to be packed; then `keep_upper`."""
    from builder.values.crossing import CommitSpec

    return CommitSpec(
        upper=str(upper),
        lowers=tree.lowers,
        blob=str(hands.store.blobs.temporary()),
        index=str(hands.store.blobs.temporary()),
        compression=hands.request.compression.value,
        level=_level(hands),
        max_mtime_ns=_latest_mtime_ns(hands),
        wanted=tuple(one.data.hex() for one in _sought(hands)),
        limits=bounds.limits(),
    )


def keep_upper(spec: CommitSpec, made: Committed, stack: Stack, hands: Hands) -> Layer | None:
    """Keep what was packed; the upper directory becomes the snapshot of the new stack. None: nothing changed."""
    if made.entries == 0:
        return None
    files = (Path(spec.blob), Path(spec.index))
    _refuse_leaks(made.found, _sought(hands), files)
    diff_id = DiffId.parse(made.diff_id)
    layer = _keep(hands, diff_id, (Digest.parse(made.digest), made.size), files)
    hands.store.snapshots.within(hands.door.ids).publish(Path(spec.upper), stack.pushed(layer).chain, diff_id)
    return layer


def commit_items(items: Iterable[Item], hands: Hands) -> Layer | None:
    """Pack entries that need no namespace (COPY, ADD, WORKDIR) as a layer. None where there are none."""
    blob, index = hands.store.blobs.temporary(), hands.store.blobs.temporary()
    sought = _sought(hands)
    search = _search_for(sought)
    watch = None if search is None else search.feed
    compression = hands.request.compression.value
    packed = pack_watched(_clamped(items, hands), (blob, index), compression, _level(hands), watch)
    _refuse_leaks(() if search is None else search.hits, sought, (blob, index))
    if packed.entries == 0:
        blob.unlink(missing_ok=True)
        index.unlink(missing_ok=True)
        return None
    return _keep(hands, packed.diff_id, (packed.digest, packed.size), (blob, index))


def _sought(hands: Hands) -> tuple[Sought, ...]:
    if not hands.request.secrets:  # and then none of what follows is imported
        return ()
    from builder.stages.leaks import sought_of

    return sought_of(hands.request)


def _search_for(sought: tuple[Sought, ...]) -> Search | None:
    if not sought:
        return None
    from builder.tree.leaks import Search

    return Search([one.data for one in sought])


def _refuse_leaks(hits: Sequence[tuple[int, int]], sought: tuple[Sought, ...], files: tuple[Path, Path]) -> None:
    if hits:
        from builder.stages.leaks import refuse_new

        refuse_new(hits, sought, files)


def remember(key: CacheKey, layer: Layer | None, hands: Hands) -> StepRecord:
    """Keep the outcome of a step. Its layer is whole in the store before its record is."""
    if layer is None:
        record = StepRecord(None, hands.now_s())
    else:
        record = StepRecord(layer.diff_id, hands.now_s(), tuple(sorted({one.secret for one in _sought(hands)})))
    hands.store.records.put(key, record)
    return record


def _keep(hands: Hands, diff_id: DiffId, blob: tuple[Digest, int], files: tuple[Path, Path]) -> Layer:
    digest, size = blob
    hands.store.blobs.adopt_made(files[0], digest)
    hands.store.layers.adopt_index(files[1], diff_id)
    layer = hands.layers.keep_made(diff_id, digest, size, MEDIA_TYPES[hands.request.compression])
    remember_made(layer, hands.request.compression, hands.request.compression_level, hands.store)
    return layer


def _level(hands: Hands) -> int:
    level = hands.request.compression_level
    return -1 if level is None else level


def _latest_mtime_ns(hands: Hands) -> int:
    return -1 if hands.source_date_epoch is None else hands.source_date_epoch * 1_000_000_000


def _clamped(items: Iterable[Item], hands: Hands) -> Iterable[Item]:
    latest = _latest_mtime_ns(hands)
    for item in items:
        if latest >= 0 and item.entry.mtime_ns > latest:
            yield item._replace(entry=item.entry._replace(mtime_ns=latest))
        else:
            yield item

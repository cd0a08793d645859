"""What is kept on disk: blobs, layer records and indexes, snapshots, the step cache, tags, locks."""

from builder.store.store import Store

__all__ = ["Store"]

"""Tagged images: the names in the layout's index.json, read and replaced whole under a lock.

Entries that other tools put there are kept as they are. Sources: OCI image-spec, image-layout.md and annotations.md;
containerd's `io.containerd.image.name`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from builder.errors import StoreError
from builder.store import descriptors, files, locks
from builder.store.files import JsonValue
from builder.store.session import Session
from builder.values.image import MEDIA_INDEX, Descriptor
from builder.values.record import TaggedImage
from builder.values.reference import Reference

REF_NAME = "org.opencontainers.image.ref.name"
CONTAINERD_NAME = "io.containerd.image.name"
TAGGED_AT = "pybuild.tagged-at"  # Unix seconds, as text
_LIMIT_BYTES = 64 << 20
_OURS = (REF_NAME, CONTAINERD_NAME, TAGGED_AT)


class Images:
    """The names of a store's images."""

    def __init__(self, root: Path, area: Path, session: Session) -> None:
        self._root = root
        self._index = root / "index.json"
        self._lock = area / "locks" / "index"
        self._session = session

    def tag(self, name: Reference, manifest: Descriptor) -> None:
        """Point `name` at a manifest whose blobs are all in the store; it leaves whatever it named before.

        Durable on return. Nothing is written where the latest name given leads there already: two fsyncs take longer
        than all else that a build does in which nothing changed. Raises StoreError.
        """
        text = str(name)
        latest = max(self.all(), key=lambda image: image.created_s, default=None)
        if latest is not None and (latest.name, latest.manifest) == (text, manifest):
            with files.plain_errors("cannot put an image on the disk"):
                self._session.settle()  # what it leads to may have been made anew
            return
        entry = descriptors.to_json(manifest)
        entry["annotations"] = {
            **dict(manifest.annotations),
            REF_NAME: text,
            CONTAINERD_NAME: text,
            TAGGED_AT: f"{time.time():.6f}",
        }
        self._change(lambda entries: [*(old for old in entries if _name_of(old) != text), entry])

    def untag(self, name: Reference | str) -> bool:
        """Forget a name; False where it was not there. Raises StoreError."""
        text = str(name)
        if not any(image.name == text for image in self.all()):
            return False
        self._change(lambda entries: [old for old in entries if _name_of(old) != text])
        return True

    def find(self, name: Reference) -> Descriptor | None:
        """The manifest that a name points at, or None. It stays, with its image, while the store is open, whatever
        becomes of the name. Raises StoreError."""
        text = str(name)
        with files.plain_errors("cannot look up an image"), self._session.finding():
            manifest = next((image.manifest for image in self.all() if image.name == text), None)
            if manifest is not None:
                try:
                    self._session.mark(self._root / "blobs" / "sha256" / manifest.digest.hex)
                except FileNotFoundError:
                    pass  # a damaged store: who reads it will say so
        return manifest

    def all(self) -> list[TaggedImage]:
        """Every named image, in the order of the file. Raises StoreError."""
        images = []
        for entry in self.entries():
            try:
                descriptor = descriptors.from_json(entry)
            except ValueError:
                continue  # not for us to read; `check` reports it
            annotations = dict(descriptor.annotations)
            if REF_NAME in annotations:
                images.append(_tagged(descriptor, annotations))
        return images

    def entries(self) -> list[JsonValue]:
        """The descriptors of index.json as they stand. Raises StoreError for a file that is no image index."""
        with files.plain_errors("cannot read the store's index.json"):
            try:
                document = files.decode(files.read_bounded(self._index, _LIMIT_BYTES))
            except FileNotFoundError:
                return []
            except ValueError as error:
                raise _damaged(self._index, str(error)) from error
        manifests = document.get("manifests")
        if not isinstance(manifests, list):
            raise _damaged(self._index, "it has no list of manifests")
        return manifests

    def ensure(self) -> None:
        """Make an empty index.json where there is none. Raises StoreError."""
        if not os.path.lexists(self._index):
            self._change(lambda entries: entries)

    def _change(self, change: Callable[[list[JsonValue]], list[JsonValue]]) -> None:
        temporary = self._session.temporary()
        self._session.settle()  # before a name leads there
        with files.plain_errors("cannot update the store's index.json"), locks.exclusive(self._lock):
            entries = change(self.entries())
            document: dict[str, JsonValue] = {"schemaVersion": 2, "mediaType": MEDIA_INDEX, "manifests": entries}
            files.write_synced(temporary, files.encode(document))
            os.rename(temporary, self._index)
            files.sync_directory(self._root)


def _name_of(entry: JsonValue) -> str | None:
    return descriptors.annotations_of(entry).get(REF_NAME)


def _tagged(descriptor: Descriptor, annotations: dict[str, str]) -> TaggedImage:
    try:
        created_s = float(annotations.get(TAGGED_AT, "0"))
    except ValueError:
        created_s = 0.0
    rest = tuple((key, value) for key, value in descriptor.annotations if key not in _OURS)
    plain = Descriptor(descriptor.media_type, descriptor.digest, descriptor.size, rest, descriptor.platform)
    return TaggedImage(annotations[REF_NAME], plain, created_s)


def _damaged(path: Path, why: str) -> StoreError:
    return StoreError(
        f"{path} is damaged: {why}",
        hint="move that file away; the images are then without names until they are built and tagged again",
    )

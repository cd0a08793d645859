"""Pulled images: which manifest a name of the outside world led to when it was last asked, for one platform."""

from __future__ import annotations

import hashlib
from pathlib import Path

from builder.store import descriptors, files
from builder.store.session import Session
from builder.values.image import Descriptor
from builder.values.platform import Platform
from builder.values.reference import Reference
from builder.values.shortnames import SHORT_NAMES

PULLED_VERSION = 1


class Pulled:
    """The remembered answers of registries. The manifests' blobs are looked up elsewhere."""

    def __init__(self, area: Path, session: Session) -> None:
        self._directory = area / "pulled"
        self._session = session

    def find(self, name: Reference, platform: Platform) -> Descriptor | None:
        """The manifest that the name led to, or None where nobody asked. Raises StoreError."""
        path = self._path(name, platform)
        if self._session.use(path) is None:
            return None
        with files.plain_errors("cannot read the record of a pulled image"):
            document = files.read_record(path, PULLED_VERSION)
        if document is None:
            return None
        try:
            return descriptors.from_json(document.get("manifest"))
        except ValueError:
            files.remove_file(path)
            return None

    def put(self, name: Reference, platform: Platform, manifest: Descriptor) -> None:
        """Remember where a name led; its manifest is in the store already. Raises StoreError."""
        document: dict[str, files.JsonValue] = {
            "version": PULLED_VERSION,
            "name": str(name),
            "platform": str(platform),
            "manifest": descriptors.to_json(manifest),
        }
        temporary = self._session.temporary()
        with files.plain_errors("cannot keep the record of a pulled image"):
            files.write_file(temporary, files.encode(document))
            self._session.publish(temporary, self._path(name, platform))

    def all(self) -> list[tuple[Reference, Platform, Descriptor]]:
        """Every name that led somewhere, for which platform, and the manifest; in no order that means anything.

        Short names are left out: what they led to is there under its full name too, and only that can be asked for.
        Looking through them does not count as use. What cannot be understood is passed over. Raises StoreError.
        """
        found = []
        with files.plain_errors("cannot read the records of pulled images"):
            for path in sorted(self._directory.glob("*.json")):
                document = files.read_record(path, PULLED_VERSION)
                try:
                    found += [] if document is None else [_answer(document)]
                except ValueError:
                    continue
        return [each for each in found if each[0].registry != SHORT_NAMES]

    def _path(self, name: Reference, platform: Platform) -> Path:
        return self._directory / f"{hashlib.sha256(f'{name} {platform}'.encode()).hexdigest()}.json"


def _answer(document: dict[str, files.JsonValue]) -> tuple[Reference, Platform, Descriptor]:
    name, platform = document.get("name"), document.get("platform")
    if not isinstance(name, str) or not isinstance(platform, str):
        raise ValueError("a name and a platform must be text")
    return Reference.parse(name), Platform.parse(platform), descriptors.from_json(document.get("manifest"))

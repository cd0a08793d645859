"""Images from a registry: manifests by tag or digest, blobs by digest. Reading only.

Source: OCI distribution-spec 1.1 (Pull).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from builder.errors import ImageError
from builder.oci.client import Client
from builder.oci.document import MAX_DOCUMENT_BYTES, digest_of
from builder.oci.download import Download
from builder.oci.manifest import INDEX_TYPES, MANIFEST_TYPES, kind_of
from builder.oci.source import Documents, Progress, load_image, named
from builder.oci.transport import Patience, TransferBroken, limited_body
from builder.oci.unreachable import unreachable
from builder.oci.verify import new_file, verified_bytes
from builder.values.access import Access
from builder.values.digest import Digest
from builder.values.image import Descriptor, Image
from builder.values.platform import Platform
from builder.values.reference import Reference

_DOCUMENT_TYPES = (*MANIFEST_TYPES, *INDEX_TYPES)


@dataclass(frozen=True, slots=True)
class _Answer:
    data: bytes
    media_type: str
    digest: str  # what the registry says it is, or ""


class RegistrySource:
    """An image of a registry, reached as `access` says."""

    def __init__(self, reference: Reference, access: Access | None = None, patience: Patience | None = None) -> None:
        self._reference = reference
        self._documents = Documents()
        self._client = Client(reference, access or Access(), patience)
        self.name = reference.familiar

    def load(self, platform: Platform) -> Image:
        """The image for `platform`. Raises ImageError."""
        try:
            root = self._root()
        except ImageError as error:
            raise named(error, self.name) from error
        return load_image(self.name, root, self._documents.reader(self._read), platform)

    def documents(self, image: Image) -> Iterable[tuple[Digest, bytes]]:
        """The manifest's and the config's bytes of a loaded image."""
        return self._documents.of(image)

    def fetch(self, layer: Descriptor, into: Path, progress: Progress) -> None:
        """Stream a layer's blob to `into`, verified. Raises ImageError, StoreError."""
        try:
            with new_file(into) as file:
                Download(self._client, layer, file, progress).run()
        except ImageError as error:
            raise named(error, self.name) from error

    def _root(self) -> Descriptor:
        """What the tag or digest points at; the document itself is remembered."""
        wanted = self._reference.digest
        answer = self._small("manifests", str(wanted or self._reference.tag))
        what = f"the manifest of {self.name}"
        point = Descriptor("", Digest.of(answer.data), len(answer.data))
        if wanted is not None:
            verified_bytes(replace(point, digest=wanted), [answer.data])
        elif answer.digest and digest_of(answer.digest, what) != point.digest:
            raise ImageError(f"{what} is damaged: the registry calls it {answer.digest}, but it is {point.digest}")
        self._documents.put(answer.data)
        return replace(point, media_type=kind_of(answer.data, answer.media_type, what))

    def _read(self, descriptor: Descriptor) -> bytes:
        """A verified document that a descriptor points at: a manifest or index by its type, else a blob."""
        if descriptor.size > MAX_DOCUMENT_BYTES:
            return verified_bytes(descriptor, [])  # which says so
        kind = "manifests" if descriptor.media_type in _DOCUMENT_TYPES else "blobs"
        return verified_bytes(descriptor, [self._small(kind, str(descriptor.digest)).data])

    def _small(self, kind: str, name: str) -> _Answer:
        """A small document, asked for again when its transfer breaks."""
        http, url = self._client.http, self._client.url(kind, name)
        headers = {"Accept": ", ".join(_DOCUMENT_TYPES)} if kind == "manifests" else {}
        for attempt in range(1, http.patience.attempts + 1):
            try:
                with self._client.get(url, headers) as response:
                    data = limited_body(response, MAX_DOCUMENT_BYTES, http.patience.deadline_for(0))
                media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
                return _Answer(data, media_type, response.headers.get("Docker-Content-Digest", ""))
            except TransferBroken as broken:
                if attempt == http.patience.attempts:
                    raise unreachable(url, broken.__cause__) from broken
                http.wait(attempt, "")
        raise AssertionError("the last attempt returns or raises")

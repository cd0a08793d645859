"""One place where an image may be: a registry or a mirror, asked for documents and blobs. Which places there are, and
what is done when one fails, is `oci/registry`'s to know.

Source: OCI distribution-spec 1.1 (Pull).
"""

from __future__ import annotations

from builder.declare import dataclass, replace
from builder.errors import ImageError
from builder.oci.client import Client
from builder.oci.document import digest_of, most_bytes
from builder.oci.keyring import OneLogin
from builder.oci.manifest import INDEX_TYPES, MANIFEST_TYPES, kind_of
from builder.oci.transport import Patience, TransferBroken, limited_body
from builder.oci.unreachable import unreachable
from builder.oci.verify import verified_bytes
from builder.values.access import Access, NoKeys
from builder.values.digest import Digest
from builder.values.image import Descriptor
from builder.values.reference import Reference
from builder.values.registries import Endpoint

_DOCUMENT_TYPES = (*MANIFEST_TYPES, *INDEX_TYPES)
_MIRROR_ATTEMPTS = 2
_MIRROR_CONNECT_S = 5.0


@dataclass(frozen=True, slots=True)
class _Answer:
    data: bytes
    media_type: str
    digest: str  # what the registry says it is, or ""


class Place:
    """An endpoint of an image that is meant by `meant`. May be used from several threads."""

    def __init__(self, meant: Reference, endpoint: Endpoint, access: Access, patience: Patience) -> None:
        # Logins are looked up for the host that is asked, so a mirror never sees the registry's.
        self.meant = meant
        self.reference = endpoint.reference
        if endpoint.is_mirror and isinstance(access.keyring, OneLogin):
            access = replace(
                access, keyring=NoKeys()
            )  # --creds are for what the command line names, which no mirror is
        if endpoint.insecure:
            hosts = (*access.trust.insecure, endpoint.reference.registry)
            access = replace(access, trust=replace(access.trust, insecure=hosts))
        self.access = access
        self.client = Client(endpoint.reference, access, patience)

    def root(self) -> tuple[Descriptor, bytes]:
        """What the tag or digest points at, verified by the digest where there is one. Raises ImageError."""
        wanted = self.reference.digest
        answer = self._small("manifests", str(wanted or self.reference.tag))
        what = f"the manifest of {self.reference.familiar}"
        point = Descriptor("", Digest.of(answer.data), len(answer.data))
        if wanted is not None:
            verified_bytes(replace(point, digest=wanted), [answer.data])
        elif answer.digest and digest_of(answer.digest, what) != point.digest:
            raise ImageError(f"{what} is damaged: the registry calls it {answer.digest}, but it is {point.digest}")
        return replace(point, media_type=kind_of(answer.data, answer.media_type, what)), answer.data

    def read(self, descriptor: Descriptor) -> bytes:
        """A verified document that a descriptor points at: a manifest or index by its type, else a blob."""
        kind = "manifests" if descriptor.media_type in _DOCUMENT_TYPES else "blobs"
        return verified_bytes(descriptor, [self._small(kind, str(descriptor.digest)).data])

    def _small(self, kind: str, name: str) -> _Answer:
        """A small document, asked for again when its transfer breaks."""
        http, url = self.client.http, self.client.url(kind, name)
        headers = {"Accept": ", ".join(_DOCUMENT_TYPES)} if kind == "manifests" else {}
        for attempt in range(1, http.patience.attempts + 1):
            try:
                with self.client.get(url, headers) as response:
                    data = limited_body(response, most_bytes(), http.patience.deadline_for(0))
                media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
                return _Answer(data, media_type, response.headers.get("Docker-Content-Digest", ""))
            except TransferBroken as broken:
                if attempt == http.patience.attempts:
                    raise unreachable(url, broken.__cause__) from broken
                http.wait(attempt, "")
        raise AssertionError("the last attempt returns or raises")


def impatient(patience: Patience) -> Patience:
    """The patience for a place that is not the last one to ask: another one may well be up."""
    return replace(
        patience,
        attempts=min(patience.attempts, _MIRROR_ATTEMPTS),
        connect_s=min(patience.connect_s, _MIRROR_CONNECT_S),
        restart_s=0.0,
    )

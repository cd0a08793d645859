"""What refers to an image in its repository: signatures, attestations and other artifacts whose manifest names it as
their subject. Listed and added by the registry's own API where it has one, else by the tag scheme.

By the tag scheme a tag made of the subject's digest holds an index of what refers to it, which every writer replaces
whole. The specification knows no lock for that: we send the condition that it allows (If-Match), look again afterwards
whether what we wrote is still there, and begin anew where it is not. A writer that does neither may still undo ours.
Source: OCI distribution-spec 1.1, "Listing Referrers" and "Pushing Manifests with Subject"; image-spec, manifest.md.
"""

from __future__ import annotations

import random
import re
import time
from urllib.parse import urlencode, urljoin

from builder.declare import dataclass
from builder.errors import ImageError
from builder.oci.client import Client
from builder.oci.document import canonical, most_bytes, parse_document
from builder.oci.hosts import origin
from builder.oci.layout import BlobPath
from builder.oci.listing import listing_of
from builder.oci.manifest import INDEX_TYPES, descriptor_fields, kind_of, read_index
from builder.oci.push import Repository, Watch
from builder.oci.transport import Patience, TransferBroken, limited_body, shown
from builder.oci.unreachable import unreachable
from builder.values.access import Access
from builder.values.digest import Digest
from builder.values.image import MEDIA_INDEX, Descriptor
from builder.values.reference import Reference

MAX_PAGES = 100
MAX_REFERRERS = 10_000
_ATTEMPTS = 8
_SETTLES_S = 0.2  # how long another writer may take between its reading and its writing, before we look again
_NO_API = (400, 404, 405, 501)
_NEXT = re.compile(r'<([^<>]*)>\s*;[^,<]*\brel="?next"?')  # nothing of it is read twice, however it is written
_LONGEST_LINK = 8192
_ACCEPT = {"Accept": MEDIA_INDEX}


def referrers_of(subject: Reference, access: Access, artifact_type: str = "") -> tuple[Descriptor, ...]:
    """The manifests that refer to `subject` (a name with a digest), those of one `artifact_type` where it is given.

    Descriptors have their artifact types and annotations. Raises ImageError, also for lists without an end.
    """
    client = Client(subject, access, Patience())
    found = _by_api(client, subject, artifact_type)
    if found is None:
        index = _tagged(client, subject)
        found = read_index(index.data) if index.data else ()
    unique = {each.digest: each for each in found if artifact_type in ("", each.artifact_type)}
    return tuple(unique.values())


def put_referrer(subject: Reference, manifest: bytes, blob_path: BlobPath, access: Access) -> Descriptor:
    """Push a manifest that refers to `subject` (a name with a digest), with its blobs, so that it is listed there.

    `blob_path` gives the files of its blobs. Raises ImageError, also where the manifest names another subject.
    """
    point = _described(subject, manifest)
    listing = listing_of(f"what refers to {subject.familiar}", point, lambda _: manifest)
    repository = Repository(subject, listing.blobs, access, Watch())
    repository.fill(blob_path)
    if repository.put_manifest(point, manifest, str(point.digest)) != str(_digest_of(subject)):
        _Tag(subject, access, repository).add(point)
    return point


def _described(subject: Reference, manifest: bytes) -> Descriptor:
    """What a list of referrers says of a manifest."""
    what = f"what refers to {subject.familiar}"
    document = parse_document(manifest, what)
    named = document.inner("subject")
    if named is None or named.digest("digest") != _digest_of(subject):
        raise ImageError(f"{what} names another manifest as its subject, or none")
    config = document.inner("config")
    return Descriptor(
        kind_of(manifest, "", what),
        Digest.of(manifest),
        len(manifest),
        annotations=document.pairs("annotations"),
        artifact_type=document.text("artifactType") or (config.text("mediaType") if config else ""),
    )


def _digest_of(subject: Reference) -> Digest:
    if subject.digest is None:
        raise ImageError(f"{subject.familiar}: what refers to an image refers to its digest, and here is none")
    return subject.digest


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    data: bytes = b""
    tag: str = ""  # the entity tag, RFC 9110, 8.8.3
    link: str = ""
    media_type: str = ""


def _by_api(client: Client, subject: Reference, artifact_type: str) -> tuple[Descriptor, ...] | None:
    """What the registry's API lists, page after page; None where it has none."""
    query = f"?{urlencode({'artifactType': artifact_type})}" if artifact_type else ""
    url = client.url("referrers", f"{_digest_of(subject)}{query}")
    found: list[Descriptor] = []
    for page in range(MAX_PAGES):
        answer = _got(client, url, _NO_API if page == 0 else ())
        if answer.status != 200 or (page == 0 and answer.media_type != MEDIA_INDEX):
            return None  # some old registries answer whatever they do not know with a page for people
        found += read_index(answer.data)
        following = _NEXT.search(answer.link[:_LONGEST_LINK])
        if following is None:
            return tuple(found)
        if len(found) > MAX_REFERRERS:
            break
        url = _next_page(url, following[1])
    raise ImageError(
        f"the list of what refers to {subject.familiar} has no end",
        hint=f"more than {MAX_REFERRERS} entries or {MAX_PAGES} pages are refused",
    )


def _next_page(url: str, link: str) -> str:
    try:
        target = urljoin(url, link)
        same = origin(target) == origin(url)
    except ValueError:
        same = False
    if not same:
        raise ImageError(f"{shown(url)} goes on at {shown(link)}, which is another server and is not followed")
    return target


def _tagged(client: Client, subject: Reference) -> _Answer:
    """The index under the tag of the subject; without data where there is none. Raises ImageError for no index."""
    answer = _got(client, client.url("manifests", _tag_of(subject)), (404,))
    if answer.status == 404:
        return _Answer(404)
    if kind_of(answer.data, "", f"the tag {_tag_of(subject)}") not in INDEX_TYPES:
        raise ImageError(
            f"the tag {_tag_of(subject)} of {subject.repository} is no list of what refers to that digest",
            hint="somebody has pushed an image under that name; nothing was changed",
        )
    return answer


def _tag_of(subject: Reference) -> str:
    return str(_digest_of(subject)).replace(":", "-")


def _got(client: Client, url: str, others: tuple[int, ...]) -> _Answer:
    """A small document, or just a status of `others`; asked for again when its transfer breaks."""
    patience = client.http.patience
    for attempt in range(1, patience.attempts + 1):
        try:
            with client.request("GET", url, _ACCEPT, good=(200, *others)) as response:
                if response.status_code != 200:
                    return _Answer(response.status_code)
                data = limited_body(response, most_bytes(), patience.deadline_for(0))
            headers = response.headers
            media_type = headers.get("Content-Type", "").partition(";")[0].strip()
            return _Answer(200, data, headers.get("ETag", ""), headers.get("Link", ""), media_type)
        except TransferBroken as broken:
            if attempt == patience.attempts:
                raise unreachable(url, broken.__cause__) from broken
            client.http.wait(attempt, "")
    raise AssertionError("the last attempt returns or raises")


class _Tag:
    """The tag of one subject, changed by several writers."""

    def __init__(self, subject: Reference, access: Access, repository: Repository) -> None:
        self._subject = subject
        self._client = Client(subject, access, Patience())
        self._repository = repository

    def add(self, point: Descriptor) -> None:
        """Have the index list `point` too. Raises ImageError where it does not stay there."""
        for attempt in range(_ATTEMPTS):
            before = _tagged(self._client, self._subject)
            listed = read_index(before.data) if before.data else ()
            if any(each.digest == point.digest for each in listed):
                return  # also after a write of ours that was seen to stay
            self._write(_with(before.data, point), before)
            # By chance, so that two who met here do not meet again.
            time.sleep(_SETTLES_S * (1 + random.random() * attempt))
        raise ImageError(
            f"the list of what refers to {self._subject.familiar} does not keep what is added to it",
            hint="others are writing it all the time, or the registry does not replace tags",
        )

    def _write(self, data: bytes, before: _Answer) -> None:
        condition = {"If-Match": before.tag} if before.tag else {} if before.data else {"If-None-Match": "*"}
        index = Descriptor(MEDIA_INDEX, Digest.of(data), len(data))
        self._repository.put_manifest(index, data, _tag_of(self._subject), condition)


def _with(index: bytes, point: Descriptor) -> bytes:
    """An index with one entry more; whatever else is in it stays as it is, known here or not."""
    fields = dict(parse_document(index, "the list").fields) if index else {"schemaVersion": 2, "mediaType": MEDIA_INDEX}
    entries = fields.get("manifests")
    return canonical(
        {**fields, "manifests": [*(entries if isinstance(entries, list) else []), descriptor_fields(point)]}
    )

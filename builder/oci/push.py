"""A whole image into repositories of registries: what is there is not sent, what another repository has is mounted, the
rest is uploaded several blobs at a time, and the manifest gets its names last: who reads a name finds a whole image.

Source: OCI distribution-spec 1.1, "Push".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from builder.declare import dataclass, field, replace
from builder.errors import ImageError
from builder.oci.client import Client
from builder.oci.lanes import Check, carry_all
from builder.oci.layout import BlobPath, blobs_of
from builder.oci.listing import Listing
from builder.oci.refusal import Refusal, refusal_of
from builder.oci.source import named
from builder.oci.transport import Patience
from builder.oci.upload import Outcome, Upload, check_digest, is_there
from builder.oci.verify import chunks_of, open_regular, verified_bytes
from builder.values.access import Access
from builder.values.digest import Digest
from builder.values.image import DOCKER_MANIFEST, Descriptor, Image
from builder.values.reference import Reference

NO_CONDITION: Mapping[str, str] = MappingProxyType({})
_MOST_ORIGINS = 3  # of one blob: each that fails costs a request
_MOST_SCOPES = 20  # repositories to ask a token for: the request for it is a URL
_KEPT = (200, 201, 202)
_REFUSED = (400, 404, 405, 409, 413, 415, 422)
_NO_SUCH_TYPE = ("MANIFEST_INVALID", "UNSUPPORTED", "UNSUPPORTED_MEDIA_TYPE")
_BLOB_MISSING = ("MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN")
_PATIENCE = Patience(read_s=60.0)
"""A registry may think for a while about a large blob before it answers."""


def _nobody(blob: Descriptor, done: int) -> None:
    """For who does not want to know."""


def _nowhere(blob: Descriptor) -> tuple[Reference, ...]:  # noqa: ARG001 - the field's signature
    return ()


@dataclass(frozen=True, slots=True)
class Watch:
    """How a push is followed, and what is known beforehand. Both are called from several threads.

    `progress` hears of each blob that is sent how many of its bytes have gone; after a break that may be fewer than
    before. `origins` are repositories where a blob is believed to be (tags and digests mean nothing); those of other
    registries are passed over.
    """

    progress: Callable[[Descriptor, int], None] = _nobody
    origins: Callable[[Descriptor], tuple[Reference, ...]] = _nowhere


@dataclass(frozen=True, slots=True)
class Amount:
    """Some blobs: how many, and their bytes together."""

    blobs: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did: the manifest's digest, the image's size in bytes (layers and config), and what became of its
    blobs, counted once for each repository. Manifests are not counted.
    """

    digest: Digest
    size: int
    sent: Amount = field(default_factory=Amount)
    mounted: Amount = field(default_factory=Amount)
    there: Amount = field(default_factory=Amount)


def push_image(
    image: Image, blob_path: BlobPath, names: Sequence[Reference], access: Access, watch: Watch | None = None
) -> Pushed:
    """Push an image under all `names`, which may be of several repositories and registries.

    A name has a tag; one without, whose digest is the image's own, pushes it without a tag.
    `blob_path` gives the file of a blob; it is called from several threads, for the manifest and for each blob that
    must really be sent (it may have to fetch it first). Raises ImageError, and whatever `blob_path` raises.
    """
    manifest = image.manifest
    blobs = tuple(blob for blob in blobs_of(image) if blob.digest != manifest.digest)
    document = (manifest, _document(manifest, blob_path))
    return push_listing(Listing(manifest, (document,), blobs), blob_path, names, access, watch)


def push_listing(
    listing: Listing, blob_path: BlobPath, names: Sequence[Reference], access: Access, watch: Watch | None = None
) -> Pushed:
    """Push an index with all that it leads to, in the same way; what it points at is only to be had by its digest."""
    watch = watch or Watch()
    places = _by_repository(names, listing.root.digest)
    outcomes: list[tuple[Descriptor, Outcome]] = []
    for number, (place, tags) in enumerate(places):
        # What one repository of a registry has got, the next one can mount from it.
        earlier = tuple(before for before, _ in places[:number])
        repository = Repository(place, listing.blobs, access, _also_from(watch, earlier))
        try:
            outcomes += zip(listing.blobs, repository.fill(blob_path), strict=True)
            for point, data in listing.documents:
                is_root = point.digest == listing.root.digest
                for reference in tags if is_root else (str(point.digest),):
                    repository.put_manifest(point, data, reference)
        except ImageError as error:
            raise named(error, place.familiar) from error
    return Pushed(
        listing.root.digest,
        sum(blob.size for blob in listing.blobs),
        *(_amount(outcomes, outcome) for outcome in (Outcome.SENT, Outcome.MOUNTED, Outcome.THERE)),
    )


class Repository:
    """One repository that gets `blobs` (what points at others comes after them) and then manifests."""

    def __init__(self, place: Reference, blobs: Sequence[Descriptor], access: Access, watch: Watch) -> None:
        self._place = place
        self._blobs = blobs
        self._watch = watch
        self._origins = {blob.digest: _origins(place, watch.origins(blob)) for blob in blobs}
        every = dict.fromkeys(name for names in self._origins.values() for name in names)
        also = tuple(every)[:_MOST_SCOPES]
        self._client = Client(place, _believing(place, access), _PATIENCE, actions="pull,push", also=also)

    def fill(self, blob_path: BlobPath) -> tuple[Outcome, ...]:
        """See to it that every blob is there, and say of each how. Raises ImageError, and what `blob_path` raises."""
        there = carry_all(self._blobs, lambda blob, _: is_there(self._client, blob))
        missing = [blob for blob, known in zip(self._blobs, there, strict=True) if not known]

        def bring(blob: Descriptor, check: Check) -> Outcome:
            def progress(done: int) -> None:
                check()
                if done < blob.size:  # the end is told when the registry has said that it has all
                    self._watch.progress(blob, done)

            upload = Upload(self._client, blob, lambda: blob_path(blob.digest), progress)
            outcome = upload.run(self._origins[blob.digest])
            if outcome is Outcome.SENT:
                self._watch.progress(blob, blob.size)
            return outcome

        brought = dict(zip((blob.digest for blob in missing), carry_all(missing, bring), strict=True))
        return tuple(brought.get(blob.digest, Outcome.THERE) for blob in self._blobs)

    def put_manifest(
        self, manifest: Descriptor, data: bytes, reference: str, condition: Mapping[str, str] = NO_CONDITION
    ) -> str:
        """Store a manifest or index under a tag (or its own digest); gives the digest of the manifest that it refers to
        where the registry has noted that (OCI-Subject), else "". Raises ImageError.

        `condition` are headers such as If-Match; where the registry finds that it is not met, nothing is stored.
        """
        url = self._client.url("manifests", reference)
        headers = {"Content-Type": manifest.media_type, **condition}
        unmet = (412,) if condition else ()
        with self._client.request("PUT", url, headers, data, good=(*_KEPT, *_REFUSED, *unmet)) as response:
            if response.status_code in unmet:
                return ""
            if response.status_code not in _KEPT:
                raise self._refused(refusal_of(response, self._client.http), manifest)
            check_digest(response, manifest.digest, f"the manifest of {self._place.familiar}")
            return response.headers.get("OCI-Subject", "")

    def _refused(self, refusal: Refusal, manifest: Descriptor) -> ImageError:
        host, name = self._place.registry, self._place.familiar
        if any(code in _BLOB_MISSING for code in refusal.codes):
            return ImageError(
                f"{host} does not find a blob of {name} that it said it has{refusal.said}",
                hint="it may be tidying up just now; push again",
            )
        what = f"{host} refuses the manifest of {name} ({refusal.status}){refusal.said}"
        typed = refusal.status in (405, 415) or any(code in _NO_SUCH_TYPE for code in refusal.codes)
        if typed and manifest.media_type != DOCKER_MANIFEST:
            return ImageError(
                what, hint="an old registry may only know Docker's media types: push with --format docker"
            )
        return ImageError(what, hint="see the registry's log")


def _by_repository(names: Iterable[Reference], digest: Digest) -> list[tuple[Reference, tuple[str, ...]]]:
    """The names as repositories with their tags (or `digest`), in their order. Raises ImageError for other digests."""
    places: dict[tuple[str, str], list[Reference]] = {}
    for name in names:
        if name.digest is not None and (name.digest != digest or name.tag is not None):
            raise ImageError(
                f"{name.familiar}: a digest cannot be chosen, so nothing can be pushed to it",
                hint=f"push to a tag, such as {replace(name, digest=None, tag=name.tag or 'latest').familiar}",
            )
        places.setdefault((name.registry, name.repository), []).append(name)
    return [(group[0], tuple(dict.fromkeys(name.tag or str(digest) for name in group))) for group in places.values()]


def _believing(place: Reference, access: Access) -> Access:
    """The access, if the rules in force let us go there: its `insecure`, which is for pushes too. Raises ImageError.

    Mirrors and other locations are only for pulls (containers-registries.conf(5)).
    """
    blocker = access.rules.blocked(place)
    if blocker is not None:
        raise ImageError(f"{place.familiar} is blocked by {blocker}", hint="that file forbids images with such names")
    itself = access.rules.endpoints(place)[-1]
    if not itself.insecure or itself.reference.registry != place.registry:
        return access
    return replace(access, trust=replace(access.trust, insecure=(*access.trust.insecure, place.registry)))


def _also_from(watch: Watch, earlier: tuple[Reference, ...]) -> Watch:
    return replace(watch, origins=lambda blob: (*earlier, *watch.origins(blob))) if earlier else watch


def _origins(place: Reference, believed: Iterable[Reference]) -> tuple[str, ...]:
    """The other repositories of the same registry among those believed to have a blob, each once."""
    same = (name.repository for name in believed if name.registry == place.registry)
    return tuple(dict.fromkeys(name for name in same if name != place.repository))[:_MOST_ORIGINS]


def _document(point: Descriptor, blob_path: BlobPath) -> bytes:
    with open_regular(blob_path(point.digest), f"manifest {point.digest}") as file:
        return verified_bytes(point, chunks_of(file))


def _amount(outcomes: Iterable[tuple[Descriptor, Outcome]], wanted: Outcome) -> Amount:
    sizes = [blob.size for blob, outcome in outcomes if outcome is wanted]
    return Amount(len(sizes), sum(sizes))

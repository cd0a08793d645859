"""Finding an image by what a person types: a name in the store, a digest or its beginning, or a transport's name."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from builder.commands.caller import Caller
from builder.declare import dataclass, replace
from builder.errors import ImageError, PybuildError, StoreError
from builder.oci.manifest import kind_of
from builder.oci.open import open_source
from builder.oci.source import load_image
from builder.store import Store
from builder.tree import bounds
from builder.values.access import Access
from builder.values.digest import Digest
from builder.values.image import Descriptor, Image
from builder.values.platform import Platform
from builder.values.record import TaggedImage
from builder.values.reference import Reference

IN_STORE = "store:"
TRANSPORTS = ("oci:", "oci-layout://", "oci-archive:", "docker-archive:", "docker://", "docker-image://", "rootfs:")
"""How names of images begin that are not in the store."""

_FEW = 5
_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{6,64})\Z")


class AmbiguousError(ImageError):
    """What was typed is the beginning of several images' digests."""


@dataclass(frozen=True, slots=True)
class Found:
    """An image of the store. `manifest` is what its name points at, which may be an index of several platforms.

    `typed` is the name that was asked for, or None where it was found by its digest; `names` are all names of this
    manifest, `typed` first.
    """

    manifest: Descriptor
    typed: TaggedImage | None = None
    names: tuple[TaggedImage, ...] = ()

    @property
    def title(self) -> str:
        """What people call it: its name, or its digest where it has none."""
        return familiar(self.names[0].name) if self.names else str(self.manifest.digest)


def find_image(
    text: str, root: Path, caller: Caller, access: Access | None = None, platform: Platform | None = None
) -> tuple[str, Image]:
    """The image and the name to call it by. Raises ImageError, or StoreError for a store that cannot be read.

    Outside of the store too where `text` begins with a transport; `access` is for registries. Of an index it is the
    image for `platform`, without one that for this machine.
    """
    wanted = platform or host_platform()
    if text.startswith(TRANSPORTS):
        source = open_source(text, directory=caller.directory, access=access)
        return source.name, source.load(wanted)
    if not is_store(root):
        raise missing(text, [])
    with Store.open(root) as store:
        found = find_named(text, store)
        return found.title, load(store, found.manifest, wanted)


def find_named(text: str, store: Store) -> Found:
    """The image of the store that a name (short or in full), or a digest (the first six digits or more, of manifest or
    config) leads to; `store:` may stand in front. An image without any name is found by its whole digest only.

    Raises ImageError where there is none, or where the beginning of a digest is that of several images.
    """
    text = text.removeprefix(IN_STORE)
    tagged = store.images.all()
    typed = next(iter(_by_name(text, tagged)), None)
    if typed is not None:
        return _found(typed.manifest, typed, tagged)
    match = _DIGEST.match(text)
    if match is None:
        raise missing(text, [familiar(image.name) for image in tagged])
    manifests = {image.manifest.digest: image.manifest for image in tagged}
    begun = [each for each in manifests.values() if _begins(store, each, match[1])]
    if len(begun) > 1:
        raise _ambiguous(text, begun)
    if begun:
        return _found(begun[0], None, tagged)
    return _without_name(text, match[1], store)


def load(store: Store, manifest: Descriptor, platform: Platform | None = None) -> Image:
    """The image of a manifest in the store, of an index that for `platform` (None: this machine's). Raises ImageError
    or StoreError when something of it is damaged."""

    def read(descriptor: Descriptor) -> bytes:
        return store.blobs.read(descriptor.digest, bounds.limits().document_bytes)

    return load_image(str(manifest.digest), manifest, read, platform or host_platform())


def is_store(root: Path) -> bool:
    """Whether a store is there to be opened: who only looks must not make one, not even in an empty directory."""
    try:
        with os.scandir(root) as entries:
            return any(entries)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        hint = "it must belong to you; another one: --root DIR"
        raise StoreError(f"cannot read the store {root}: {error.strerror}", hint=hint) from error


def familiar(name: str) -> str:
    """A stored name as people write it; one that another tool put there and that is no reference stays as it is."""
    try:
        return Reference.parse(name).familiar
    except ValueError:
        return name


def host_platform() -> Platform:
    """What this machine runs."""
    return Platform.of("linux", os.uname().machine)


def _by_name(text: str, tagged: list[TaggedImage]) -> Iterator[TaggedImage]:
    """The image of exactly this name; with a digest in it, one of that repository with this digest."""
    wanted = _reference(text)
    full = None if wanted is None else str(wanted)
    yield from (image for image in tagged if image.name in (text, full))
    if wanted is None or wanted.digest is None:
        return
    for image in tagged:
        there = _reference(image.name)
        if image.manifest.digest != wanted.digest or there is None:
            continue
        if replace(there, tag=None) == replace(wanted, tag=None, digest=None) and wanted.tag in (None, there.tag):
            yield image


def _found(manifest: Descriptor, typed: TaggedImage | None, tagged: list[TaggedImage]) -> Found:
    same = [image for image in tagged if image.manifest.digest == manifest.digest and image != typed]
    return Found(manifest, typed, (*([typed] if typed else []), *same))


def _without_name(text: str, hexadecimal: str, store: Store) -> Found:
    """An image that was built without a name: only its whole digest leads to it."""
    if len(hexadecimal) < 64 or not store.blobs.has(Digest(hexadecimal)):
        raise missing(text, [])
    digest = Digest(hexadecimal)
    try:
        data = store.blobs.read(digest, bounds.limits().document_bytes)
        return Found(Descriptor(kind_of(data, "", f"blob {digest}"), digest, len(data)))
    except PybuildError as error:
        raise ImageError(f"{text} is in the store, but it is no image: {error.message}") from error


def _begins(store: Store, manifest: Descriptor, hexadecimal: str) -> bool:
    """Whether the digest of the manifest, of the index that leads to it, or of the config begins so."""
    if manifest.digest.hex.startswith(hexadecimal):
        return True
    try:
        image = load(store, manifest)
    except PybuildError:
        return False  # a damaged image must not hide the others
    return any(found.digest.hex.startswith(hexadecimal) for found in (image.manifest, image.config_descriptor))


def _ambiguous(text: str, manifests: Sequence[Descriptor]) -> AmbiguousError:
    """Several images, perhaps with one config: then more of the id would say no more."""
    listed = ", ".join(str(each.digest) for each in manifests[:_FEW])
    more = f" and {len(manifests) - _FEW} more" if len(manifests) > _FEW else ""
    return AmbiguousError(
        f"{text} may be any of {len(manifests)} images", hint=f"write the beginning of one manifest: {listed}{more}"
    )


def _reference(text: str) -> Reference | None:
    try:
        return Reference.parse(text)
    except ValueError:
        return None


def missing(text: str, names: list[str]) -> ImageError:
    """The error for a name that is not in the store; `names` are those that are."""
    nearest = difflib.get_close_matches(text, names, n=3)
    hint = f"did you mean {' or '.join(nearest)}?" if nearest else "`pybuild images` lists what there is"
    return ImageError(f"there is no image {text!r} in the store", hint=hint)

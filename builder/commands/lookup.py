"""Finding an image by what a person types: a name in the store, a digest or its beginning, or a transport's name."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path

from builder.commands.caller import Caller
from builder.errors import ImageError, PybuildError
from builder.oci.manifest import MAX_DOCUMENT_BYTES
from builder.oci.open import open_source
from builder.oci.source import load_image
from builder.store import Store
from builder.values.digest import Digest
from builder.values.image import MEDIA_MANIFEST, Descriptor, Image
from builder.values.platform import Platform
from builder.values.reference import Reference

TRANSPORTS = ("oci:", "oci-layout://", "oci-archive:", "docker-archive:")
_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{6,64})\Z")


def find_image(text: str, root: Path, caller: Caller) -> tuple[str, Image]:
    """The image and the name to call it by. Raises ImageError, or StoreError for a store that cannot be read."""
    if text.startswith(TRANSPORTS):
        source = open_source(text, directory=caller.directory)
        return source.name, source.load(_host_platform())
    if not root.is_dir():
        raise _missing(text, [])
    with Store.open(root) as store:
        return _in_store(text, store)


def load(store: Store, manifest: Descriptor) -> Image:
    """The image of a manifest in the store. Raises ImageError or StoreError when something of it is damaged."""

    def read(descriptor: Descriptor) -> bytes:
        return store.blobs.read(descriptor.digest, MAX_DOCUMENT_BYTES)

    return load_image(str(manifest.digest), manifest, read, _host_platform())


def familiar(name: str) -> str:
    """A stored name as people write it; one that another tool put there and that is no reference stays as it is."""
    try:
        return Reference.parse(name).familiar
    except ValueError:
        return name


def _in_store(text: str, store: Store) -> tuple[str, Image]:
    named = store.images.all()
    for image in named:
        if text == image.name or _full_name(text) == image.name:
            return familiar(image.name), load(store, image.manifest)
    match = _DIGEST.match(text)
    if match is None:
        raise _missing(text, [familiar(image.name) for image in named])
    found: dict[Digest, tuple[str, Image]] = {}
    for candidate in named:
        loaded = _readable(store, candidate.manifest)
        if loaded is not None and _begins(loaded, match[1]):
            found.setdefault(loaded.manifest.digest, (familiar(candidate.name), loaded))
    if len(found) > 1:
        raise ImageError(f"{text} is the beginning of {len(found)} images' digests", hint="write more of it")
    if found:
        return next(iter(found.values()))
    return _without_name(text, match[1], store)


def _without_name(text: str, hexadecimal: str, store: Store) -> tuple[str, Image]:
    """An image that was built without a name: only its whole digest leads to it."""
    if len(hexadecimal) == 64 and store.blobs.has(Digest(hexadecimal)):
        digest = Digest(hexadecimal)
        size = os.stat(store.blobs.path(digest)).st_size
        return str(digest), load(store, Descriptor(MEDIA_MANIFEST, digest, size))
    raise _missing(text, [])


def _begins(image: Image, hexadecimal: str) -> bool:
    return any(found.digest.hex.startswith(hexadecimal) for found in (image.manifest, image.config_descriptor))


def _readable(store: Store, manifest: Descriptor) -> Image | None:
    try:
        return load(store, manifest)
    except PybuildError:
        return None


def _full_name(text: str) -> str | None:
    try:
        return str(Reference.parse(text))
    except ValueError:
        return None


def _missing(text: str, names: list[str]) -> ImageError:
    nearest = difflib.get_close_matches(text, names, n=3)
    hint = f"did you mean {' or '.join(nearest)}?" if nearest else "`pybuild images` lists what there is"
    return ImageError(f"there is no image {text!r} in the store", hint=hint)


def _host_platform() -> Platform:
    return Platform.of("linux", os.uname().machine)

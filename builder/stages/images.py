"""Finding images: what a name in a Buildfile stands for, outside of its stages.

A named context of the command line comes first, then an image of the store (one built here, or one pulled before,
unless --pull asks for news), then the outside world. Each answer is remembered for the build.

A name without a registry (`alpine`) is remembered as it is written, beside the full name that it led to: the next build
need not read registries.conf to know, and a full name never gets what another one stood for.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from builder.declare import dataclass
from builder.errors import BuildfileError, ContextError, ImageError, PybuildError, StoreError
from builder.lang.suggest import nearest
from builder.oci.manifest import read_config, read_manifest
from builder.oci.open import LateSource, open_source
from builder.oci.source import ImageSource
from builder.source import Span
from builder.store.store import Store
from builder.tree import bounds
from builder.values.event import Emit, Note
from builder.values.image import Descriptor, Image, Layer
from builder.values.platform import Platform
from builder.values.reference import Reference
from builder.values.request import BuildRequest
from builder.values.shortnames import is_short, short_key


def build_platform() -> Platform:
    """What this machine runs."""
    return Platform.of("linux", os.uname().machine)


@dataclass(frozen=True, slots=True)
class FoundImage:
    """An image and where its layers can be had; `source` is None where the store has them all."""

    image: Image
    source: ImageSource | None


class Images:
    """Answers names with images. `on_found` hears of every one, so that its layers can be fetched when needed.

    `on_unknown` hears that a registry is about to be asked for one that nothing here is known of: no step on it can
    be in the cache, but for one whose image has been here under another name.
    """

    def __init__(self, store: Store, request: BuildRequest, emit: Emit) -> None:
        self._store = store
        self._named = dict(request.build_contexts)
        self._context = request.context
        self._pull = request.pull
        self._asked = request.platform
        self._access = request.access
        self._emit = emit
        self._found: dict[tuple[str, Platform], FoundImage] = {}
        self.stages: tuple[str, ...] = ()  # names that a misspelt one may have meant
        self.on_found: Callable[[FoundImage], None] = _nothing
        self.on_unknown: Callable[[], None] = _ignored

    def note(self, text: str) -> None:
        """Tell people something once."""
        self._emit(Note(text))

    def directory_of(self, name: str) -> Path | None:
        """The directory that a named context of this name is, or None where the name means an image."""
        value = self._named.get(name)
        if value is None or _is_image(value):
            return None
        path = Path(value)
        if not path.is_dir():
            raise ContextError(
                f"--build-context {name}={value}: there is no such directory",
                hint="give a directory, oci:DIR, docker-image://NAME or a name with its transport",
            )
        return path

    def find(self, name: str, platform: Platform, span: Span) -> FoundImage:
        """The image of this name for this platform. Raises ImageError, ContextError or BuildfileError at `span`."""
        key = (name, platform)
        if key not in self._found:
            try:
                self._found[key] = self._look_up(name, platform)
            except PybuildError as error:
                if isinstance(error, ImageError):
                    error.hint = _with_stage(error.hint, name, self.stages)
                raise error.at(span) from None
            self.on_found(self._found[key])
        return self._found[key]

    def known(self, name: str, platform: Platform) -> FoundImage:
        """An image that `find` has found before."""
        return self._found[(name, platform)]

    def _look_up(self, name: str, platform: Platform) -> FoundImage:
        directory = self.directory_of(name)
        if directory is not None:  # FROM a directory: it is the root file system
            text = f"rootfs:{directory}"
        else:
            text = self._named.get(name, name).removeprefix("docker-image://")
            text = text if name in self._named else self._of_the_context(text)
        reference = _reference_of(text)
        built = None
        if reference is not None and not self._pull:
            built = self._built(reference)
            if built is not None and (_suits(built, platform) or not self._is_asked(platform)):
                return FoundImage(self._checked(name, built, platform), self._rest_of(name, built))
            pulled = self._pulled_before(text, reference, platform)
            if pulled is not None:
                return FoundImage(self._checked(name, pulled, platform), LateSource(lambda: self._source(text)))
            self.on_unknown()
        try:
            return self._outside(name, text, reference, platform)
        except ImageError as error:
            if built is None:
                raise
            there = f"{name} is in the store for {built.config.platform}, and not for {platform}"
            raise ImageError(f"{there}; nor is it elsewhere: {error.message}", hint=error.hint) from error

    def _of_the_context(self, text: str) -> str:
        """A name that the Buildfile says, with the path of a root file system as it really is.

        It has to be in the build context. A Buildfile is often a stranger's, and any directory is a root file system:
        `COPY --from=/home` would give every file that the caller can read to its steps. Raises BuildfileError.
        """
        if not text.startswith(("rootfs:", "/", "./", "../")):
            return text
        path = os.path.realpath(text.removeprefix("rootfs:"))
        if not Path(path).is_relative_to(os.path.realpath(self._context)):
            raise BuildfileError(
                f"{text[:200]!r} is on this machine's disk, outside of the build context",
                hint="if the Buildfile may read it, say so: give it a plain name with --build-context NAME=PATH",
            )
        return f"rootfs:{path}"

    def _built(self, reference: Reference) -> Image | None:
        """The image that a build here has named so, whatever it is for."""
        manifest = self._store.images.find(reference)
        return None if manifest is None else load_stored(self._store, manifest)

    def _rest_of(self, name: str, built: Image) -> ImageSource | None:
        """Where layers of an image of the store are that it lacks; None where it has them all."""
        if all(self._store.blobs.has(layer.descriptor.digest) for layer in built.layers):
            return None

        def rest() -> ImageSource:
            from builder.stages.stock import Stock, StockedSource

            stock = Stock((), self._store, self._access, self._emit)
            return StockedSource(name, built.manifest, self._store, stock)

        return LateSource(rest)

    def _pulled_before(self, text: str, reference: Reference, platform: Platform) -> Image | None:
        """What the name as written led to before."""
        if not is_short(_plain(text)):
            return self._pulled(reference, platform)
        key = short_key(_plain(text))
        pulled = self._pulled(key, platform)
        if pulled is not None:
            return pulled
        for meant in self._access.rules.candidates(_plain(text)):  # one may have been pulled under its full name
            pulled = self._pulled(meant, platform)
            if pulled is not None:
                self._store.pulled.put(key, platform, pulled.manifest)
                return pulled
        return None

    def _pulled(self, reference: Reference, platform: Platform) -> Image | None:
        """What the name led to before, if its documents are still here and whole."""
        manifest = self._store.pulled.find(reference, platform)
        if manifest is None:
            return None
        try:
            return load_stored(self._store, manifest)
        except (StoreError, ImageError):
            return None  # a cache: what is damaged or gone is asked for again

    def _outside(self, name: str, text: str, reference: Reference | None, platform: Platform) -> FoundImage:
        source = self._source(text)
        image = self._checked(name, source.load(platform), platform)
        if reference is not None:
            self._keep(_names_to_keep(text, reference, source), platform, image, source)
        return FoundImage(image, source)

    def _checked(self, name: str, image: Image, platform: Platform) -> Image:
        """The image, if it may stand for this platform: where there is only one, its config alone says what it is for.

        Asked for by name, a platform must be the right one. This machine's own, which nobody named, is a wish, as it
        is for docker: people build images of other machines from their bases without saying so.
        """
        if _suits(image, platform):
            return image
        there = image.config.platform
        if self._is_asked(platform):
            raise ImageError(f"{name}: there is no image for {platform}", hint=f"there is one for {there} only")
        self.note(f"{name} is an image for {there}, and this machine is {platform}: its programs may not run here")
        return image

    def _is_asked(self, platform: Platform) -> bool:
        return self._asked is not None or platform != build_platform()

    def _source(self, text: str) -> ImageSource:
        return open_source(text, self._store.blobs.temporary, access=self._access, tell=self.note)

    def _keep(self, references: tuple[Reference, ...], platform: Platform, image: Image, source: ImageSource) -> None:
        for digest, data in source.documents(image):
            if self._store.blobs.put(data) != digest:
                raise ImageError(f"{source.name}: a document does not have its digest")
        for reference in references:
            self._store.pulled.put(reference, platform, image.manifest)


def _suits(image: Image, platform: Platform) -> bool:
    """Whether an image is for a platform. Variants are left to the index: many configs do not name theirs."""
    there = image.config.platform
    return (there.os, there.architecture) == (platform.os, platform.architecture)


def load_stored(store: Store, manifest: Descriptor) -> Image:
    """An image of the store by its manifest. Raises StoreError for damage, ImageError for nonsense."""
    data = store.blobs.read(manifest.digest, bounds.limits().document_bytes)
    parsed = read_manifest(data, manifest.media_type)
    config = read_config(store.blobs.read(parsed.config.digest, bounds.limits().document_bytes))
    if len(parsed.layers) != len(config.diff_ids):
        raise ImageError(f"image {manifest.digest}: its manifest and its config disagree about the layers")
    layers = tuple(Layer(blob, diff_id) for blob, diff_id in zip(parsed.layers, config.diff_ids, strict=True))
    return Image(manifest, parsed.config, config, layers)


_TRANSPORTS = ("docker-image://", "docker://", "oci:", "oci-archive:", "docker-archive:", "oci-layout://", "rootfs:")


def _is_image(value: str) -> bool:
    return value.startswith(_TRANSPORTS)


def _reference_of(text: str) -> Reference | None:
    """The registry reference that a text is, or None where it names a file or directory by its transport."""
    plain = _plain(text)
    if plain == text and (_is_image(text) or text.startswith(("/", "./", "../"))):
        return None
    try:
        return Reference.parse(plain)
    except ValueError as error:
        raise ImageError(str(error), hint="an image is named [HOST[:PORT]/]NAME[:TAG][@DIGEST]") from None


def _plain(text: str) -> str:
    """A name in a registry without the transport that says that it is one."""
    return text.removeprefix("docker://")


def _names_to_keep(text: str, reference: Reference, source: ImageSource) -> tuple[Reference, ...]:
    """The names under which an answer is remembered: the full one that the image was found by, and a short one."""
    from builder.oci.registry import RegistrySource

    meant = source.meant if isinstance(source, RegistrySource) else reference
    return (short_key(_plain(text)), meant) if is_short(_plain(text)) else (meant,)


def _with_stage(hint: str | None, name: str, stages: tuple[str, ...]) -> str | None:
    """The hint with the stage that a name may have been meant for."""
    near = nearest(name, stages)
    if name.lower() in stages:
        more = f"the stage {name.lower()} cannot be used here: a stage can only use those before it."
    elif near:
        more = f"did you mean the stage {near}?"
    else:
        return hint
    return f"{more} Otherwise: {hint}" if hint else more


def _nothing(_: FoundImage) -> None:
    """Until somebody wants to hear of images."""


def _ignored() -> None:
    """Until somebody wants to hear of those that are unknown."""

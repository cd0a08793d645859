"""Finding images: what a name in a Buildfile stands for, outside of its stages.

A named context of the command line comes first, then an image of the store (one built here, or one pulled before,
unless --pull asks for news), then the outside world. Each answer is remembered for the build.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from builder.errors import BuildfileError, ContextError, ImageError, PybuildError
from builder.oci.manifest import read_config, read_manifest
from builder.oci.open import open_source
from builder.oci.source import ImageSource
from builder.source import Span
from builder.store.store import Store
from builder.values.event import Emit, Note
from builder.values.image import Descriptor, Image, Layer
from builder.values.platform import Platform
from builder.values.reference import Reference
from builder.values.request import BuildRequest

DOCUMENT_LIMIT_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class FoundImage:
    """An image and where its layers can be had; `source` is None where the store has them all."""

    image: Image
    source: ImageSource | None


class Images:
    """Answers names with images. `on_found` hears of every one, so that its layers can be fetched when needed."""

    def __init__(self, store: Store, request: BuildRequest, emit: Emit) -> None:
        self._store = store
        self._named = dict(request.build_contexts)
        self._pull = request.pull
        self._proxies = dict(request.proxies)
        self._emit = emit
        self._found: dict[tuple[str, Platform], FoundImage] = {}
        self.on_found: Callable[[FoundImage], None] = _nothing

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
        """The image of this name for this platform. Raises ImageError or BuildfileError at `span`."""
        key = (name, platform)
        if key not in self._found:
            try:
                self._found[key] = self._look_up(name, platform)
            except PybuildError as error:
                raise error.at(span) from None
            self.on_found(self._found[key])
        return self._found[key]

    def known(self, name: str, platform: Platform) -> FoundImage:
        """An image that `find` has found before."""
        return self._found[(name, platform)]

    def _look_up(self, name: str, platform: Platform) -> FoundImage:
        if self.directory_of(name) is not None:
            raise BuildfileError(f"{name} is a directory (--build-context), and FROM needs an image")
        text = self._named.get(name, name).removeprefix("docker-image://")
        reference = _reference_of(text)
        if reference is not None and not self._pull:
            local = self._stored(reference, platform)
            if local is not None:
                return local
        source = self._source(text)
        image = source.load(platform)
        self._keep(reference, image, source)
        return FoundImage(image, source)

    def _stored(self, reference: Reference, platform: Platform) -> FoundImage | None:
        built = self._store.images.find(reference)
        if built is not None:
            image = load_stored(self._store, built)
            if image.config.platform == platform:
                return FoundImage(image, None)
        pulled = self._store.pulled.find(reference, platform)
        if pulled is None or not self._store.blobs.has(pulled.digest):
            return None
        image = load_stored(self._store, pulled)
        return FoundImage(image, self._source(str(reference)))

    def _source(self, text: str) -> ImageSource:
        return open_source(text, self._store.blobs.temporary, proxies=self._proxies)

    def _keep(self, reference: Reference | None, image: Image, source: ImageSource) -> None:
        if reference is None:
            return
        for digest, data in source.documents(image):
            if self._store.blobs.put(data) != digest:
                raise ImageError(f"{source.name}: a document does not have its digest")
        self._store.pulled.put(reference, image.config.platform, image.manifest)


def load_stored(store: Store, manifest: Descriptor) -> Image:
    """An image of the store by its manifest. Raises StoreError for damage, ImageError for nonsense."""
    data = store.blobs.read(manifest.digest, DOCUMENT_LIMIT_BYTES)
    parsed = read_manifest(data, manifest.media_type)
    config = read_config(store.blobs.read(parsed.config.digest, DOCUMENT_LIMIT_BYTES))
    if len(parsed.layers) != len(config.diff_ids):
        raise ImageError(f"image {manifest.digest}: its manifest and its config disagree about the layers")
    layers = tuple(Layer(blob, diff_id) for blob, diff_id in zip(parsed.layers, config.diff_ids, strict=True))
    return Image(manifest, parsed.config, config, layers)


_TRANSPORTS = ("docker-image://", "docker://", "oci:", "oci-archive:", "docker-archive:", "oci-layout://", "rootfs:")


def _is_image(value: str) -> bool:
    return value.startswith(_TRANSPORTS)


def _reference_of(text: str) -> Reference | None:
    """The registry reference that a text is, or None where it names a file or directory by its transport."""
    plain = text.removeprefix("docker://")
    if plain == text and (_is_image(text) or text.startswith(("/", "./", "../"))):
        return None
    try:
        return Reference.parse(plain)
    except ValueError as error:
        raise ImageError(str(error), hint="an image is named [HOST[:PORT]/]NAME[:TAG][@DIGEST]") from None


def _nothing(_: FoundImage) -> None:
    """Until somebody wants to hear of images."""

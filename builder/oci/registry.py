"""Images from registries: every place where a name may lead is asked in order (mirrors, then the registry; for a short
name the search registries one after the other) until one has the image. Reading only; pushes go to the registry itself.

Source: OCI distribution-spec 1.1 (Pull); containers-registries.conf(5).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO, TypeVar

from builder.errors import ImageError
from builder.oci.document import most_bytes
from builder.oci.download import Download
from builder.oci.endpoint import Place, impatient
from builder.oci.source import Documents, Progress, Tell, load_image, named, tell_nobody
from builder.oci.transport import Patience
from builder.oci.verify import new_file, verified_bytes
from builder.values.access import Access
from builder.values.digest import Digest
from builder.values.image import Descriptor, Image
from builder.values.platform import Platform
from builder.values.reference import Reference
from builder.values.registries import Endpoint
from builder.values.shortnames import parsed

T = TypeVar("T")


class RegistrySource:
    """An image of a registry, reached as `access` says. May be used from several threads.

    What a `name` as written means, and where that is, is only found out when something is asked for: a build that has
    everything reads no file about registries. `meant` is what Docker takes the name for, and after `load` what it has
    led to. A Reference means itself. Raises ImageError for what can be no name.
    """

    def __init__(
        self,
        name: Reference | str,
        access: Access | None = None,
        patience: Patience | None = None,
        tell: Tell = tell_nobody,
    ) -> None:
        self._text = str(name)
        self._reference = parsed(self._text)
        self._access = access or Access()
        self._patience = patience or Patience()
        self._tell = tell
        self._documents = Documents()
        self._places: tuple[Place, ...] = ()
        self._lock = threading.Lock()
        self._told: set[str] = set()
        self.name = self._reference.familiar
        self.meant = self._reference

    def root(self, platform: Platform) -> Descriptor:  # noqa: ARG002 - a name leads to one document for all platforms
        """What the name points at; the document itself is remembered. Raises ImageError."""
        return self._from_any(self._root_at)

    def load(self, platform: Platform) -> Image:
        """The image for `platform`. Raises ImageError."""
        # Documents below the first one have digests: they may come from wherever they can be had.
        image = load_image(self.name, self.root(platform), self._documents.reader(self.read), platform)
        if self.meant != self._reference:
            self._tell_once(f"{self._text} is {self.meant.familiar}")
        return image

    def documents(self, image: Image) -> Iterable[tuple[Digest, bytes]]:
        """The manifest's and the config's bytes of a loaded image."""
        return self._documents.of(image)

    def read(self, descriptor: Descriptor) -> bytes:
        """A verified document that a descriptor points at. Raises ImageError."""
        if descriptor.size > most_bytes():
            return verified_bytes(descriptor, [])  # which says so
        return self._from_any(lambda place: place.read(descriptor))

    def fetch(self, layer: Descriptor, into: Path, progress: Progress) -> None:
        """Stream a blob to `into`, verified; the next place goes on where one breaks down.

        Raises ImageError, StoreError.
        """
        with new_file(into) as file:
            self._from_any(_Relay(layer, file, progress).run)

    def _root_at(self, place: Place) -> Descriptor:
        root, data = place.root()
        self._documents.put(data)
        self.meant = place.meant
        return root

    def _from_any(self, ask: Callable[[Place], T]) -> T:
        """What the first place that has it gives. Raises the error of the only place, or one that lists them all."""
        failed: list[tuple[Place, ImageError]] = []
        for place in self._all_places():
            try:
                found = ask(place)
            except ImageError as error:
                failed.append((place, error))
                continue
            self._prefer(place)
            if failed:
                self._tell_once(f"{self.name} comes from {place.reference.registry}: {_reasons(failed)}")
            return found
        raise self._all_failed(failed)

    def _all_failed(self, failed: list[tuple[Place, ImageError]]) -> ImageError:
        last = failed[-1][1]
        if len(failed) == 1:
            error = named(last, self.name)
        else:
            error = type(last)(f"{self.name} was found nowhere: {_reasons(failed)}", hint=last.hint)
        error.__cause__ = last
        return error

    def _prefer(self, place: Place) -> None:
        """Ask this place first from now on."""
        with self._lock:
            self._places = (place, *(other for other in self._places if other is not place))

    def _all_places(self) -> tuple[Place, ...]:
        with self._lock:
            if not self._places:
                self._places = self._find_places()
            return self._places

    def _find_places(self) -> tuple[Place, ...]:
        rules = self._access.rules
        found: list[tuple[Reference, Endpoint]] = []
        forbidden = None
        for meant in rules.candidates(self._text):
            blocker = rules.blocked(meant)
            if blocker is None:
                found += [(meant, endpoint) for endpoint in rules.endpoints(meant)]
            else:
                forbidden = forbidden or ImageError(
                    f"{meant.familiar} is blocked by {blocker}", hint="that file forbids images with such names"
                )
        if forbidden is not None and not found:
            raise forbidden
        hasty = impatient(self._patience)
        return tuple(
            Place(meant, endpoint, self._access, self._patience if number == len(found) else hasty)
            for number, (meant, endpoint) in enumerate(found, 1)
        )

    def _tell_once(self, text: str) -> None:
        with self._lock:
            new = text not in self._told
            self._told.add(text)
        if new:
            self._tell(text)


class _Relay:
    """One blob on its way into one file, from one place after the other."""

    def __init__(self, blob: Descriptor, file: BinaryIO, progress: Progress) -> None:
        self._blob = blob
        self._file = file
        self._progress = progress
        self._download: Download | None = None

    def run(self, place: Place) -> None:
        """Fetch what is missing from this place."""
        if self._download is None:
            self._download = Download(place.client, self._blob, self._file, self._progress)
        else:
            self._download.go_on_with(place.client)
        self._download.run()


def _reasons(failed: list[tuple[Place, ImageError]]) -> str:
    return "; ".join(_reason(place, error) for place, error in failed)


def _reason(place: Place, error: ImageError) -> str:
    """Why a place did not give the image, in a clause that names it."""
    message = error.message
    return message if place.reference.registry in message else f"{place.reference.familiar}: {message}"

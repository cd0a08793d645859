"""Which of a layout's images is meant: by its tag or full name, or because there is only one. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from builder.errors import ImageError
from builder.oci.manifest import choose
from builder.values.image import Descriptor
from builder.values.platform import Platform

_NAMES = ("org.opencontainers.image.ref.name", "io.containerd.image.name")


def select(name: str, entries: Sequence[Descriptor], tag: str | None, platform: Platform) -> Descriptor:
    """The entry that `tag` names (or its digest), or without one the only image there is (or the one tagged latest).

    Raises ImageError listing the tags there are.
    """
    if not entries:
        raise ImageError(f"{name}: there is no image in it")
    if tag is not None:
        found = [entry for entry in entries if tag in (_names(entry) | {str(entry.digest)})]
        if not found:
            raise ImageError(f"{name}: there is no image tagged {tag!r}", hint=_tags(entries))
        return _one(name, found, platform)
    if len({entry.digest for entry in entries}) == 1:
        return entries[0]
    latest = [entry for entry in entries if "latest" in _names(entry)]
    if latest:
        return _one(name, latest, platform)
    if all(not _names(entry) for entry in entries):
        return _one(name, entries, platform)
    raise ImageError(f"{name}: there are several images in it", hint=_tags(entries))


def _one(name: str, entries: Sequence[Descriptor], platform: Platform) -> Descriptor:
    if len({entry.digest for entry in entries}) == 1:
        return entries[0]
    try:
        return choose(entries, platform)
    except ImageError as error:
        raise ImageError(f"{name}: {error.message}", hint=error.hint) from error


def _names(entry: Descriptor) -> set[str]:
    annotations = dict(entry.annotations)
    return {annotations[key] for key in _NAMES if key in annotations}


def _tags(entries: Sequence[Descriptor]) -> str:
    tags = sorted({tag for entry in entries if (tag := dict(entry.annotations).get(_NAMES[0]))})
    return (
        f"the tags there are: {', '.join(tags[:20])}" if tags else "the images in it have no tags; name one by digest"
    )

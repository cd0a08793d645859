"""Annotations as they are written: keys of `-o` (`annotation-manifest[linux/amd64].KEY=VALUE`) and `--annotation`.

Sources: BuildKit, docs/annotations.md; buildx, `--annotation [TYPE,...][PLATFORM]:KEY=VALUE`.
"""

from __future__ import annotations

import re

from builder.commands.arguments import bad
from builder.errors import UsageError
from builder.values.output import Annotation, Place
from builder.values.platform import Platform

_OPTION = "--annotation"
_FORM = "--annotation [manifest|manifest-descriptor[PLATFORM]:]KEY=VALUE"
_KEY = re.compile(r"annotation(?:-(?P<place>[a-z-]+))?(?:\[(?P<platform>[^\[\]]*)\])?\.(?P<key>.+)\Z", re.DOTALL)
_PLACE = re.compile(r"(?P<place>[a-z-]+)(?:\[(?P<platform>[^\[\]]*)\])?\Z")
_INDEXES = ("index", "index-descriptor")


def is_annotation(key: str) -> bool:
    """Whether a key of `-o` is about an annotation, well written or not."""
    return re.match(r"annotation(?:[-.\[]|\Z)", key) is not None


def read_output_annotation(key: str, value: str) -> Annotation:
    """A field of `-o` whose key is about an annotation. Raises UsageError."""
    option = "-o/--output"
    found = _KEY.match(key)
    if found is None:
        raise bad(option, f"{key!r} is not an annotation", "annotation.KEY=VALUE or annotation-manifest.KEY=VALUE")
    place = _place(option, found["place"] or Place.MANIFEST.value)
    return Annotation(found["key"], value, place, _platform(option, found["platform"]))


def read_annotations(words: tuple[str, ...]) -> tuple[Annotation, ...]:
    """`--annotation`: what stands before a colon names the places. Raises UsageError."""
    return tuple(annotation for word in words for annotation in _annotations(word))


def _annotations(word: str) -> list[Annotation]:
    name, equals, value = word.partition("=")
    places, colon, key = name.partition(":")
    if not colon:
        places, key = Place.MANIFEST.value, name
    if not equals or not key:
        raise bad(_OPTION, f"{word[:200]!r} is not KEY=VALUE", _FORM)
    return [_annotation(part.strip(), key, value) for part in places.split(",")]


def _annotation(text: str, key: str, value: str) -> Annotation:
    found = _PLACE.match(text)
    if found is None:
        raise bad(_OPTION, f"{text[:200]!r} is not a place for annotations", _FORM)
    return Annotation(key, value, _place(_OPTION, found["place"]), _platform(_OPTION, found["platform"]))


def _place(option: str, text: str) -> Place:
    if text in _INDEXES:
        raise UsageError(
            f"{option}: there is no {text} to annotate: a build gives one image and no index of images",
            hint="annotate the manifest, or with manifest-descriptor what points at it in an OCI layout",
        )
    try:
        return Place(text)
    except ValueError:
        raise bad(option, f"{text[:200]!r} is not a place for annotations", "manifest or manifest-descriptor") from None


def _platform(option: str, text: str | None) -> Platform | None:
    if text is None:
        return None
    try:
        return Platform.parse(text)
    except ValueError as error:
        raise bad(option, str(error), "[OS/ARCH[/VARIANT]], such as [linux/amd64]") from None

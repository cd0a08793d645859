"""Annotations as keys of an output and as an option of their own."""

from __future__ import annotations

import pytest

from builder.commands.annotations import is_annotation, read_annotations, read_output_annotation
from builder.errors import UsageError
from builder.values.output import Annotation, Place
from builder.values.platform import Platform

ARM = Platform.parse("linux/arm64")


@pytest.mark.parametrize(
    ("key", "annotation"),
    [
        ("annotation.a", Annotation("a", "v")),
        ("annotation.org.example.Title", Annotation("org.example.Title", "v")),
        ("annotation-manifest.a", Annotation("a", "v")),
        ("annotation[linux/arm64].a", Annotation("a", "v", Place.MANIFEST, ARM)),
        ("annotation-manifest-descriptor.a", Annotation("a", "v", Place.DESCRIPTOR)),
        ("annotation-manifest-descriptor[linux/arm64].a.b", Annotation("a.b", "v", Place.DESCRIPTOR, ARM)),
    ],
)
def test_keys_of_an_output(key: str, annotation: Annotation) -> None:
    """The key says where the annotation stands, for which platform, and what it is called."""
    assert is_annotation(key) and read_output_annotation(key, "v") == annotation


@pytest.mark.parametrize(
    ("word", "annotations"),
    [
        ("a=b=c", (Annotation("a", "b=c"),)),
        ("a=", (Annotation("a", ""),)),
        ("manifest:a=b", (Annotation("a", "b"),)),
        ("manifest[linux/arm64]:a=b", (Annotation("a", "b", Place.MANIFEST, ARM),)),
        ("manifest,manifest-descriptor:a=b", (Annotation("a", "b"), Annotation("a", "b", Place.DESCRIPTOR))),
        ("a=http://x", (Annotation("a", "http://x"),)),
    ],
)
def test_the_option(word: str, annotations: tuple[Annotation, ...]) -> None:
    """What stands before a colon of the name are the places, as in buildx."""
    assert read_annotations((word,)) == annotations


@pytest.mark.parametrize("word", ["a", "=b", "manifest:=b", "nowhere:a=b", "Manifest:a=b", "manifest[]:a=b", ":a=b"])
def test_what_is_no_annotation(word: str) -> None:
    """What is malformed is named, with how it is written."""
    with pytest.raises(UsageError, match="--annotation") as caught:
        read_annotations((word,))
    assert caught.value.hint


@pytest.mark.parametrize("key", ["annotation", "annotation.", "annotation[linux/arm64]", "annotation-x.a"])
def test_keys_that_are_no_annotation(key: str) -> None:
    """A key that begins like an annotation's and is none is refused as one."""
    assert is_annotation(key)
    with pytest.raises(UsageError, match="-o/--output"):
        read_output_annotation(key, "v")


@pytest.mark.parametrize("place", ["index", "index-descriptor"])
def test_indexes_are_not_annotated(place: str) -> None:
    """There is no index, so its annotations are refused and not lost."""
    with pytest.raises(UsageError, match=f"no {place} to annotate"):
        read_output_annotation(f"annotation-{place}.a", "v")
    with pytest.raises(UsageError, match=f"no {place} to annotate"):
        read_annotations((f"{place}:a=b",))

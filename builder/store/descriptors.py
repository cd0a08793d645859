"""Descriptors as the store's own documents hold them: OCI descriptor objects. Nothing here touches the disk.

Source: OCI image-spec, descriptor.md and image-index.md (platform).
"""

from __future__ import annotations

from builder.store.files import JsonValue
from builder.values.digest import Digest
from builder.values.image import Descriptor
from builder.values.platform import Platform


def to_json(descriptor: Descriptor) -> dict[str, JsonValue]:
    """The OCI descriptor object."""
    document: dict[str, JsonValue] = {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size,
    }
    if descriptor.annotations:
        document["annotations"] = dict(descriptor.annotations)
    if descriptor.platform is not None:
        document["platform"] = _platform_json(descriptor.platform)
    return document


def _platform_json(platform: Platform) -> dict[str, JsonValue]:
    parts: dict[str, JsonValue] = {"architecture": platform.architecture, "os": platform.os}
    if platform.variant:
        parts["variant"] = platform.variant
    return parts


def from_json(value: JsonValue) -> Descriptor:
    """Read an OCI descriptor object. Raises ValueError with what is wrong."""
    if not isinstance(value, dict):
        raise ValueError("a descriptor must be an object")
    size = value.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ValueError("a descriptor's size must be a number of bytes")
    return Descriptor(
        media_type=_text(value, "mediaType"),
        digest=Digest.parse(_text(value, "digest")),
        size=size,
        annotations=tuple(sorted(annotations_of(value).items())),
        platform=_platform(value.get("platform")),
    )


def annotations_of(value: JsonValue) -> dict[str, str]:
    """The annotations of a descriptor object; those that are not text are left out."""
    annotations = value.get("annotations") if isinstance(value, dict) else None
    if not isinstance(annotations, dict):
        return {}
    return {key: text for key, text in annotations.items() if isinstance(text, str)}


def _platform(value: JsonValue) -> Platform | None:
    if not isinstance(value, dict):
        return None
    variant = value.get("variant")
    return Platform.of(_text(value, "os"), _text(value, "architecture"), variant if isinstance(variant, str) else "")


def _text(document: dict[str, JsonValue], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{name} must be text")
    return value

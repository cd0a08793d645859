"""Names of images that name no registry: how they are told from others, and what they are in a store.

What they stand for is `registries`' business, which a cached build has none of.
"""

from __future__ import annotations

from builder.declare import replace
from builder.errors import ImageError
from builder.values.reference import DEFAULT_REGISTRY, Reference


def parsed(text: str) -> Reference:
    """A reference, or an ImageError that says why it is none."""
    try:
        return Reference.parse(text)
    except ValueError as error:
        raise ImageError(str(error), hint="an image is named [HOST[:PORT]/]NAME[:TAG][@DIGEST]") from None


def is_short(text: str) -> bool:
    """Whether a name names no registry, so that it means whatever aliases and search registries say."""
    first, slash, _ = text.partition("@")[0].partition("/")
    return not (slash and ("." in first or ":" in first or first == "localhost" or first != first.lower()))


SHORT_NAMES = "short-name.invalid"
"""The registry of short names where they are kept as such; it cannot exist (RFC 2606)."""


def short_key(text: str) -> Reference:
    """A short name as one of its own, apart from the full names that it may stand for: `alpine:3` is not docker.io's.

    It is only a key: nothing is asked for or offered under such a name.
    """
    return at_registry(SHORT_NAMES, short_name(text), parsed(text))


def short_name(text: str) -> str:
    """A short name without its tag and digest."""
    name, _, tag = text.partition("@")[0].rpartition(":")
    return name if name else tag


def at_registry(registry: str, name: str, reference: Reference) -> Reference:
    """The short name at one of the search registries; only Docker Hub has a `library`."""
    if registry == DEFAULT_REGISTRY:
        return reference
    return replace(parsed(f"localhost/{name}"), registry=registry, tag=reference.tag, digest=reference.digest)

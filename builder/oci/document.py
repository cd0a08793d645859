"""JSON that strangers wrote: read strictly, under limits, with every field's type checked. No meaning is known here.

Two readers may disagree about a document with a key twice, and what was verified is then not what is used; so such a
document is refused, like one that is too large, too deep or of the wrong shape. A null is an absent field, as in Go.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from builder.declare import dataclass
from builder.errors import ImageError
from builder.tree import bounds
from builder.values.digest import Digest
from builder.values.limits import raised_by


def most_bytes() -> int:
    """The largest manifest, index or config that is read (the distribution spec asks clients to accept 4 MB)."""
    return bounds.limits().document_bytes


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON object of the document called `what`; getters raise ImageError naming the field at fault."""

    what: str
    fields: Mapping[str, object]

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self.fields.get(name) is not None

    def text(self, name: str, default: str = "") -> str:
        """A string."""
        value = self.fields.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.wrong(name, "a string")
        return value

    def number(self, name: str, default: int = 0) -> int:
        """A whole number that fits in 63 bits."""
        value = self.fields.get(name)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 1 << 63:
            raise self.wrong(name, "a whole number")
        return value

    def truth(self, name: str) -> bool:
        """true or false; false where it is absent."""
        value = self.fields.get(name)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false")
        return value

    def texts(self, name: str) -> tuple[str, ...] | None:
        """A list of strings, or None where it is absent."""
        value = self.fields.get(name)
        if value is None:
            return None
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        raise self.wrong(name, "a list of strings")

    def pairs(self, name: str) -> tuple[tuple[str, str], ...]:
        """An object of strings, sorted by key: the order of a JSON object means nothing."""
        value = self.fields.get(name)
        if value is None:
            return ()
        if isinstance(value, dict) and all(isinstance(item, str) for item in value.values()):
            return tuple(sorted(value.items()))
        raise self.wrong(name, "an object of strings")

    def keys(self, name: str) -> tuple[str, ...]:
        """The keys of an object that is used as a set, sorted."""
        value = self.fields.get(name)
        if value is None:
            return ()
        if isinstance(value, dict):
            return tuple(sorted(value))
        raise self.wrong(name, "an object")

    def inner(self, name: str) -> Document | None:
        """An object, or None where it is absent."""
        value = self.fields.get(name)
        if value is None:
            return None
        if isinstance(value, dict):
            return Document(f"{name!r} of {self.what}", value)
        raise self.wrong(name, "an object")

    def inners(self, name: str, limit: int) -> tuple[Document, ...]:
        """A list of at most `limit` objects; empty where it is absent."""
        value = self.fields.get(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.wrong(name, "a list of objects")
        if len(value) > limit:
            hint = raised_by("index-entries") if limit == bounds.limits().index_entries else None
            raise ImageError(f"{self.what} lists {len(value)} {name}; more than {limit} are refused", hint=hint)
        return tuple(Document(f"{name}[{at}] of {self.what}", item) for at, item in enumerate(value))

    def digest(self, name: str) -> Digest:
        """A sha256 digest, which must be there. What is not one may be a path (CVE-2024-3727) and never becomes one."""
        return digest_of(self.text(name), self.what)

    def wrong(self, name: str, wanted: str) -> ImageError:
        """The error that says that a field has the wrong type."""
        return ImageError(f"{self.what} is not valid: {name!r} is not {wanted}")


def digest_of(text: str, what: str) -> Digest:
    """Read a digest that stands in the document called `what`. Raises ImageError."""
    try:
        return Digest.parse(text)
    except ValueError as error:
        raise ImageError(f"{what} is not valid: {error}", hint="only sha256 digests are accepted") from error


def parse_document(data: bytes, what: str) -> Document:
    """Read a JSON object. Raises ImageError when it is none, is too large, too deep, or has a key twice."""
    value = parse_json(data, what)
    if not isinstance(value, dict):
        raise ImageError(f"{what} is not valid: not a JSON object")
    return Document(what, value)


def too_large(what: str, size: int) -> ImageError:
    """The error for a document over the limit."""
    most = most_bytes()
    shown = f"{most >> 20} MiB" if most % (1 << 20) == 0 else f"{most} bytes"
    return ImageError(f"{what} is over {shown} ({size} bytes) and is refused", hint=raised_by("document"))


def parse_json(data: bytes, what: str) -> object:
    """Read any JSON under the same rules."""
    if len(data) > most_bytes():
        raise too_large(what, len(data))
    try:
        return json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
    except RecursionError as error:
        raise ImageError(f"{what} is not valid: its JSON is nested too deeply") from error
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are kinds of it
        raise ImageError(
            f"{what} is not valid JSON: {str(error)[:200]}", hint="what lies there is damaged or is no image"
        ) from error


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) == len(pairs):
        return fields
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise ValueError(f"the key {name[:100]!r} is there twice")
        seen.add(name)
    return fields


def _no_constant(text: str) -> object:
    raise ValueError(f"{text} is not a JSON number")


def canonical(value: object) -> bytes:
    """The bytes in which we write documents: keys in the order given, no spaces, UTF-8. Lone surrogates are escaped."""
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()

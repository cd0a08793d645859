"""JSON that strangers wrote."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import ImageError
from builder.oci.document import Document, canonical, digest_of, most_bytes, parse_document, parse_json


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"[]", "not a JSON object"),
        (b"nonsense", "not valid JSON"),
        (b"", "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b'{"a":1,"a":2}', "the key 'a' is there twice"),
        (b'{"a":{"b":1,"b":2}}', "the key 'b' is there twice"),
        (b'{"a":NaN}', "not a JSON number"),
        (b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "nested too deeply"),
        (b'{"a":' + b"9" * 5000 + b"}", "not valid JSON"),
    ],
)
def test_doubtful_documents_are_refused(data: bytes, words: str) -> None:
    """What is no object, is too deep, or has a key twice is an ImageError that names the document."""
    with pytest.raises(ImageError, match=words) as caught:
        parse_document(data, "the index")
    assert caught.value.message.startswith("the index")


def test_a_document_over_8_mib_is_refused() -> None:
    """Size is checked before anything is parsed."""
    with pytest.raises(ImageError, match="over 8 MiB"):
        parse_document(b" " * (most_bytes() + 1), "the index")


@pytest.mark.parametrize(
    ("getter", "value"),
    [
        ("text", 1),
        ("number", "1"),
        ("number", True),
        ("number", 1.5),
        ("number", 1 << 63),
        ("truth", 1),
        ("texts", "word"),
        ("texts", ["a", 1]),
        ("pairs", {"a": 1}),
        ("pairs", []),
        ("keys", ["80/tcp"]),
        ("inner", []),
    ],
)
def test_a_field_of_the_wrong_type_is_named(getter: str, value: object) -> None:
    """Every getter checks its type and names the field."""
    with pytest.raises(ImageError, match="the config is not valid: 'field' is not"):
        getattr(Document("the config", {"field": value}), getter)("field")


def test_a_list_of_objects_is_checked_for_type_and_length() -> None:
    """`inners` refuses what is no list of objects and lists over the limit."""
    with pytest.raises(ImageError, match="not a list of objects"):
        Document("it", {"a": [1]}).inners("a", 5)
    with pytest.raises(ImageError, match="lists 6 a; more than 5"):
        Document("it", {"a": [{}] * 6}).inners("a", 5)


def test_null_is_absence() -> None:
    """A null field reads like a missing one."""
    document = parse_document(b'{"a":null}', "it")
    assert not document.has("a")
    assert document.text("a") == ""
    assert document.number("a") == 0
    assert document.texts("a") is None
    assert document.pairs("a") == ()
    assert document.keys("a") == ()
    assert document.inner("a") is None
    assert document.inners("a", 1) == ()
    assert not document.truth("a")


@pytest.mark.parametrize("text", ["../../etc/passwd", "sha256:../../../etc/passwd", "sha256:" + "A" * 64, "md5:0", ""])
def test_a_digest_that_is_a_path_is_refused(text: str) -> None:
    """CVE-2024-3727: only sha256 and 64 lower-case digits are a digest."""
    with pytest.raises(ImageError, match="not a sha256 digest"):
        digest_of(text, "the manifest")


@given(st.recursive(st.text() | st.integers(-(2**62), 2**62), lambda inner: st.dictionaries(st.text(), inner)))
def test_what_is_written_reads_back(value: object) -> None:
    """canonical and parse_json are inverse, for every text there is."""
    assert parse_json(canonical(value), "it") == value

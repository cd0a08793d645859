"""Tests of cache keys: their canonical form is frozen, and everything in a value changes the key."""

from __future__ import annotations

import hashlib
import json

from hypothesis import assume, given
from hypothesis import strategies as st

from builder.values.key import KEY_VERSION, Plain, canonical, key_of

scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=6)
plain = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(plain)
def test_canonical_json_reads_back(value: Plain) -> None:
    """The canonical form is JSON in ASCII without white space, and says the whole value."""
    data = canonical(value)
    assert data.isascii()
    assert json.loads(data) == value


def test_names_that_are_not_utf8_have_a_form() -> None:
    """A file name of arbitrary bytes (a lone surrogate here) goes into a key and is not confused with another."""
    assert canonical("\udc80") == b'"\\udc80"'
    assert canonical("\udc80") != canonical("\udc81")


def test_the_order_of_names_does_not_count() -> None:
    """A mapping is the same in whatever order it was filled; a list is not."""
    assert canonical({"b": 1, "a": 2}) == canonical({"a": 2, "b": 1}) == b'{"a":2,"b":1}'
    assert canonical([1, 2]) != canonical([2, 1])


@given(plain, plain)
def test_other_values_have_other_keys(one: Plain, other: Plain) -> None:
    """Two values have one key only if they are the same value."""
    assume(canonical(one) != canonical(other))
    assert key_of("run", one) != key_of("run", other)


@given(plain)
def test_kinds_do_not_share_keys(value: Plain) -> None:
    """A RUN and a COPY that look alike are two steps."""
    assert len({key_of(kind, value) for kind in ("run", "copy", "workdir")}) == 3


def test_one_and_true_are_two_values() -> None:
    """Python takes 1 and True for equal; a key does not."""
    assert key_of("run", [1]) != key_of("run", [True])


def test_the_form_of_a_key() -> None:
    """A key is the sha256 of the canonical document with the version in it."""
    document = b'{"kind":"run","value":{"a":1},"version":%d}' % KEY_VERSION
    assert str(key_of("run", {"a": 1})) == hashlib.sha256(document).hexdigest()

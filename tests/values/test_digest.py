"""Tests of digests, diff-ids and chain-ids."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.values.digest import EMPTY_CHAIN, ChainId, DiffId, Digest, chain_of

diff_ids = st.binary(max_size=8).map(DiffId.of)


@given(st.binary())
def test_parse_and_print(data: bytes) -> None:
    """A digest is the sha256 of its bytes, and reads back from its text."""
    digest = Digest.of(data)
    assert str(digest) == "sha256:" + hashlib.sha256(data).hexdigest()
    assert Digest.parse(str(digest)) == digest


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256:",
        "sha256:" + "a" * 63,
        "sha256:" + "a" * 65,
        "sha256:" + "A" * 64,
        "sha512:" + "a" * 64,
        "a" * 64,
        "sha256:" + "a" * 64 + "\n",
        "sha256:" + "../" * 21 + "a",
        "SHA256:" + "a" * 64,
        " sha256:" + "a" * 64,
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    """Only `sha256:` and 64 lower-case hex digits are a digest: nothing else ever becomes a path (CVE-2024-3727)."""
    with pytest.raises(ValueError, match="not a sha256 digest"):
        Digest.parse(text)


def test_kinds_do_not_mix() -> None:
    """A digest, a diff-id and a chain-id of the same number are three different things."""
    kinds: set[object] = {Digest.of(b""), DiffId.of(b""), ChainId(Digest.of(b"").hex)}
    assert len(kinds) == 3


def test_the_chain_of_one_layer_is_its_diff_id() -> None:
    """ChainID(L0) = DiffID(L0) (config.md, Layer ChainID)."""
    assert chain_of((DiffId.of(b"a"),)).hex == DiffId.of(b"a").hex


def test_a_chain_follows_the_specification() -> None:
    """ChainID(L0|…|Ln) = Digest(ChainID(L0|…|Ln-1) + " " + DiffID(Ln))."""
    below, top = DiffId.of(b"a"), DiffId.of(b"b")
    assert chain_of((below, top)) == ChainId.of(f"{below} {top}".encode())


@given(st.lists(diff_ids, max_size=5), diff_ids)
def test_a_chain_grows_by_its_top(below: list[DiffId], top: DiffId) -> None:
    """The chain of a stack is that of what is below, extended; no stack is empty again."""
    assert chain_of((*below, top)) == chain_of(tuple(below)).extended(top) != EMPTY_CHAIN


def test_order_of_layers_counts() -> None:
    """The same layers in another order are another file system."""
    a, b = DiffId.of(b"a"), DiffId.of(b"b")
    assert chain_of((a, b)) != chain_of((b, a))
    assert chain_of(()) == EMPTY_CHAIN

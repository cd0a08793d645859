"""Tests of stacks of layers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from builder.values.digest import EMPTY_CHAIN, DiffId, Digest, chain_of
from builder.values.image import MEDIA_LAYER, Descriptor, Layer
from builder.values.stack import Stack


def layer(data: bytes) -> Layer:
    """A layer with this content."""
    return Layer(Descriptor(MEDIA_LAYER, Digest.of(data), len(data)), DiffId.of(data))


layers = st.lists(st.binary(max_size=3).map(layer), max_size=6).map(tuple)


@given(layers)
def test_the_chain_is_that_of_all_layers(given_layers: tuple[Layer, ...]) -> None:
    """A stack knows the identity of the whole, and after each layer that of what lies there so far."""
    stack = Stack.of(given_layers)
    assert stack.chain == chain_of(tuple(one.diff_id for one in given_layers))
    assert stack.layers == given_layers
    assert stack.chains() == tuple(Stack.of(given_layers[:count]).chain for count in range(1, len(given_layers) + 1))


def test_nothing_is_an_empty_stack() -> None:
    """`FROM scratch` is a stack of no layers."""
    assert Stack.of(()) == Stack() == Stack((), EMPTY_CHAIN)
    assert Stack().chains() == ()


def test_the_same_layer_twice_is_another_file_system() -> None:
    """A layer may lie on itself, as an image of repeated steps has it."""
    one = layer(b"a")
    assert len(set(Stack.of((one, one, one)).chains())) == 3


def test_pushing_leaves_the_stack_below_alone() -> None:
    """Targets that share a base do not see each other's layers."""
    base = Stack.of((layer(b"a"),))
    base.pushed(layer(b"b"))
    assert base == Stack.of((layer(b"a"),))

"""A file system as the layers that make it up."""

from __future__ import annotations

from builder.declare import dataclass
from builder.values.digest import EMPTY_CHAIN, ChainId
from builder.values.image import Layer


@dataclass(frozen=True, slots=True)
class Stack:
    """Layers, bottom first, the identity of the whole, and `below` its uppermost layer that after each one."""

    layers: tuple[Layer, ...] = ()
    chain: ChainId = EMPTY_CHAIN
    below: tuple[ChainId, ...] = ()

    @classmethod
    def of(cls, layers: tuple[Layer, ...]) -> Stack:
        """The stack of these layers, bottom first."""
        stack = cls()
        for layer in layers:
            stack = stack.pushed(layer)
        return stack

    def pushed(self, layer: Layer) -> Stack:
        """This stack with one more layer on top."""
        return Stack((*self.layers, layer), self.chain.extended(layer.diff_id), self.chains())

    def chains(self) -> tuple[ChainId, ...]:
        """The identity after each layer, bottom first."""
        return (*self.below, self.chain) if self.layers else ()

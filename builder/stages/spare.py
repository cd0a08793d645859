"""Spare: a base's layers that need not come. An image that only goes to registries is put together without them: they
are mounted there, or go from registry to registry when it is pushed.

The image has its name in the store all the same, and whoever needs such a layer later has it brought (stages/stock).
"""

from __future__ import annotations

from builder.stages.hands import Hands
from builder.values.image import Layer
from builder.values.request import BuildRequest
from builder.values.stack import Stack


def layers_of(stack: Stack, kept: int, hands: Hands) -> tuple[Layer, ...]:
    """The layers of an image, in the store and proven; of the lowest `kept`, which are its base's, some may be spared.

    A spared layer is what the base's own manifest and config say of it, and nobody has proved that. So it is only ever
    taken from this very base, goes where the base is believed as it stands, and is not recorded: no step of another
    build finds it, and whoever reads it here later checks it first. Raises ImageError, StoreError.
    """
    spared = _spared(stack.layers[:kept], hands) if _is_only_pushed(hands.request) else frozenset()
    proven = iter(hands.layers.prove_all([layer for layer in stack.layers if layer not in spared]))
    return tuple(layer if layer in spared else next(proven) for layer in stack.layers)


def _is_only_pushed(request: BuildRequest) -> bool:
    """Whether no output takes the bytes of a base's layers."""
    outputs = request.outputs
    if not outputs:
        return False
    from builder.values.output import PushOutput

    return all(isinstance(each, PushOutput) and not each.options.force for each in outputs)


def _spared(layers: tuple[Layer, ...], hands: Hands) -> frozenset[Layer]:
    """Those that the store has not read, and which a registry has."""
    unread = [layer for layer in layers if hands.store.layers.find(layer.diff_id) is None]
    if not unread:
        return frozenset()
    from builder.store.promised import hold_to, promised

    elsewhere = promised(hands.store)
    spared = frozenset(layer for layer in unread if layer.descriptor.digest in elsewhere)
    hold_to({layer.descriptor.digest for layer in spared}, hands.store)
    return spared

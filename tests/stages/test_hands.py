"""Tests of what the rooms that do work are given."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from builder.stages.door import Door
from builder.stages.gather import Contexts
from builder.stages.hands import Hands
from builder.stages.images import Images
from builder.stages.layers import Layers
from builder.store import Store
from builder.values.request import BuildRequest
from tests.stages.builds import Bench


def hands_of(bench: Bench, store: Store, door: Door, **asked: object) -> Hands:
    """The hands of a build that asks for this."""
    request = BuildRequest(bench.context, **asked)  # type: ignore[arg-type]
    images = Images(store, request, bench.events.append)
    layers = Layers(store, bench.events.append)
    images.on_found = layers.learn
    contexts = Contexts(request, store, images)
    return Hands(request, store, images, layers, contexts, door, bench.events.append, None)


def test_hands_are_only_passed_on(bench: Bench) -> None:
    """No room can change what the others are given."""
    with Store.open(bench.root) as store, Door(store.root, bench.events.append) as door:
        hands = hands_of(bench, store, door)
        with pytest.raises(FrozenInstanceError):
            hands.source_date_epoch = 1  # type: ignore[misc]


def test_having_hands_does_nothing(bench: Bench) -> None:
    """Nothing is read, fetched or started before somebody asks: a build without steps touches none of it."""
    bench.context.rmdir()
    with Store.open(bench.root) as store, Door(store.root, bench.events.append) as door:
        hands_of(bench, store, door)
    assert bench.events == []

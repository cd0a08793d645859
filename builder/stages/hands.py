"""What the rooms that do work are given: the few things of a build that have effects, and what was asked for."""

from __future__ import annotations

import time

from builder.declare import dataclass, field
from builder.stages.door import Door
from builder.stages.gather import Contexts
from builder.stages.images import Images
from builder.stages.layers import Layers
from builder.stages.turns import Turns
from builder.store.store import Store
from builder.values.event import Emit
from builder.values.request import BuildRequest


@dataclass(frozen=True, slots=True)
class Hands:
    """Where things are kept, how they are fetched and made, and whom to tell."""

    request: BuildRequest
    store: Store
    images: Images
    layers: Layers
    contexts: Contexts
    door: Door
    emit: Emit
    source_date_epoch: int | None
    turns: Turns = field(default_factory=Turns)

    def now_s(self) -> int:
        """The time that goes into images: SOURCE_DATE_EPOCH where it is given, else now (Unix seconds)."""
        return int(time.time()) if self.source_date_epoch is None else self.source_date_epoch

"""What the store remembers: of a layer, of a step's outcome, of a tagged image."""

from __future__ import annotations

from builder.declare import dataclass
from builder.values.digest import DiffId
from builder.values.image import Descriptor


@dataclass(frozen=True, slots=True)
class LayerRecord:
    """A layer that the store knows: its diff-id and the blob that holds it."""

    diff_id: DiffId
    descriptor: Descriptor


@dataclass(frozen=True, slots=True)
class StepRecord:
    """The outcome of a step: the layer that it made, or None where it changed nothing; when (Unix time).

    `searched` are the ids of the secrets that the layer has been looked through for.
    """

    diff_id: DiffId | None
    created_s: int = 0
    searched: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TaggedImage:
    """A name in the store and the manifest it points at; `created_s` is when the name was set (Unix time)."""

    name: str
    manifest: Descriptor
    created_s: float

"""A build that is over, as it is remembered: what it was asked for, its steps, and what they talked to."""

from __future__ import annotations

from enum import StrEnum

from builder.declare import dataclass, field
from builder.values.contact import Contacts
from builder.values.event import StepId


class Outcome(StrEnum):
    """How a step ended."""

    DONE = "done"
    CACHED = "cached"
    FAILED = "failed"
    STOPPED = "stopped"  # in the middle, because another one failed or somebody asked for it


@dataclass(frozen=True, slots=True)
class BuiltStep:
    """A step of it. `seconds` is 0 for what was cached."""

    step: StepId
    title: str
    outcome: Outcome
    seconds: float = 0.0
    contacts: Contacts = field(default_factory=Contacts)


@dataclass(frozen=True, slots=True)
class BuildRecord:
    """A build. `image` is the digest of its manifest, empty where it failed; `network` what was asked for."""

    id: str
    started_s: float
    seconds: float
    names: tuple[str, ...]
    image: str
    network: str
    steps: tuple[BuiltStep, ...]

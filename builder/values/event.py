"""What happens during a build, as events that `report` shows. Stages emit them; nobody else prints."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from builder.declare import dataclass
from builder.source import Span
from builder.values.digest import Digest

if TYPE_CHECKING:  # most builds never see one
    from builder.values.contact import Contacts


@dataclass(frozen=True, slots=True)
class StepId:
    """Names a step to people: its target (stage name or number) and its place in it, both from 1."""

    target: str
    index: int
    count: int


@dataclass(frozen=True, slots=True)
class StepStarted:
    step: StepId
    title: str  # the instruction with variables as written, on one line
    span: Span | None


@dataclass(frozen=True, slots=True)
class StepCached:
    step: StepId
    title: str


@dataclass(frozen=True, slots=True)
class StepOutput:
    """Bytes that a step wrote, as they came; lines may be cut anywhere."""

    step: StepId
    data: bytes


@dataclass(frozen=True, slots=True)
class StepFinished:
    step: StepId
    seconds: float


@dataclass(frozen=True, slots=True)
class StepStopped:
    """A step was ended in the middle, because something else failed or somebody asked for it."""

    step: StepId
    seconds: float


@dataclass(frozen=True, slots=True)
class Transfer:
    """A blob on its way; `done` and `total` in bytes, `done == total` is the last one. `verb`: pull, push, load,
    unpack."""

    verb: str
    what: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Note:
    """Something that people should know once: a lower rung, a foreign frontend."""

    text: str


@dataclass(frozen=True, slots=True)
class Warned:
    """A build check's finding."""

    rule: str
    text: str
    span: Span | None


@dataclass(frozen=True, slots=True)
class ImageReady:
    """The image is in the store; `names` may be empty. `size` of config and all layers in bytes, compressed."""

    manifest: Digest
    names: tuple[str, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Contacted:
    """What a step talked to through the proxy of `--network=proxy`; comes when its command has ended."""

    step: StepId
    contacts: Contacts


PUSHED = "registry"
"""The kind of what was sent to a registry; its destination is a name."""


@dataclass(frozen=True, slots=True)
class Exported:
    """An output was written; `digest` is that of the image in it, None where there are only its files."""

    kind: str
    destination: str
    digest: Digest | None = None


Event = (
    StepStarted
    | StepCached
    | StepOutput
    | StepFinished
    | StepStopped
    | Contacted
    | Transfer
    | Note
    | Warned
    | ImageReady
    | Exported
)

Emit = Callable[[Event], None]

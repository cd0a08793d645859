"""Events as the golden cases hold them: JSON lines of a class's name, its fields and, where it matters, the second at
which it happens.
"""

from __future__ import annotations

import json
from pathlib import Path

from builder.source import SourceText, Span
from builder.values import event as events
from builder.values.digest import Digest
from builder.values.event import Event, StepId

GOLDEN = Path(__file__).parent.parent / "golden" / "report"


def cases(kind: str) -> list[Path]:
    """The golden cases of a kind (`events`, `errors`), each a directory."""
    return sorted(path for path in (GOLDEN / kind).iterdir() if path.is_dir())


def read_events(path: Path) -> list[Event]:
    """The events of a case."""
    return [event for event, _ in read_timed_events(path)]


def read_timed_events(path: Path) -> list[tuple[Event, float]]:
    """The events of a case, and when each happens (seconds); 0 where the case does not say."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    return [(_event(*line[:2]), line[2] if len(line) > 2 else 0.0) for line in lines]


def _event(name: str, fields: dict[str, object]) -> Event:
    values = {key: _value(key, value) for key, value in fields.items()}
    made: Event = getattr(events, name)(**values)
    return made


def _value(key: str, value: object) -> object:
    match key, value:
        case "step", [str(target), int(index), int(count)]:
            return StepId(target, index, count)
        case "span", [str(name), int(first), int(last)]:
            return Span(SourceText(name, ""), first, last)
        case "data", str(text):
            return text.encode("latin-1")
        case "manifest", str(text):
            return Digest.parse(text)
        case "names", list():
            return tuple(value)
    return value

"""What is different between two images, as lines or as JSON. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from builder.declare import dataclass
from builder.report.listing import entry_fields, mode_text, path_text
from builder.report.tables import columns
from builder.report.text import human_size, printable
from builder.tree.compare import Aspect, Change
from builder.values.entry import Entry

_WORDS = {"A": "added", "C": "changed", "D": "removed"}


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two images."""

    name: str
    digest: str


def changes_text(changes: Sequence[Change]) -> str:
    """The changes, one a line, and their sums."""
    if not changes:
        return "no differences"
    rows = [
        (_letter(change), path, _size(change), _what(change))
        for change in changes
        for path in (printable(path_text(change.path)).replace("\t", "\\x09"),)
    ]
    return columns(rows, right=frozenset((2,))) + "\n\n" + ", ".join(_sums(changes))


def changes_json(before: Side, after: Side, changes: Iterable[Change]) -> str:
    """The changes for programs."""
    listed = list(changes)
    document = {
        "from": {"name": before.name, "digest": before.digest},
        "to": {"name": after.name, "digest": after.digest},
        **{
            word: {"count": len(group), "bytes": sum(change.growth for change in group)}
            for letter, word in _WORDS.items()
            for group in ([change for change in listed if _letter(change) == letter],)
        },
        "changes": [_fields(change) for change in listed],
    }
    return json.dumps(document, indent=2)


def _fields(change: Change) -> dict[str, object]:
    fields: dict[str, object] = {"path": path_text(change.path), "change": _WORDS[_letter(change)]}
    if change.aspects:
        fields["what"] = [str(aspect) for aspect in change.aspects]
    for side, entry in (("before", change.before), ("after", change.after)):
        if entry is not None:
            fields[side] = {key: value for key, value in entry_fields(entry).items() if key != "path"}
    return fields


def _letter(change: Change) -> str:
    """As `docker diff` has it: added, changed, deleted."""
    if change.before is None:
        return "A"
    return "D" if change.after is None else "C"


def _size(change: Change) -> str:
    """What a file takes, or by how much it grew; nothing for what has no content."""
    if change.before is not None and change.after is not None:
        return _signed(change.growth) if change.growth else ""
    return human_size(abs(change.growth)) if change.growth else ""


def _signed(size_bytes: int) -> str:
    return ("-" if size_bytes < 0 else "+") + human_size(abs(size_bytes))


def _what(change: Change) -> str:
    if change.before is None or change.after is None:
        return ""
    return ", ".join(_aspect(aspect, change.before, change.after) for aspect in change.aspects)


def _aspect(aspect: Aspect, before: Entry, after: Entry) -> str:
    match aspect:
        case Aspect.KIND | Aspect.MODE:
            return f"{aspect} {mode_text(before)} to {mode_text(after)}"
        case Aspect.OWNER:
            return f"owner {before.uid}:{before.gid} to {after.uid}:{after.gid}"
        case Aspect.LINK:
            return f"link {_target(before)} to {_target(after)}"
    return str(aspect)


def _target(entry: Entry) -> str:
    return printable(entry.link.decode("utf-8", "surrogateescape"))


def _sums(changes: Sequence[Change]) -> Iterable[str]:
    for letter, word in _WORDS.items():
        group = [change for change in changes if _letter(change) == letter]
        size = sum(change.growth for change in group)
        yield f"{len(group)} {word}" + (f" ({_signed(size)})" if size else "")

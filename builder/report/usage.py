"""What takes room in a store and what pruning gives back, as tables for people and JSON for programs. Pure.

Kinds are called as `prune --type` takes them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from builder.report.tables import columns
from builder.report.text import cut, human_age, human_size, printable
from builder.store.holdings import Kind
from builder.store.prune import Gone
from builder.store.sizes import Size
from builder.store.usage import Usage, together

_FOLDERS = {"sha256": "blob ", "layers": "record of layer ", "indexes": "index of layer "}
_COLUMNS = 48


def size_text(size: Size) -> str:
    """A size; `>` in front where some of it could not be looked at."""
    return human_size(size.size_bytes) if size.whole else f">{human_size(size.size_bytes)}"


def usage_table(usage: Usage) -> str:
    """A line for each kind, and the sum."""
    rows = [("KIND", "ENTRIES", "SIZE", "RECLAIMABLE")]
    for use in usage.kinds:
        if use.count or use.kind in (Kind.IMAGES, Kind.STEPS):
            rows.append((use.kind.value, str(use.count), size_text(use.size), human_size(use.reclaimable_bytes)))
    count = sum(use.count for use in usage.kinds)
    rows.append(("total", str(count), size_text(usage.size), human_size(usage.reclaimable_bytes)))
    return columns(rows, right=frozenset((1, 2, 3)))


def entries_table(usage: Usage, now_s: float) -> str:
    """A line for each thing, those used last at the end."""
    rows = [("KIND", "WHAT", "SIZE", "LAST USED", "RECLAIMABLE")]
    for entry in sorted(usage.entries, key=lambda entry: (list(Kind).index(entry.kind), entry.used_s, entry.key)):
        label = f"{_FOLDERS.get(entry.key.split('/')[-2], '')}{printable(entry.label)}"
        shown = cut(label, _COLUMNS)
        age = human_age(now_s - entry.used_s)
        rows.append((entry.kind.value, shown, size_text(entry.size), age, "yes" if entry.reclaimable else "no"))
    return columns(rows, right=frozenset((2,)))


def usage_json(usage: Usage) -> str:
    """The same for programs, things included."""
    document = {
        "kinds": [
            {
                "kind": use.kind.value,
                "count": use.count,
                "size": use.size.size_bytes,
                "sizeIsWhole": use.size.whole,
                "reclaimable": use.reclaimable_bytes,
            }
            for use in usage.kinds
        ],
        "things": [
            {
                "kind": entry.kind.value,
                "path": entry.key,
                "name": entry.label,
                "size": entry.size.size_bytes,
                "sizeIsWhole": entry.size.whole,
                "lastUsed": round(entry.used_s, 3),
                "reclaimable": entry.reclaimable,
            }
            for entry in usage.entries
        ],
    }
    return json.dumps(document, indent=2)


def gone_table(gone: Sequence[Gone]) -> str:
    """What went, a line for each kind."""
    rows = [("KIND", "ENTRIES", "SIZE")]
    for kind in Kind:
        ours = [each for each in gone if each.kind is kind]
        if ours:
            rows.append((kind.value, str(len(ours)), size_text(together(each.size for each in ours))))
    return columns(rows, right=frozenset((1, 2)))

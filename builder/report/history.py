"""The history of an image: what made it, the latest first, with the layers that came of it. Pure."""

from __future__ import annotations

import json

from builder.declare import dataclass
from builder.report.tables import columns
from builder.report.text import cut, human_age, human_size, printable, seconds_of, width_of
from builder.values.image import History, Image, Layer

_LEAST_COLUMNS = 20  # of what made a layer, however narrow the terminal is
_NO_LINE = History(created_by="")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the history. `layer` is None where it made none."""

    history: History
    layer: Layer | None


def history_of(image: Image) -> list[Line]:
    """The lines, the latest first. A layer that no line speaks of has an empty one; a line too many has no layer."""
    layers = iter(image.layers)
    lines = [Line(each, None if each.empty_layer else next(layers, None)) for each in image.config.history]
    lines += [Line(_NO_LINE, layer) for layer in layers]
    return lines[::-1]


def history_table(image: Image, now_s: float, width: int | None) -> str:
    """The history for people; where there is a width, what made each is cut so that lines fit into it."""
    table = [("CREATED", "CREATED BY", "SIZE", "COMMENT")]
    for line in history_of(image):
        size = human_size(line.layer.descriptor.size if line.layer else 0)
        table.append(
            (_age(line.history, now_s), _one_line(line.history.created_by), size, _one_line(line.history.comment))
        )
    if not any(row[3] for row in table[1:]):
        table = [(*row[:3], "") for row in table]
    if width:
        others = sum(max(width_of(row[at]) for row in table) + 2 for at in (0, 2, 3))
        room = max(width - others, _LEAST_COLUMNS)
        table = [(row[0], cut(row[1], room), *row[2:]) for row in table]
    return columns(table, right=frozenset((2,)))


def _age(line: History, now_s: float) -> str:
    created_s = seconds_of(line.created)
    return human_age(now_s - created_s) if created_s is not None else printable(line.created)


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def history_json(image: Image) -> str:
    """The history for programs: a JSON array, the latest first."""
    documents = []
    for line in history_of(image):
        document: dict[str, object] = {
            "created": line.history.created,
            "createdBy": line.history.created_by,
            "comment": line.history.comment,
            "emptyLayer": line.layer is None,
            "size": line.layer.descriptor.size if line.layer else 0,
        }
        if line.layer is not None:
            document |= {"digest": str(line.layer.descriptor.digest), "diffId": str(line.layer.diff_id)}
        documents.append(document)
    return json.dumps(documents, indent=2)

"""Tables."""

from __future__ import annotations

import json

from builder.report.tables import ImageRow, columns, images_json, images_table
from builder.values.digest import Digest

ROWS = (
    ImageRow("app", "1", Digest("ab" * 32), 1_000_000.0, 12_300_000),
    ImageRow("localhost:5000/team/größe", "latest", Digest("cd" * 32), 1_086_400.0, None),
)


def test_columns_are_aligned_by_what_is_seen() -> None:
    """Wide characters count two columns, and no line ends in blanks."""
    assert columns([("日本", "a"), ("x", "")]) == "日本  a\nx"
    assert columns([]) == ""


def test_images_for_people() -> None:
    """Digests are short, ages and sizes readable, and a damaged image is listed all the same."""
    assert images_table(ROWS, 1_086_460.0).split("\n") == [
        "NAME                       TAG     DIGEST        AGE              SIZE",
        "app                        1       abababababab  1 day ago     12.3 MB",
        "localhost:5000/team/größe  latest  cdcdcdcdcdcd  1 minute ago  damaged",
    ]


def test_images_for_programs() -> None:
    """JSON has whole digests, times in UTC and sizes in bytes."""
    first, second = json.loads(images_json(ROWS))
    assert first == {
        "name": "app",
        "tag": "1",
        "digest": f"sha256:{'ab' * 32}",
        "taggedAt": "1970-01-12T13:46:40Z",
        "size": 12_300_000,
    }
    assert second["size"] is None
    assert json.loads(images_json(())) == []

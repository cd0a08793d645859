"""Tables."""

from __future__ import annotations

import json

from builder.report.tables import ImageRow, columns, images_json, images_table
from builder.values.digest import Digest

ROWS = (
    ImageRow("app", "1", Digest("ab" * 32), 1_000_000.0, "", ("linux/amd64",), 12_000_000, 300_000),
    ImageRow("localhost:5000/team/größe", "latest", Digest("cd" * 32), 1_086_400.0, damaged=True),
)
NOW_S = 1_086_460.0


def test_columns_are_aligned_by_what_is_seen() -> None:
    """Wide characters count two columns, and no line ends in blanks."""
    assert columns([("日本", "a"), ("x", "")]) == "日本  a\nx"
    assert columns([]) == ""


def test_images_for_people() -> None:
    """Digests are short, ages and sizes readable, and a damaged image is listed all the same."""
    assert images_table(ROWS, NOW_S).split("\n") == [
        "NAME                       TAG     DIGEST        AGE              SIZE   SHARED    UNIQUE",
        "app                        1       abababababab  1 day ago     12.3 MB  12.0 MB  300.0 kB",
        "localhost:5000/team/größe  latest  cdcdcdcdcdcd  1 minute ago  damaged",
    ]


def test_narrow_terminals() -> None:
    """Where lines are too long ages become brief, then digests go, then names are cut; nothing else is lost."""
    assert images_table(ROWS, NOW_S, 100) == images_table(ROWS, NOW_S)
    assert images_table(ROWS, NOW_S, 85).split("\n")[1:] == [
        "app                        1       abababababab  1d   12.3 MB  12.0 MB  300.0 kB",
        "localhost:5000/team/größe  latest  cdcdcdcdcdcd  1m   damaged",
    ]
    assert images_table(ROWS, NOW_S, 75).split("\n")[1:] == [
        "app                        1       1d   12.3 MB  12.0 MB  300.0 kB",
        "localhost:5000/team/größe  latest  1m   damaged",
    ]
    assert images_table(ROWS, NOW_S, 56).split("\n")[1:] == [
        "app              1       1d   12.3 MB  12.0 MB  300.0 kB",
        "localhost:50...  latest  1m   damaged",
    ]


def test_no_images_at_all() -> None:
    """An empty list is its head."""
    assert images_table((), NOW_S, 80).split() == ["NAME", "TAG", "DIGEST", "AGE", "SIZE", "SHARED", "UNIQUE"]


def test_images_for_programs() -> None:
    """JSON has whole digests, times in UTC and sizes in bytes."""
    first, second = json.loads(images_json(ROWS))
    assert first == {
        "name": "app",
        "tag": "1",
        "digest": f"sha256:{'ab' * 32}",
        "platforms": ["linux/amd64"],
        "created": "",
        "taggedAt": "1970-01-12T13:46:40Z",
        "size": 12_300_000,
        "sharedSize": 12_000_000,
        "uniqueSize": 300_000,
    }
    assert second["size"] is second["sharedSize"] is second["uniqueSize"] is None
    assert json.loads(images_json(())) == []

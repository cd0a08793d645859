"""Histories of images."""

from __future__ import annotations

import json
from dataclasses import replace

from builder.report.history import history_json, history_of, history_table
from builder.values.image import History
from tests.report.images import image, layer

NOW_S = 1_700_003_600.0
LINES = (
    History("ADD rootfs.tar /", "2023-11-14T22:13:20Z", comment="imported"),
    History("ENV A=b\x1b[31m", "2023-11-14T22:13:20Z", empty_layer=True),
    History("RUN a \\\n    b " + "c" * 60, "long\nago"),
)


def test_the_latest_comes_first() -> None:
    """Each line says when, by what and how much; what made no layer has 0 B."""
    short = (*LINES[:2], History("RUN a \\\n    b", "long\nago"))
    assert history_table(image(history=short), NOW_S, None).split("\n") == [
        "CREATED      CREATED BY          SIZE  COMMENT",
        "long\\x0aago  RUN a \\ b         2.0 MB",
        "1 hour ago   ENV A=b              0 B",
        "1 hour ago   ADD rootfs.tar /  1.0 kB  imported",
    ]


def test_a_terminal() -> None:
    """On a terminal what made a layer is cut so that every line fits; very narrow ones get some of it still."""
    for width in (80, 60):
        lines = history_table(image(history=LINES), NOW_S, width).split("\n")
        assert max(map(len, lines)) <= width and "ccc...  " in lines[1]
    assert "RUN a \\ b" in history_table(image(history=LINES), NOW_S, 10)


def test_no_comments_no_column() -> None:
    """Where no line has a comment there is no place for them."""
    assert history_table(image(history=LINES[1:2]), NOW_S, None).split("\n")[0].endswith("SIZE")


def test_histories_that_do_not_fit() -> None:
    """A layer of which no line speaks is listed all the same; a line too many made nothing that is known."""
    silent = history_of(image())
    assert [(line.history.created_by, line.layer) for line in silent] == [
        ("", layer(2, 2_000_000)),
        ("", layer(1, 1000)),
    ]
    many = history_of(image(history=tuple(replace(line, empty_layer=False) for line in (*LINES, *LINES))))
    assert [line.layer is not None for line in many] == [False] * 4 + [True] * 2


def test_json() -> None:
    """Programs get the lines as they are, with the digests of layers."""
    run, env, _ = json.loads(history_json(image(history=LINES)))
    assert run == {
        "created": "long\nago",
        "createdBy": LINES[2].created_by,
        "comment": "",
        "emptyLayer": False,
        "size": 2_000_000,
        "digest": f"sha256:{2:064x}",
        "diffId": f"sha256:{18:064x}",
    }
    assert env["emptyLayer"] and env["size"] == 0 and "digest" not in env

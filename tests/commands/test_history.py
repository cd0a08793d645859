"""`pybuild history`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from builder.commands.app import run
from tests.commands.built import build_into, make_context
from tests.commands.callers import caller
from tests.commands.looks import json_of, lines_of
from tests.report import terminal


def test_what_made_an_image(tmp_path: Path) -> None:
    """The latest instruction comes first; those that made no layer have 0 B."""
    build_into(tmp_path / "store", tmp_path / "c", "app:1")
    head, *lines = lines_of(tmp_path, "history", "app:1")
    assert head.split() == ["CREATED", "CREATED", "BY", "SIZE", "COMMENT"]
    made = [" ".join(line.split()).split(" ago ")[-1].removeprefix("just now ") for line in lines]
    assert made[0].startswith('CMD ["/hello"] 0 B') and made[2].startswith("ENV A=b 0 B")
    assert made[3].startswith("COPY hello /hello ") and "0 B" not in made[3].split("hello /hello")[1].split()[0]


def test_json(tmp_path: Path) -> None:
    """Programs get an array, the latest first."""
    build_into(tmp_path / "store", tmp_path / "c", "app:1")
    rows = json_of(tmp_path, "history", "app:1")
    assert [row["createdBy"] for row in rows] == ['CMD ["/hello"]', "COPY hello /again", "ENV A=b", "COPY hello /hello"]
    assert [row["emptyLayer"] for row in rows] == [True, False, True, False]


def test_terminals(tmp_path: Path) -> None:
    """On a terminal lines fit its width; --no-trunc cuts nothing."""
    context = make_context(tmp_path / "c", "FROM scratch\nCOPY hello /\nLABEL text=" + "x" * 200 + "\n")
    assert run(["build", "-q", "-t", "app:1", str(context), "--root", str(tmp_path / "store")], caller(context)) == 0
    with terminal.opened(columns=70) as (ours, theirs), os.fdopen(os.dup(theirs), "w") as stream:
        who = replace(caller(tmp_path), stdout=stream)
        words = ["history", "app:1", "--root", str(tmp_path / "store")]
        run(words, who)
        lines = terminal.read_now(ours).splitlines()
        assert max(map(len, lines)) <= 70 and "xxx..." in lines[1]
        run([*words, "--no-trunc"], who)
        assert "x" * 200 in terminal.read_now(ours)

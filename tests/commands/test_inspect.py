"""`pybuild inspect`."""

from __future__ import annotations

import json
import os
from pathlib import Path

from builder.commands.app import run
from builder.commands.caller import Caller
from tests.commands.built import build_into
from tests.commands.callers import caller, said
from tests.report import terminal


def test_config_and_layers(tmp_path: Path) -> None:
    """People see the config, and each layer with the instruction that made it."""
    build_into(tmp_path / "store", tmp_path / "c", "app:1")
    who = caller()
    assert run(["inspect", "app:1", "--root", str(tmp_path / "store"), "--format", "table"], who) == 0
    lines = said(who).splitlines()
    assert lines[0].split() == ["Name:", "app:1"]
    assert [line.split()[-3:] for line in lines[-2:]] == [["COPY", "hello", "/hello"], ["COPY", "hello", "/again"]]


def test_json(tmp_path: Path) -> None:
    """Programs get the config document as the image has it."""
    digest = build_into(tmp_path / "store", tmp_path / "c", "app:1")
    who = caller()
    assert run(["inspect", "app:1", "--root", str(tmp_path / "store"), "--format", "json"], who) == 0
    document = json.loads(said(who))
    assert document["digest"] == digest
    assert document["config"]["config"]["Cmd"] == ["/hello"]
    assert [layer["createdBy"] for layer in document["layers"]] == ["COPY hello /hello", "COPY hello /again"]


def test_a_narrow_terminal(tmp_path: Path) -> None:
    """On a terminal lines of layers end at its width."""
    build_into(tmp_path / "store", tmp_path / "c", "app:1")
    with terminal.opened(columns=42) as (ours, theirs), os.fdopen(os.dup(theirs), "w") as stream:
        base = caller()
        who = Caller(base.environment, base.directory, base.home, base.stdin, stream, base.stderr)
        run(["inspect", "app:1", "--root", str(tmp_path / "store"), "--format", "table"], who)
        layers = terminal.read_now(ours).split("LAYER")[1].splitlines()
        assert all(len(line) <= 42 for line in layers) and layers[1].endswith("...")

"""`pybuild inspect`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from builder.commands.app import run
from builder.commands.caller import Caller
from builder.errors import UsageError
from tests.commands.built import build_into
from tests.commands.callers import caller, said
from tests.commands.looks import json_of, lines_of, store_image
from tests.report import terminal
from tests.stages.builds import row


def test_config_and_layers(tmp_path: Path) -> None:
    """People see the config, and each layer with the instruction that made it."""
    build_into(tmp_path / "store", tmp_path / "c", "app:1")
    who = caller()
    assert run(["inspect", "app:1", "--root", str(tmp_path / "store"), "--format", "table"], who) == 0
    lines = said(who).splitlines()
    assert lines[0].split() == ["Name:", "app:1"]
    assert [line.split()[-3:] for line in lines[-2:]] == [["COPY", "hello", "/hello"], ["COPY", "hello", "/again"]]


def test_other_names(tmp_path: Path) -> None:
    """What else the image is called in the store stands below its name."""
    store_image(tmp_path, "app:1")
    assert run(["tag", "app:1", "app:2", "team/app:3", "--root", str(tmp_path / "store")], caller()) == 0
    lines = lines_of(tmp_path, "inspect", "app:2")
    assert [line.split() for line in lines[:3]] == [["Name:", "app:2"], ["Also:", "app:1"], ["team/app:3"]]


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


def test_several_images(tmp_path: Path) -> None:
    """Several images come one after the other; as JSON they are an array, where one alone is an object."""
    store_image(tmp_path, "app:1")
    store_image(tmp_path, "app:2", [[row("a", "a")]])
    text = "\n".join(lines_of(tmp_path, "inspect", "app:1", "app:2"))
    assert text.count("Name:") == 2 and "\n\nName:      app:2\n" in text
    assert [document["name"] for document in json_of(tmp_path, "inspect", "app:2", "app:1")] == ["app:2", "app:1"]


def test_templates_of_docker(tmp_path: Path) -> None:
    """A Go template is refused with what to do instead."""
    with pytest.raises(UsageError, match="Go templates are not supported") as caught:
        lines_of(tmp_path, "inspect", "--format", "{{.Id}}", "app:1")
    assert "jq" in (caught.value.hint or "")

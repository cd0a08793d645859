"""What the commands that look at images share."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import pytest

from builder.commands.app import run
from builder.errors import ImageError
from tests.commands.callers import caller
from tests.commands.looks import bytes_of, json_of, lines_of, store_image
from tests.registry import push, running_registry
from tests.report import terminal
from tests.stages.looked import files_below


@pytest.mark.clients
def test_an_image_of_a_registry(tmp_path: Path) -> None:
    """An image of a registry is looked into from afar; a store gets no blob of it, and where none is none is made."""
    store_image(tmp_path)
    with running_registry(tmp_path) as address:
        name = f"docker://{address}/team/app:1"
        push(f"oci:{tmp_path / 'app-1'}:latest", name.removeprefix("docker://"))
        (tmp_path / "store").rename(tmp_path / "full")
        assert bytes_of(tmp_path, "cat", f"{name}:/etc/os-release") == b"NAME=new\n"
        assert lines_of(tmp_path, "ls", f"{name}:/bin") == ["same", "tool"]
        assert json_of(tmp_path, "inspect", name)["names"] == []
        assert len(lines_of(tmp_path, "history", name)) == 3
        assert not (tmp_path / "store").exists()
        store_image(tmp_path, "other:1", [[]])
        before = set(files_below(tmp_path / "store"))
        lines_of(tmp_path, "ls", "-lR", name)
        assert lines_of(tmp_path, "diff", name, "oci:app-1") == ["no differences"]
        added = set(files_below(tmp_path / "store")) - before
        assert {path.rpartition("/")[0] for path in added} == {"pybuild/indexes"}
    assert lines_of(tmp_path, "images")[1].startswith("other") and len(lines_of(tmp_path, "images")) == 2


def test_what_comes_is_shown_on_a_terminal(tmp_path: Path) -> None:
    """On a terminal what is fetched is shown on standard error, and gone from it when the results are said."""
    store_image(tmp_path)
    with terminal.opened(columns=80) as (ours, theirs), os.fdopen(os.dup(theirs), "w") as stream:
        out = io.StringIO()
        who = replace(caller(tmp_path, {"TERM": "xterm"}), stdout=out, stderr=stream)
        assert run(["ls", "oci:app-1:/etc", "--root", str(tmp_path / "none")], who) == 0
        assert out.getvalue() == "os-release\npasswd\n"
        picture = terminal.Picture(80)
        picture.write(terminal.read_now(ours))


def test_a_name_that_is_nowhere(tmp_path: Path) -> None:
    """Each command says which image there is not, by the words of the caller."""
    for words in (["ls", "none:1"], ["cat", "none:1:/x"], ["diff", "none:1", "none:2"], ["history", "none:1"]):
        with pytest.raises(ImageError, match="there is no image 'none:1' in the store"):
            lines_of(tmp_path, *words)
    with pytest.raises(ImageError, match="none"):
        lines_of(tmp_path, "ls", "oci:none")

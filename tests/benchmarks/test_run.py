"""The whole of benchmarks/run once, with few files and one peer: what is said of speed must not depend on luck."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PYBUILD = Path(sys.executable).with_name("pybuild")
PAGE = "before\n<!-- figures -->\nold\n<!-- /figures -->\nafter\n"
ROWS = ["1", "4", "4 archive"]

pytestmark = [pytest.mark.kernel, pytest.mark.clients]


@dataclass(frozen=True)
class Ran:
    """What a run has said and written."""

    directory: Path
    said: str

    @property
    def figures(self) -> Path:
        """Its JSON."""
        return self.directory / "figures.json"

    @property
    def tools(self) -> list[dict[str, Any]]:
        """What each tool came to, row after row."""
        return [row["tools"] for row in json.loads(self.figures.read_text())["rows"]]


def benchmark(directory: Path, *words: str) -> str:
    """Run it; gives what it prints."""
    argv = [sys.executable, str(CHECKOUT / "benchmarks" / "run"), *words]
    done = subprocess.run(argv, cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Two workloads, one run of each, two hundred files."""
    directory = tmp_path_factory.mktemp("benchmark")
    (directory / "room").mkdir()
    places = ("--cache", str(directory / "cache"), "--room", str(directory / "room"), "--pybuild", str(PYBUILD))
    sizes = ("--workload", "1,4", "--runs", "1", "--scale", "0.01", "--peers", "buildah")
    said = benchmark(directory, *places, *sizes, "--json", str(directory / "figures.json"))
    return Ran(directory, said)


def test_each_tool_has_a_turn_in_each_row(ran: Ran) -> None:
    """And none of them fails."""
    assert [row["key"] for row in json.loads(ran.figures.read_text())["rows"]] == ROWS
    for tools in ran.tools:
        for name in ("pybuild", "buildah"):
            assert len(tools[name]["runs"]) == 1
            assert tools[name]["failures"] == []


def test_both_tools_have_built_the_same_files(ran: Ran) -> None:
    """Their images were read back: there are layers, and no path differs."""
    for tools in ran.tools:
        assert tools["pybuild"]["layers"]
        assert tools["buildah"]["layers"]
        assert tools["buildah"]["differs"] == []


def test_our_time_is_given_as_a_part_of_the_peer_s(ran: Ran) -> None:
    """Of the medians of the same run."""
    for tools in ran.tools:
        ours, theirs = (tools[name]["median_s"] for name in ("pybuild", "buildah"))
        assert tools["buildah"]["ratio"] == pytest.approx(ours / theirs)


def test_peak_memory_and_cpu_of_all_processes_are_there(ran: Ran) -> None:
    """Of both tools, in every run."""
    for tools in ran.tools:
        for name in ("pybuild", "buildah"):
            (run,) = tools[name]["runs"]
            assert run["peak_kib"] > 1024
            assert run["cpu_s"] > 0


def test_what_is_printed_says_how_much_smaller_the_sizes_are(ran: Ran) -> None:
    """Nobody takes a small run for a whole one."""
    assert "sizes and numbers of files are 0.01 of what the titles say" in ran.said


def test_the_figures_become_a_table_and_a_picture_later(ran: Ran, tmp_path: Path) -> None:
    """From the JSON alone, without a run; what is around the marks of the page stays."""
    page, picture = tmp_path / "page.md", tmp_path / "picture.svg"
    page.write_text(PAGE)
    benchmark(tmp_path, "--figures", str(ran.figures), "--markdown", str(page), "--svg", str(picture))
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "| 4 | COPY 20,000 files" in text
    assert "old" not in text
    assert ElementTree.parse(picture).getroot().tag.endswith("svg")


def test_nothing_that_was_built_stays(ran: Ran) -> None:
    """The room is empty after the run; the cache keeps what the next one starts from."""
    assert list((ran.directory / "room").iterdir()) == []
    assert (ran.directory / "cache" / "layouts").is_dir()

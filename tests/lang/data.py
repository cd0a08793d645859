"""Where the conformance data is, and the rows of its files. Without the folder whoever asks for rows is skipped."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, cast

import pytest

FOLDER = Path(os.environ.get("PYBUILD_CONFORMANCE", Path(__file__).parents[2].parent / "shared" / "conformance"))
_MISSING = pytest.mark.skip(reason=f"no conformance data in {FOLDER} (PYBUILD_CONFORMANCE)")


needed = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no conformance data in {FOLDER} (PYBUILD_CONFORMANCE)")


def rows(name: str) -> list[Any]:
    """The rows of a JSON file as parameters of a test."""
    if not FOLDER.is_dir():
        return [pytest.param(None, marks=_MISSING)]
    loaded = cast(list[Any], json.loads((FOLDER / name).read_text(encoding="utf-8")))
    return [pytest.param(row, id=str(number)) for number, row in enumerate(loaded)]


def folders(name: str) -> list[Any]:
    """The directories of a directory as parameters of a test."""
    if not FOLDER.is_dir():
        return [pytest.param(None, marks=_MISSING)]
    return [pytest.param(path, id=path.name) for path in sorted((FOLDER / name).iterdir())]


def cases(*groups: str) -> list[Any]:
    """The conformance cases of some groups that must fail, as parameters of a test."""
    if not FOLDER.is_dir():
        return [pytest.param(None, marks=_MISSING)]
    loaded = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((FOLDER / "cases").glob("*.json"))]
    return [pytest.param(case, id=case["name"]) for case in loaded if case["name"].split("-")[0] in groups]


def lines(name: str) -> list[str]:
    """The lines of a text file that are not comments or blank; none where the folder is missing."""
    if not FOLDER.is_dir():
        return []
    text = (FOLDER / name).read_text(encoding="utf-8")
    return [line for line in text.split("\n") if line.strip() and not line.startswith("#")]


def line_rows(name: str) -> list[Any]:
    """The same lines as parameters of a test."""
    return [pytest.param(line, id=line) for line in lines(name)] or [pytest.param("", marks=_MISSING)]


def text_of(path: Path) -> str:
    """A file's text with its line ends as they are."""
    return path.read_bytes().decode()

"""How many hostile cases there are: `python -m tests.hostile.count` prints the table of docs/hostile.md."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from tests.hostile import (
    buildfiles_keys,
    step_requests,
    test_buildfiles,
    test_contexts,
    test_layers,
    test_pulls,
    uploads,
)
from tests.hostile.fuzz import TARGETS

HERE = Path(__file__).parent


class Part(NamedTuple):
    """A row: what is tried, how often, where it is written down, and how many the purpose asks for at least."""

    title: str
    cases: int
    places: str
    least: int = 0


def parts() -> tuple[Part, ...]:
    """The rows, counted now."""
    return (
        Part(
            "layers on a base with a shell, with a step run on top",
            len(test_layers.CASES),
            "`layers.py`, `layer_fields.py`",
            150,
        ),
        Part(
            "registries that are pulled from (documents, blobs, redirects, logins, HTTP itself)",
            len(test_pulls.CASES),
            "`documents.py`, `transfers.py`",
            60,
        ),
        Part("registries that are pushed to", len(uploads.CASES), "`uploads.py`"),
        Part(
            "Buildfiles: destinations and names of who is who in hostile images, mounts, the language, configs of"
            " bases, git",
            len(test_buildfiles.CASES),
            "`buildfiles_*.py`",
            150,
        ),
        Part(
            "contexts: links out, pipes, sizes, depths, names, ignore files, wildcards",
            len(test_contexts.CASES),
            "`contexts.py`, `contexts_ignore.py`",
        ),
        Part(
            "what steps send to their proxy, directly and with another behind it",
            len(step_requests.CASES),
            "`step_requests.py`",
        ),
        Part("steps that must not share an entry of the cache", buildfiles_keys.COUNT, "`buildfiles_keys.py`"),
        Part(
            "races: names exchanged while they are read, written, removed, mounted on",
            (HERE / "test_races.py").read_text().count("\ndef test_"),
            "`test_races.py`, `races.py`",
        ),
        Part("fuzz targets: readers of a stranger's bytes", len(TARGETS), "`fuzz.py`"),
    )


def rows() -> list[str]:
    """The table's lines."""
    return [
        "| part | cases | where |",
        "| --- | --- | --- |",
        *(f"| {part.title} | {part.cases} | {part.places} |" for part in parts()),
    ]


if __name__ == "__main__":
    sys.stdout.write("\n".join(rows()) + "\n")

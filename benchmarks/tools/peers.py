"""Which other builders are here."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.tools.buildah import Buildah
from benchmarks.tools.buildctl import Buildctl
from benchmarks.tools.docker import Docker
from benchmarks.tools.tool import Tool

_KNOWN: tuple[Tool, ...] = (Buildah("buildah", "buildah"), Buildah("podman", "podman"), Docker(), Buildctl())


class UnknownPeer(Exception):
    """A peer was asked for that is not here, or that nobody knows."""


def found(names: Sequence[str]) -> list[Tool]:
    """Those of these names, or all that are installed and answer; "none" is none. Raises UnknownPeer.

    One with a daemon has a single store, which may be somebody's own: it is emptied only where --peers names it.
    """
    if list(names) == ["none"]:
        return []
    here = [tool for tool in _KNOWN if _answers(tool)]
    if unnamed := [tool.name for tool in here if tool.daemons and not names]:
        print(f"not measured unless named, since their cache is emptied: {', '.join(unnamed)}", file=sys.stderr)
    if missing := set(names) - {tool.name for tool in here}:
        raise UnknownPeer(f"not installed, or not answering: {', '.join(sorted(missing))}")
    return [tool for tool in here if (tool.name in names if names else not tool.daemons)]


def _answers(tool: Tool) -> bool:
    argv = tool.version().argv
    return shutil.which(argv[0]) is not None and subprocess.run(argv, capture_output=True, check=False).returncode == 0

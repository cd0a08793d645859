"""Runs a test's function as root of a fresh user and mount namespace, in a process of its own.

`run(function, directory)` calls `function(directory)` there and gives back what it returned (anything JSON can hold).
What it left in the directory is removed before the namespace ends, because some of it belongs to sub-ids. As real root
only the mount namespace is new.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_REPOSITORY = Path(__file__).parents[2]


def run(function: Callable[..., Any], directory: Path, *arguments: Any) -> Any:
    """The JSON value that `function(directory / "inside", *arguments)` returned in there; fails where it raised."""
    return _run(["--user", "--map-root-user", "--map-auto"], function, directory, *arguments)


def run_with_single_id(function: Callable[..., Any], directory: Path, *arguments: Any) -> Any:
    """As `run`, but only our own id is mapped, as on the single-id rung."""
    return _run(["--user", "--map-root-user"], function, directory, *arguments)


def _run(maps: list[str], function: Callable[..., Any], directory: Path, *arguments: Any) -> Any:
    unshare = ["unshare", "--mount", "--propagation", "private"]
    if os.getuid() != 0:
        unshare += maps
    call = json.dumps([function.__module__, function.__qualname__, str(directory / "inside"), arguments])
    done = subprocess.run(
        [*unshare, "--", sys.executable, "-m", "tests.tree.inside", call],
        cwd=_REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and done.stderr.startswith("unshare: ") and "CI" not in os.environ:
        pytest.skip(f"no user namespaces for us here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def _main() -> None:
    module, name, directory, arguments = json.loads(sys.argv[1])
    function = getattr(importlib.import_module(module), name)
    os.mkdir(directory)
    try:
        result = function(Path(directory), *arguments)
    finally:
        subprocess.run(["rm", "-rf", directory], check=True)  # at any depth, which shutil.rmtree cannot
    print(json.dumps(result))


if __name__ == "__main__":
    _main()

"""`python -m builder`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.bases import BUSYBOX
from tests.support.command import Pybuild


def test_the_module_is_the_command() -> None:
    """`python -m builder` calls itself pybuild and answers like it."""
    done = subprocess.run([sys.executable, "-m", "builder", "--version"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stdout.startswith("pybuild ")


@pytest.mark.kernel
def test_modules_of_a_context_are_not_run(tmp_path: Path) -> None:
    """A file of the current directory with the name of a module that we load is data: in us and in the worker."""
    pybuild = Pybuild(tmp_path / "room", tmp_path / "store")
    pybuild.room.mkdir()
    for name in ("click", "hashlib", "json", "requests", "resource", "socket", "tomllib", "uuid", "zstandard"):
        pybuild.write(f"{name}.py", f"open({str(tmp_path / 'ran')!r}, 'a').write({name!r})\n")
    pybuild.write("Buildfile", f'FROM scratch\nCOPY click.py {BUSYBOX.name} /\nRUN ["/{BUSYBOX.name}", "true"]\n')
    shutil.copy(BUSYBOX, pybuild.room)
    pybuild.run("build", "--progress", "plain", ".")
    assert not (tmp_path / "ran").exists()
    pybuild.run("unshare", "rm", "-rf", str(pybuild.store))

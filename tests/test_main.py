"""`python -m builder`."""

from __future__ import annotations

import subprocess
import sys


def test_the_module_is_the_command() -> None:
    """`python -m builder` calls itself pybuild and answers like it."""
    done = subprocess.run([sys.executable, "-m", "builder", "--version"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stdout.startswith("pybuild ")

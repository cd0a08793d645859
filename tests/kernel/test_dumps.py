"""Core dumps of what knows secrets."""

from __future__ import annotations

import subprocess
import sys

import pytest

_PROGRAM = """
import resource, signal, os
from builder.kernel.dumps import forbid_core_dumps
resource.setrlimit(resource.RLIMIT_CORE, ({soft}, {hard}))
forbid_core_dumps()
print(*resource.getrlimit(resource.RLIMIT_CORE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "after"), [("0", "0", "0 0"), ("0", "4096", "1 4096"), ("4096", "4096", "1 4096")]
)
def test_nothing_is_dumped(soft: str, hard: str, after: str) -> None:
    """One byte is the limit at which the kernel dumps neither to a file nor to a program; the hard one stays."""
    program = _PROGRAM.format(soft=soft, hard=hard)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == after

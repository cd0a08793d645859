"""Open descriptors of a process of ours: which of them it keeps."""

from __future__ import annotations

from builder.kernel import syscalls
from builder.kernel.constants import CLOSE_RANGE_LAST


def close_all_but(*kept: int) -> None:
    """Close all descriptors from 3 on but these."""
    first = 3
    for fd in sorted(kept):
        if first < fd:
            syscalls.close_range(first, fd - 1)
        first = max(first, fd + 1)
    syscalls.close_range(first, CLOSE_RANGE_LAST)

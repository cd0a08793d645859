"""Other limits for a while: they are a process's, and the tests share one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from builder.tree import bounds
from builder.values.limits import Limits


@contextlib.contextmanager
def limited(limits: Limits) -> Iterator[None]:
    """These limits hold until the end of the block."""
    before = bounds.limits()
    bounds.enforce(limits)
    try:
        yield
    finally:
        bounds.enforce(before)

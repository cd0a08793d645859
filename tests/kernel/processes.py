"""Looks at processes as the host sees them, for tests about who is alive."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until `condition` holds; a test that waits in vain fails."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.005)


def descendants(pid: int) -> list[int]:
    """All processes below `pid`, as the host counts them."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        try:
            text = "".join(path.read_text() for path in Path(f"/proc/{waiting.pop()}/task").glob("*/children"))
        except OSError:
            continue
        inner = [int(number) for number in text.split()]
        found += inner
        waiting += inner
    return found


def is_there(pid: int) -> bool:
    """Whether there is such a process, were it only waiting to be buried."""
    return Path(f"/proc/{pid}").exists()


def is_alive(pid: int) -> bool:
    """Whether it runs: an orphan's burial is for the machine's init, which may take its time."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


_strangers: set[int] = set()


def forget_children() -> None:
    """Leave the children that there are now (a registry that other tests share) out of what `children` gives."""
    _strangers.clear()
    _strangers.update(children())


def children() -> list[int]:
    """The children of this process that came since `forget_children`."""
    found = [pid for path in Path("/proc/self/task").glob("*/children") for pid in _numbers(path)]
    return [pid for pid in found if pid not in _strangers]


def _numbers(path: Path) -> list[int]:
    try:
        return [int(number) for number in path.read_text().split()]
    except OSError:
        return []  # the thread of that name has ended meanwhile

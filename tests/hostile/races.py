"""Somebody who exchanges names as fast as the kernel lets him, while something of ours works on them.

As a program: `python races.py PAUSE_S NAME OTHER …` exchanges each pair for ever and says at its end how often it did.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from builder.errors import PybuildError
from builder.kernel.syscalls import renameat2
from builder.lang.ignore import IgnoreRules
from builder.stages.source_tree import HostTree, host_directory, walk
from builder.tree.fingerprint import Fingerprints
from builder.values.entry import Kind

RACE_S = float(os.environ.get("PYBUILD_RACE_S", "1.5"))
"""How long each race is run; PYBUILD_RACE_S=600 is a night's."""

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


@dataclass
class Count:
    """What came of the tries: how many there were, and how many of them were told that something changed."""

    tries: int = 0
    refused: int = 0
    swaps: int = 0
    seen: set[bytes] = field(default_factory=set)


@contextmanager
def swapping(count: Count, *pairs: tuple[Path, Path], pause_s: float = 0.0) -> Iterator[None]:
    """While it lasts each pair of names is exchanged, over and over, by another process, with a pause after each."""
    words = [str(pause_s), *(os.fspath(path) for pair in pairs for path in pair)]
    with subprocess.Popen([sys.executable, __file__, *words], stdout=subprocess.PIPE, cwd="/") as process:
        assert process.stdout is not None
        process.stdout.readline()  # it has begun
        try:
            yield
        finally:
            process.terminate()
            count.swaps += int(process.stdout.read())


def for_a_while(count: Count, action: Callable[[], object], seconds: float = RACE_S) -> None:
    """Do it again and again; an error of ours is an answer, anything else is none."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        count.tries += 1
        try:
            action()
        except PybuildError:
            count.refused += 1


def copied(context: Path, count: Count) -> None:
    """Read a context as COPY does: list it, take the digests, then open and read."""
    tree = HostTree(host_directory(context, "x"), IgnoreRules(), Fingerprints.load(context.parent / "none"), "x")
    try:
        entries = [entry for entry in walk(tree, b"") if entry.kind is Kind.FILE]
        list(tree.digests(entries))
        for entry, opener in zip(entries, tree.openers(entries), strict=True):
            fd = opener()
            try:
                count.seen.add(os.read(fd, entry.size))
            finally:
                os.close(fd)
    finally:
        tree.close()


def _swap_for_ever(pause_s: float, words: list[bytes]) -> None:
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stop.append(number))
    pairs = list(zip(words[::2], words[1::2], strict=True))
    swaps = 0
    os.write(1, b"now\n")
    while not stop:
        for one, other in pairs:
            try:
                renameat2(_AT_FDCWD, one, _AT_FDCWD, other, _RENAME_EXCHANGE)
                swaps += 1
                if pause_s:
                    time.sleep(pause_s)
            except OSError:
                time.sleep(0.0001)  # whoever is raced has removed one; it will be made again
    os.write(1, b"%d" % swaps)


if __name__ == "__main__":
    _swap_for_ever(float(sys.argv[1]), [os.fsencode(word) for word in sys.argv[2:]])

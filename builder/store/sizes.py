"""How much room things take on the disk, as far as their owner may look: allocated blocks, each hard-linked file once.

Snapshots hold directories of sub-ids which only the worker may enter, so they are not walked: what is in a layer stands
in its index. Cache mounts are walked, and what cannot be entered is not counted.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from builder.declare import dataclass
from builder.values.entry import room_of

_BLOCK_BYTES = 512  # the unit of st_blocks, whatever the file system's own is (stat(2))


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes on the disk; not `whole` where something could not be looked into, so that it is at least so much."""

    size_bytes: int
    whole: bool = True


def of_facts(facts: os.stat_result) -> int:
    """The room that a file takes, without what a directory holds."""
    return facts.st_blocks * _BLOCK_BYTES


def of_tree(path: Path) -> Size:
    """The room that a file or a directory with all that is in it takes. What is gone meanwhile counts as nothing."""
    total, whole = 0, True
    seen: set[tuple[int, int]] = set()
    waiting = [os.fspath(path)]
    try:
        top = os.lstat(path)
    except OSError:
        return Size(0)
    total += of_facts(top)
    if not stat.S_ISDIR(top.st_mode):
        return Size(total)
    while waiting:
        try:
            entries = os.scandir(waiting.pop())
        except FileNotFoundError:
            continue
        except OSError:
            whole = False
            continue
        with entries:
            for entry in entries:
                try:
                    facts = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                except OSError:  # the directory may be listed and not searched
                    whole = False
                    continue
                if stat.S_ISDIR(facts.st_mode):
                    waiting.append(entry.path)
                elif facts.st_nlink > 1:
                    if (facts.st_dev, facts.st_ino) in seen:
                        continue
                    seen.add((facts.st_dev, facts.st_ino))
                total += of_facts(facts)
    return Size(total, whole)


def of_unpacked(index: Path) -> Size:
    """The room that an unpacked layer takes, by its index: files in whole clusters, a cluster for each directory."""
    total = 0
    try:
        with open(index, "rb") as lines:
            next(lines, None)  # the head
            for line in lines:
                row = json.loads(line)
                total += room_of(row[1], int(row[5]))
    except (OSError, ValueError, LookupError, TypeError):
        return Size(total, whole=False)
    return Size(total)

"""Which ids of the host become which ids inside, and the writing of the maps. No decision about a missing range here.

Sources: subuid(5), newuidmap(1), user_namespaces(7).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from builder.declare import dataclass

FULL_RANGE = 65536
"""So many subordinate ids a range must have: those of an image are 0 to 65535, with `nobody` near the end."""

_ID_END = (1 << 32) - 1  # the last 32-bit number means "no id"
_MAX_EXTENTS = 340  # UID_GID_MAP_MAX_EXTENTS of include/linux/user_namespace.h, since Linux 4.15


@dataclass(frozen=True, slots=True, order=True)
class SubRange:
    """`count` ids of the host from `start` on."""

    start: int
    count: int

    @property
    def end(self) -> int:
        """The first id after it."""
        return self.start + self.count


@dataclass(frozen=True, slots=True)
class IdMap:
    """`count` ids from `inside` on are, outside, those from `outside` on: a line of /proc/PID/uid_map."""

    inside: int
    outside: int
    count: int


class MapsRefused(Exception):
    """The maps were not written: why, in the words of the helper or the kernel, and the error number (0: none)."""

    def __init__(self, reason: str, errno: int = 0) -> None:
        super().__init__(reason)
        self.errno = errno


def parse_ranges(text: str, user: str, uid: int) -> tuple[SubRange, ...]:
    """The ranges in the text of a subuid file that belong to `user`, by name or number, in the file's order.

    Lines that are not `owner:start:count` are passed over, as newuidmap does.
    """
    found = []
    for owner, span in _lines(text):
        if owner in (user, str(uid)) and span.count > 0:
            found.append(span)
    return tuple(found)


def read_ranges(path: Path, user: str, uid: int) -> tuple[SubRange, ...]:
    """The ranges that the file `path` gives to `user`; none when the file is missing or unreadable."""
    return parse_ranges(_text_of(path), user, uid)


def free_start(*paths: Path) -> int:
    """The first id from 100000 on from which all later ones belong to nobody in any of these files."""
    ends = [span.end for path in paths for _, span in _lines(_text_of(path))]
    return max([100000, *ends])


def _text_of(path: Path) -> str:
    try:
        return path.read_text(errors="surrogateescape")
    except OSError:
        return ""


def _lines(text: str) -> list[tuple[str, SubRange]]:
    lines = []
    for line in text.splitlines():
        fields = line.strip().split(":")
        if len(fields) == 3 and fields[0] and fields[1].isdecimal() and fields[2].isdecimal():
            span = SubRange(int(fields[1]), int(fields[2]))
            if span.end <= _ID_END:
                lines.append((fields[0], span))
    return lines


def usable(own_id: int, ranges: Sequence[SubRange]) -> tuple[SubRange, ...]:
    """The ranges without what overlaps an earlier one or our own id: the kernel takes no outside id twice (EINVAL)."""
    taken = [SubRange(own_id, 1)]
    result: list[SubRange] = []
    for span in ranges:
        for piece in _without(span, taken):
            result.append(piece)
        taken.append(span)
    return tuple(result)


def _without(span: SubRange, taken: Sequence[SubRange]) -> list[SubRange]:
    """What is left of `span` when the ids in `taken` are cut out."""
    pieces = []
    start = span.start
    for hole in sorted(taken):
        if hole.end <= start or hole.start >= span.end:
            continue
        if hole.start > start:
            pieces.append(SubRange(start, hole.start - start))
        start = hole.end
    if start < span.end:
        pieces.append(SubRange(start, span.end - start))
    return pieces


def plan_maps(own_id: int, ranges: Sequence[SubRange]) -> tuple[IdMap, ...]:
    """Inside, 0 is `own_id` and 1, 2, … are the ranges one after the other."""
    maps = [IdMap(0, own_id, 1)]
    inside = 1
    for span in usable(own_id, ranges)[: _MAX_EXTENTS - 1]:
        count = min(span.count, _ID_END - inside)
        if count > 0:
            maps.append(IdMap(inside, span.start, count))
            inside += count
    return tuple(maps)


def read_map(path: Path) -> tuple[IdMap, ...]:
    """The map that is in force, from /proc/PID/uid_map or gid_map; empty without one or without /proc."""
    rows = (line.split() for line in _text_of(path).splitlines())
    return tuple(IdMap(*map(int, row)) for row in rows if len(row) == 3)


def mapped(maps: Sequence[IdMap]) -> int:
    """How many ids there are in a map."""
    return sum(line.count for line in maps)


def write_with_helpers(
    pid: int, uid_helper: str, uid_maps: Sequence[IdMap], gid_helper: str, gid_maps: Sequence[IdMap]
) -> None:
    """Have newuidmap and newgidmap write the maps of the process `pid`, both at the same time.

    Raises MapsRefused with what the helper said; then one of the maps may stand already, and `pid` is of no more use.
    """
    arguments = ((uid_helper, uid_maps), (gid_helper, gid_maps))
    running = [_start_helper(helper, pid, maps) for helper, maps in arguments]
    said = [process.communicate()[1].decode(errors="replace").strip() for process in running]
    for process, words, (helper, _) in zip(running, said, arguments, strict=True):
        if process.returncode:
            raise MapsRefused(words or f"{helper} ended with status {process.returncode}")


def _start_helper(helper: str, pid: int, maps: Sequence[IdMap]) -> subprocess.Popen[bytes]:
    numbers = [str(number) for line in maps for number in (line.inside, line.outside, line.count)]
    try:
        return subprocess.Popen(
            [helper, str(pid), *numbers],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={},
            cwd="/",
        )
    except OSError as error:
        raise MapsRefused(f"{helper}: {error.strerror}", error.errno or 0) from error


def write_single(pid: int, uid: int, gid: int) -> None:
    """Map only our own ids, to 0, in the process `pid`. Raises MapsRefused with the kernel's error number.

    Each file takes one write(2) and answers with errors only there: a buffered file would hide EPERM. Without "deny" in
    setgroups first, gid_map is EPERM (user_namespaces(7), Linux 3.19).
    """
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        path = f"/proc/{pid}/{name}"
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, text.encode())
            finally:
                os.close(fd)
        except OSError as error:
            raise MapsRefused(f"{path}: {error.strerror}", error.errno or 0) from error

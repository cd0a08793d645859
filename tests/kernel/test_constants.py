"""The kernel's numbers, compared with the headers of this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.kernel import constants

INCLUDE = Path("/usr/include")
HEADERS = [
    INCLUDE / "linux" / f"{name}.h"
    for name in ("sched", "mount", "fcntl", "fs", "openat2", "capability", "prctl", "seccomp", "keyctl", "close_range")
]
_DEFINE = re.compile(r"^#\s*define\s+(\w+)\s+(?:\(1 << (\d+)\)|\(?(-?0[xX][0-9a-fA-F]+|-?\d+)[UL]*\)?)(?:\s|/|$)")
_SHIFT = re.compile(r"^#\s*define\s+(\w+)\s+\(1U?L? ?<< ?(\d+)\)")
_ENUM = re.compile(r"^\s+(FSCONFIG_\w+)\s*=\s*(\d+)")

headers = pytest.mark.skipif(not (INCLUDE / "linux" / "mount.h").exists(), reason="the kernel's headers are missing")


def defined(path: Path) -> Iterator[tuple[str, int]]:
    """The names that a header gives plain numbers to."""
    for line in path.read_text().splitlines():
        if match := _SHIFT.match(line):
            yield match[1], 1 << int(match[2])
        elif match := _DEFINE.match(line):
            text = match[3]
            octal = re.fullmatch(r"0\d+", text)
            yield match[1], int(text, 8) if octal else int(text, 0)
        elif match := _ENUM.match(line):
            yield match[1], int(match[2])


@headers
def test_constants_are_those_of_the_headers() -> None:
    """Every constant that this machine's headers define as a number has that number, and most are defined there."""
    known = {name: number for path in HEADERS for name, number in defined(path)}
    ours = {name: value for name, value in vars(constants).items() if name.isupper() and isinstance(value, int)}
    compared = {name for name in ours if name in known}
    assert {name: ours[name] for name in compared} == {name: known[name] for name in compared}
    assert len(compared) > 110, sorted(set(ours) - compared)


@headers
@pytest.mark.parametrize(
    ("machine", "places"),
    [
        ("x86_64", ["x86_64-linux-gnu/asm/unistd_64.h", "asm/unistd_64.h"]),
        ("aarch64", ["asm-generic/unistd.h"]),
    ],
)
def test_syscall_numbers_are_those_of_the_headers(machine: str, places: list[str]) -> None:
    """The numbers of both machines agree with the kernel's tables (aarch64 has the generic one)."""
    path = next((INCLUDE / place for place in places if (INCLUDE / place).exists()), None)
    if path is None:
        pytest.skip(f"this machine has no {places[0]}")
    known = dict(defined(path))
    for name, number in constants.NUMBERS[machine].items():
        assert known[f"__NR_{name}"] == number, name


def test_both_machines_know_the_same_calls() -> None:
    """No call is forgotten on one of the two architectures."""
    assert set(constants.NUMBERS["x86_64"]) == set(constants.NUMBERS["aarch64"])


def test_open_tree_closes_on_exec_with_this_machines_flag() -> None:
    """OPEN_TREE_CLOEXEC is O_CLOEXEC by definition."""
    assert constants.OPEN_TREE_CLOEXEC == os.O_CLOEXEC

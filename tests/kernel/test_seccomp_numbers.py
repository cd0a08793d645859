"""The tables of numbers, compared with what this machine's interpreter and headers know."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from builder.kernel.constants import NUMBERS
from builder.kernel.seccomp_numbers import numbers_of


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_one_number_one_name(machine: str) -> None:
    """No number has two names."""
    numbers = numbers_of(machine)
    assert len(numbers) == len(set(numbers.values()))


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_agreement_with_our_own_calls(machine: str) -> None:
    """The numbers that the syscall wrappers use are the same."""
    numbers = numbers_of(machine)
    assert {name: numbers[name] for name in NUMBERS[machine]} == NUMBERS[machine]


def test_agreement_with_the_headers() -> None:
    """Each number of the machine's own header is the same here."""
    header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if not header.exists():
        pytest.skip("needs the headers of an amd64 kernel")
    theirs = {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", header.read_text())}
    ours = numbers_of("x86_64")
    assert {name: ours.get(name) for name in theirs if theirs[name] <= 450} == {
        name: number for name, number in theirs.items() if number <= 450
    }


def test_unknown_machine() -> None:
    """A machine without a table is a KeyError, never another machine's table."""
    with pytest.raises(KeyError):
        numbers_of("vax")

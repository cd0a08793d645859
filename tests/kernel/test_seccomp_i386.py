"""The calls of i386 on amd64: the table, the filter by interpreter, and a 32-bit program that asks."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from builder.kernel.constants import CLONE_NEWNET, CLONE_NEWUSER
from builder.kernel.seccomp import step_filter
from builder.kernel.seccomp_calls import ALLOWED, PERSONALITIES, REFUSED
from builder.kernel.seccomp_i386 import I386_ALLOWED, I386_REFUSED, i386_numbers
from builder.kernel.seccomp_numbers import numbers_of
from tests.kernel.bench import Bench
from tests.kernel.test_seccomp import answer

I386 = 0x40000003  # AUDIT_ARCH_I386
NUMBERS = i386_numbers()
SPECIAL = {"clone", "socket", "personality"}
FAMILIES = {1: 0, 2: 0, 10: 0, 16: 0, 38: errno.EAFNOSUPPORT, 40: errno.EAFNOSUPPORT}


def asked(name: str, first_argument: int = 0) -> int:
    """What the filter says of an i386 call."""
    return answer(step_filter("x86_64"), NUMBERS[name], I386, first_argument)


class TestTable:
    def test_one_number_one_name(self) -> None:
        """No number has two names."""
        assert len(NUMBERS) == len(set(NUMBERS.values()))

    def test_agreement_with_the_header(self) -> None:
        """Each number of the machine's own header is the same here, and nothing else is up to where it ends."""
        header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_32.h")
        if not header.exists():
            pytest.skip("needs the headers of an amd64 kernel")
        theirs = {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", header.read_text())}
        assert {name: number for name, number in NUMBERS.items() if number <= 450} == {
            name: number for name, number in theirs.items() if number <= 450
        }

    def test_agreement_with_amd64(self) -> None:
        """From 424 on, a call has one number on every machine."""
        amd64 = numbers_of("x86_64")
        young = {name: number for name, number in NUMBERS.items() if number >= 424}
        assert young == {name: number for name, number in amd64.items() if number >= 424}


class TestLists:
    def test_every_call_is_one_of_i386(self) -> None:
        """A name that i386 has not would be a slip of the pen."""
        assert {*I386_ALLOWED, *I386_REFUSED} - NUMBERS.keys() == set()

    def test_no_call_of_another_list(self) -> None:
        """A call has one answer."""
        names = (*ALLOWED, *REFUSED, *I386_ALLOWED, *I386_REFUSED, *SPECIAL, "clone3", "socketcall")
        assert len(names) == len(set(names))

    @pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
    def test_nothing_for_other_machines(self, machine: str) -> None:
        """No call of these lists exists on a 64-bit machine, so that they change nothing there."""
        assert {*I386_ALLOWED, *I386_REFUSED} & numbers_of(machine).keys() == set()


class TestByInterpreter:
    def test_every_number(self) -> None:
        """Each number is allowed, refused or unknown just as the lists say."""
        expected = {NUMBERS[name]: 0 for name in (*ALLOWED, *I386_ALLOWED) if name in NUMBERS}
        expected |= {NUMBERS[name]: errno.EPERM for name in (*REFUSED, *I386_REFUSED) if name in NUMBERS}
        program = step_filter("x86_64")
        for number in set(range(1000)) - {NUMBERS[name] for name in SPECIAL}:
            assert answer(program, number, I386) == expected.get(number, errno.ENOSYS), number

    def test_far_numbers(self) -> None:
        """Numbers far beyond the table, with x32's bit or the sign, are unknown."""
        program = step_filter("x86_64")
        for bits in (0x10000, 0x40000000, 0x80000000, 0xFFFFFE00):
            assert {answer(program, bits | number, I386) for number in range(500)} == {errno.ENOSYS}

    def test_clone(self) -> None:
        """clone is allowed for threads and processes, and refused with any namespace; clone3 does not exist."""
        assert [asked("clone", flags) for flags in (0x3D0F00, 17)] == [0, 0]
        assert {asked("clone", 17 | flag) for flag in (CLONE_NEWUSER, CLONE_NEWNET)} == {errno.EPERM}
        assert asked("clone3") == errno.ENOSYS

    def test_sockets(self) -> None:
        """AF_ALG and AF_VSOCK are refused; socketcall, which could hide them, does not exist."""
        assert {family: asked("socket", family) for family in FAMILIES} == FAMILIES
        assert {asked("socketcall", call) for call in range(21)} == {errno.ENOSYS}

    def test_personality(self) -> None:
        """Only the harmless personalities are allowed."""
        assert {asked("personality", value) for value in PERSONALITIES} == {0}
        assert {asked("personality", value) for value in (0x40000, 0x400000, 1)} == {errno.EPERM}

    def test_ways_out_by_old_names(self) -> None:
        """What only i386 calls so is refused as its sibling is."""
        assert {asked(name) for name in ("umount", "umount2", "stime", "clock_settime64", "vm86")} == {errno.EPERM}


@pytest.fixture
def probing(room: Bench) -> Bench:
    """A bench whose image has the 32-bit probe."""
    if os.uname().machine != "x86_64":
        pytest.skip("amd64 only")
    place = room.image / "bin" / "probe32"
    if not place.exists():
        _compile(place)
    return room


def _compile(place: Path) -> None:
    if not shutil.which("gcc"):
        pytest.skip("needs gcc")
    source = Path(__file__).with_name("probe32.c")
    alone = ("-m32", "-static", "-nostdlib", "-fno-pic", "-no-pie", "-fno-stack-protector")
    subprocess.run(["gcc", *alone, "-O1", "-Wall", "-Werror", "-o", str(place), str(source)], check=True)


def _asked(room: Bench, *questions: str) -> list[int]:
    outcome = room.run("/bin/probe32", *questions)
    if outcome.status == 126 and not outcome.output:
        pytest.skip("this kernel runs no 32-bit programs")
    assert outcome.status == 0, outcome
    return [int(line) for line in outcome.lines()]


@pytest.mark.kernel
class TestByKernel:
    """The real machine's answers to a 32-bit program, which needs write and exit to give them."""

    def test_allowed(self, probing: Bench) -> None:
        """getpid, getuid32, sched_yield, mmap2 (anonymous), clock_gettime64 (bad address): all reach the kernel."""
        questions = ("getpid", "getuid32", "sched_yield", "mmap2,0,4096,3,0x22,0xffffffff", "clock_gettime64,0,1")
        numbered = (text.replace(name := text.split(",")[0], str(NUMBERS[name]), 1) for text in questions)
        assert _asked(probing, *numbered) == [0, 0, 0, 0, errno.EFAULT]

    def test_sockets(self, probing: Bench) -> None:
        """Unix, IPv4 and netlink sockets work by the direct calls; AF_ALG, AF_VSOCK and socketcall do not."""
        number = NUMBERS["socket"]
        assert _asked(probing, *(f"{number},{rest}" for rest in ("1,1", "2,1", "16,3"))) == [0, 0, 0]
        assert _asked(probing, f"{number},38,5", f"{number},40,1") == [errno.EAFNOSUPPORT] * 2
        assert _asked(probing, f"{NUMBERS['socketcall']},1") == [errno.ENOSYS]

    def test_refused(self, probing: Bench) -> None:
        """Every refused call is EPERM, for root: unshare, keyctl, umount and the rest."""
        names = [name for name in (*REFUSED, *I386_REFUSED) if name in NUMBERS]
        bad = "0xffffffff,0xffffffff,0xffffffff"
        answers = _asked(probing, *(f"{NUMBERS[name]},{bad}" for name in names))
        assert {name for name, number in zip(names, answers, strict=True) if number != errno.EPERM} == set()

    def test_namespaces(self, probing: Bench) -> None:
        """Neither clone nor unshare gives a new user namespace."""
        questions = (f"{NUMBERS['clone']},{CLONE_NEWUSER | 17:#x}", f"{NUMBERS['unshare']},{CLONE_NEWUSER:#x}")
        assert _asked(probing, *questions) == [errno.EPERM] * 2

    def test_unknown(self, probing: Bench) -> None:
        """Numbers that do not exist yet, clone3, and what nobody needs (readdir) are ENOSYS."""
        numbers = (600, 100000, NUMBERS["clone3"], NUMBERS["readdir"])
        assert _asked(probing, *map(str, numbers)) == [errno.ENOSYS] * 4

    def test_personality(self, probing: Bench) -> None:
        """The question for the personality is answered, switching randomisation off is EPERM."""
        number = NUMBERS["personality"]
        assert _asked(probing, f"{number},0xffffffff", f"{number},0x40000") == [0, errno.EPERM]

"""The filter, first by an interpreter that reads BPF as the kernel does, then by asking the kernel."""

from __future__ import annotations

import errno
import os
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest

from builder.kernel.constants import CLONE_NEWNET, CLONE_NEWUSER, SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO
from builder.kernel.seccomp import ALLOW, REFUSE, UNKNOWN, Range, branch, ranges, search, step_filter
from builder.kernel.seccomp_calls import ALLOWED, PERSONALITIES, REFUSED
from builder.kernel.seccomp_numbers import numbers_of
from builder.values.security import Security
from tests.kernel.bench import Bench, compiled

MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
SPECIAL = {"clone", "socket", "personality"}


def answer(program: bytes, number: int, architecture: int, first_argument: int = 0) -> int:
    """What a filter says of a call: 0 when it is allowed, otherwise the errno."""
    data = struct.pack("<IIQ6Q", number, architecture, 0, first_argument, 0, 0, 0, 0, 0)
    accumulator, at = 0, 0
    for _ in range(10_000):
        code, yes, no, k = struct.unpack_from("<HBBI", program, at * 8)
        at += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, k)
            case 0x05:
                at += k
            case 0x15:
                at += yes if accumulator == k else no
            case 0x35:
                at += yes if accumulator >= k else no
            case 0x45:
                at += yes if accumulator & k else no
            case 0x06:
                return 0 if k == SECCOMP_RET_ALLOW else k & ~SECCOMP_RET_ERRNO
            case _:
                raise AssertionError(f"the instruction {code:#x} is not one of ours")
    raise AssertionError("the program does not end")


@pytest.mark.parametrize("machine", MACHINES)
class TestByInterpreter:
    def test_every_number(self, machine: str) -> None:
        """Each number is allowed, refused or unknown just as the lists say."""
        program, numbers = step_filter(machine), numbers_of(machine)
        expected = {numbers[name]: 0 for name in ALLOWED if name in numbers}
        expected |= {numbers[name]: errno.EPERM for name in REFUSED if name in numbers}
        special = {numbers[name] for name in SPECIAL}
        for number in set(range(1000)) - special:
            assert answer(program, number, MACHINES[machine]) == expected.get(number, errno.ENOSYS), number

    def test_clone(self, machine: str) -> None:
        """clone is allowed for threads and processes, and refused with any namespace."""
        program, number = step_filter(machine), numbers_of(machine)["clone"]
        assert answer(program, number, MACHINES[machine], 0x3D0F00) == 0
        assert answer(program, number, MACHINES[machine], 17 | CLONE_NEWUSER) == errno.EPERM
        assert answer(program, number, MACHINES[machine], 17 | CLONE_NEWNET) == errno.EPERM

    def test_clone3(self, machine: str) -> None:
        """clone3 does not exist, so that libc uses clone."""
        assert answer(step_filter(machine), numbers_of(machine)["clone3"], MACHINES[machine]) == errno.ENOSYS

    def test_personality(self, machine: str) -> None:
        """Only the harmless personalities are allowed."""
        program, number = step_filter(machine), numbers_of(machine)["personality"]
        for value in PERSONALITIES:
            assert answer(program, number, MACHINES[machine], value) == 0
        for value in (0x40000, 0x100000, 1):  # ADDR_NO_RANDOMIZE, READ_IMPLIES_EXEC is 0x400000
            assert answer(program, number, MACHINES[machine], value) == errno.EPERM

    def test_high_half_of_an_argument(self, machine: str) -> None:
        """What is in the half of an int argument that the kernel ignores does not hide its value."""
        program, number = step_filter(machine), numbers_of(machine)["socket"]
        assert answer(program, number, MACHINES[machine], 0xFFFFFFFF_00000026) == errno.EAFNOSUPPORT

    def test_other_architectures(self, machine: str) -> None:
        """Calls of another architecture are unknown, whatever their number; amd64 knows those of i386 besides."""
        others = {0x40000003, 0x40000028, 0, *MACHINES.values()} - {MACHINES[machine]}  # i386, arm
        for architecture in others - ({0x40000003} if machine == "x86_64" else set()):
            assert {answer(step_filter(machine), n, architecture) for n in range(500)} == {errno.ENOSYS}

    def test_size(self, machine: str) -> None:
        """The program is far from the kernel's bound of 4096 instructions."""
        assert len(step_filter(machine)) // 8 < 1000


def test_x32() -> None:
    """x32 calls are unknown."""
    program = step_filter("x86_64")
    assert {answer(program, 0x40000000 | n, MACHINES["x86_64"]) for n in range(600)} == {errno.ENOSYS}


def test_far_branches() -> None:
    """Branches longer than 255 instructions lead to the right place."""
    found = {n: (ALLOW if n % 4 == 0 else REFUSE) for n in range(0, 4000, 2)}
    load = struct.pack("<HBBI", 0x20, 0, 0, 0)
    program = load + b"".join(search(ranges(found)))
    assert len(program) // 8 > 4 * 255
    for number in range(4000):
        expected = errno.ENOSYS if number % 2 else (0 if number % 4 == 0 else errno.EPERM)
        assert answer(program, number, 0) == expected


@pytest.mark.parametrize("length", [1, 254, 255, 256, 257])
def test_branch_at_the_bound(length: int) -> None:
    """A branch around the longest reach of a conditional jump goes both ways."""
    filler = (struct.pack("<HBBI", 0x20, 0, 0, 0),) * (length - 1)
    program = b"".join(branch(0x15, 0, (*filler, *ALLOW), REFUSE))
    assert answer(program, 0, 0) == 0
    program = b"".join(branch(0x15, 1, (*filler, *ALLOW), REFUSE))
    assert answer(program, 0, 0) == errno.EPERM


def test_ranges_join_equal_answers() -> None:
    """Neighbours with one answer are one range; what is beyond the last number is unknown."""
    assert ranges({0: ALLOW, 1: ALLOW, 3: REFUSE}) == (
        Range(0, ALLOW),
        Range(2, UNKNOWN),
        Range(3, REFUSE),
        Range(4, UNKNOWN),
    )


@pytest.fixture
def probing(room: Bench) -> Bench:
    """A bench whose image has the probe."""
    place = room.image / "bin" / "probe"
    if not place.exists():
        shutil.copy(compiled(room.base, "probe"), place)
    return room


def _asked(room: Bench, *questions: str, **changes: Any) -> list[int]:
    outcome = room.run("/bin/probe", *questions, **changes)
    assert outcome.status == 0, outcome
    return [int(line) for line in outcome.lines()]


@pytest.mark.kernel
class TestByKernel:
    """The real machine's answers. Numbers are looked up in the table of this machine."""

    numbers = numbers_of(os.uname().machine) if os.uname().machine in MACHINES else {}

    def test_refused(self, probing: Bench) -> None:
        """Every refused call is EPERM, for root."""
        names = [name for name in REFUSED if name in self.numbers]
        answers = _asked(probing, *(f"{self.numbers[name]},-1,-1,-1" for name in names))
        assert {name for name, number in zip(names, answers, strict=True) if number != errno.EPERM} == set()

    def test_unknown(self, probing: Bench) -> None:
        """Numbers that do not exist yet, and clone3, are ENOSYS."""
        assert set(_asked(probing, "600", "999", "100000", str(self.numbers["clone3"]))) == {errno.ENOSYS}

    def test_sockets(self, probing: Bench) -> None:
        """Unix, IPv4, IPv6 and netlink sockets work; AF_ALG and AF_VSOCK are as if the kernel had them not."""
        number = self.numbers["socket"]
        assert set(_asked(probing, *(f"{number},{family},{kind}" for family, kind in ((1, 1), (2, 1), (16, 3))))) == {0}
        assert set(_asked(probing, f"{number},38,5", f"{number},40,1")) == {errno.EAFNOSUPPORT}

    def test_clone(self, probing: Bench) -> None:
        """A process in a new user namespace is EPERM."""
        assert _asked(probing, f"{self.numbers['clone']},{CLONE_NEWUSER | 17:#x}") == [errno.EPERM]

    def test_personality(self, probing: Bench) -> None:
        """The question for the personality is answered, switching randomisation off is EPERM."""
        number = self.numbers["personality"]
        assert _asked(probing, f"{number},0xffffffff", f"{number},0x40000") == [0, errno.EPERM]

    def test_allowed(self, probing: Bench) -> None:
        """Young calls that are allowed reach the kernel: it complains of the arguments, not of the call."""
        names = ("openat2", "statx", "close_range", "faccessat2", "memfd_create", "landlock_create_ruleset", "rseq")
        answers = _asked(probing, *(f"{self.numbers[name]},-1,-1,-1,-1" for name in names))
        assert not {errno.EPERM, errno.ENOSYS} & set(answers)

    def test_compatibility_calls(self, probing: Bench) -> None:
        """On amd64, i386 calls (getpid, socketcall) of 64-bit programs go by i386's lists, x32 calls are ENOSYS."""
        if os.uname().machine != "x86_64":
            pytest.skip("amd64 only")
        assert _asked(probing, "int80", "20", "102") == [0, errno.ENOSYS]
        assert _asked(probing, str(0x40000000 | 39)) == [errno.ENOSYS]

    def test_insecure(self, probing: Bench) -> None:
        """An insecure step may make any call."""
        assert _asked(probing, f"{self.numbers['unshare']},{CLONE_NEWNET:#x}", security=Security.INSECURE) == [0]


def test_probe_is_beside() -> None:
    """The probe's source is where the tests look for it."""
    assert Path(__file__).with_name("probe.c").exists()

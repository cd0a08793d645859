"""The system call filter of a step: the lists of `seccomp_calls` compiled to BPF. Pure; `syscalls` installs it.

The program first looks at the architecture of the call, then searches the number in a tree of ranges with one answer
each. Two other ways into the kernel exist on amd64: the calls of i386 (`int 0x80`, 32-bit programs) have a tree of
their own, by the same lists and those of `seccomp_i386`; x32 calls (bit 30 of the number) answer ENOSYS, as do all
calls of 32-bit arm on arm64.
Sources: seccomp(2), Documentation/userspace-api/seccomp_filter.rst, linux/filter.h, linux/audit.h.
"""

from __future__ import annotations

import errno
import functools
import struct
from collections.abc import Callable, Sequence

from builder.declare import dataclass
from builder.kernel.constants import SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO
from builder.kernel.seccomp_calls import ALLOWED, CLONE_NEW_ANY, NESTED, PERSONALITIES, REFUSED, REFUSED_FAMILIES
from builder.kernel.seccomp_i386 import I386_ALLOWED, I386_NESTED, I386_REFUSED, i386_numbers
from builder.kernel.seccomp_numbers import numbers_of

Program = tuple[bytes, ...]
"""Instructions, each a struct sock_filter of 8 bytes. Every program ends in a return on all its paths."""

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # AUDIT_ARCH_* of linux/audit.h
_I386 = 0x40000003  # AUDIT_ARCH_I386
_X32_BIT = 0x40000000

# linux/filter.h: class, size and mode; jump, condition and operand
_LOAD_WORD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP = 0x05  # BPF_JMP | BPF_JA
_JUMP_IF_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JUMP_IF_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_JUMP_IF_BITS = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K
_LONGEST_BRANCH = 255  # jt and jf of a conditional jump are bytes

# struct seccomp_data: where the number, the architecture and the low half of the first argument are (little endian)
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16

_pack = struct.Struct("<HBBI").pack


def _statement(code: int, k: int) -> bytes:
    return _pack(code, 0, 0, k)


def _answer(error: int) -> Program:
    return (_statement(_RETURN, SECCOMP_RET_ERRNO | error),)


ALLOW: Program = (_statement(_RETURN, SECCOMP_RET_ALLOW),)
REFUSE: Program = _answer(errno.EPERM)
UNKNOWN: Program = _answer(errno.ENOSYS)


def branch(code: int, k: int, if_true: Program, if_false: Program) -> Program:
    """A conditional jump to one of two programs; where its byte does not reach, an unconditional one helps."""
    if len(if_true) <= _LONGEST_BRANCH:
        return (_pack(code, 0, len(if_true), k), *if_true, *if_false)
    return (_pack(code, 0, 1, k), _statement(_JUMP, 1), _statement(_JUMP, len(if_true)), *if_true, *if_false)


def _first_argument(program: Program) -> Program:
    return (_statement(_LOAD_WORD, _FIRST_ARGUMENT_AT), *program)


def _one_of(values: Sequence[int], if_so: Program, if_not: Program) -> Program:
    program = if_not
    for value in reversed(values):
        program = branch(_JUMP_IF_EQUAL, value, if_so, program)
    return program


def _clone() -> Program:
    return _first_argument(branch(_JUMP_IF_BITS, CLONE_NEW_ANY, REFUSE, ALLOW))


def _socket() -> Program:
    return _first_argument(_one_of(REFUSED_FAMILIES, _answer(errno.EAFNOSUPPORT), ALLOW))


def _personality() -> Program:
    return _first_argument(_one_of(PERSONALITIES, ALLOW, REFUSE))


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers from `first` up to the next range have this answer."""

    first: int
    program: Program


def answers(numbers: dict[str, int]) -> dict[int, Program]:
    """What each call of a table answers. Only i386's table has the names that are in i386's lists."""
    special = {"clone": _clone(), "socket": _socket(), "personality": _personality()}
    found = {numbers[name]: ALLOW for name in (*ALLOWED, *I386_ALLOWED) if name in numbers}
    found |= {numbers[name]: REFUSE for name in (*REFUSED, *I386_REFUSED) if name in numbers}
    return found | {numbers[name]: program for name, program in special.items()}


def nested_answers(numbers: dict[str, int]) -> dict[int, Program]:
    """The same for a step that may make sandboxes of its own."""
    opened = {numbers[name]: ALLOW for name in (*NESTED, *I386_NESTED, "clone") if name in numbers}
    return answers(numbers) | opened


def ranges(found: dict[int, Program]) -> tuple[Range, ...]:
    """The answers as ranges in ascending order that cover all numbers from 0; what is not listed is unknown."""
    made = [Range(0, found.get(0, UNKNOWN))]
    for number in sorted(found.keys() | {number + 1 for number in found}):
        program = found.get(number, UNKNOWN)
        if program != made[-1].program:
            made.append(Range(number, program))
    return tuple(made)


def search(parts: Sequence[Range]) -> Program:
    """A binary search for the range that holds the number in the accumulator."""
    if len(parts) == 1:
        return parts[0].program
    middle = len(parts) // 2
    return branch(_JUMP_IF_AT_LEAST, parts[middle].first, search(parts[middle:]), search(parts[:middle]))


def _calls(found: dict[int, Program]) -> Program:
    """From the number of a call to its answer."""
    return (_statement(_LOAD_WORD, _NUMBER_AT), *search(ranges(found)))


@functools.cache
def step_filter(machine: str) -> bytes:
    """The filter for steps on a machine, by its name in uname(2). Raises KeyError for a machine that we do not know."""
    return _filter(machine, answers)


@functools.cache
def nested_filter(machine: str) -> bytes:
    """The filter for steps with --security=nested."""
    return _filter(machine, nested_answers)


def _filter(machine: str, answered: Callable[[dict[str, int]], dict[int, Program]]) -> bytes:
    calls, others = _calls(answered(numbers_of(machine))), UNKNOWN
    if machine == "x86_64":
        calls = (calls[0], *branch(_JUMP_IF_AT_LEAST, _X32_BIT, UNKNOWN, calls[1:]))
        others = branch(_JUMP_IF_EQUAL, _I386, _calls(answered(i386_numbers())), UNKNOWN)
    checked = branch(_JUMP_IF_EQUAL, _ARCHITECTURES[machine], calls, others)
    return b"".join((_statement(_LOAD_WORD, _ARCHITECTURE_AT), *checked))

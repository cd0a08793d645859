"""The lists of calls: no call in two of them, and all of them known."""

from __future__ import annotations

from builder.kernel.seccomp_calls import ALLOWED, REFUSED
from builder.kernel.seccomp_numbers import numbers_of


def test_no_call_twice() -> None:
    """A call has one answer."""
    names = (*ALLOWED, *REFUSED, "clone", "clone3", "socket", "personality")
    assert len(names) == len(set(names))


def test_every_call_is_known() -> None:
    """A name that no machine knows would be a slip of the pen."""
    known = {*numbers_of("x86_64"), *numbers_of("aarch64")}
    assert {*ALLOWED, *REFUSED} - known == set()


def test_dangerous_calls_are_not_allowed() -> None:
    """What leads out of a sandbox, and what attacks like to begin with, is refused."""
    ways_out = {"mount", "umount2", "unshare", "setns", "pivot_root", "open_by_handle_at"}
    beginnings = {"keyctl", "bpf", "io_uring_setup", "userfaultfd", "perf_event_open"}
    assert ways_out | beginnings <= set(REFUSED)

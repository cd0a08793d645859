"""A belt: every worker sees all blocks in order, and what fails in one is told to whoever fills."""

from __future__ import annotations

import threading

import pytest

from builder.tree.belt import BLOCKS, Belt

SIZE = 8


def _filled(belt: Belt, number: int) -> None:
    block = belt.free()
    block[:] = b"%08d" % number
    belt.put(block)


def test_each_worker_sees_all_in_order() -> None:
    """However many blocks there are, each worker gets all of them, in order and unchanged."""
    one: list[bytes] = []
    other: list[bytes] = []
    belt = Belt((lambda block: one.append(bytes(block)), lambda block: other.append(bytes(block))), SIZE)
    for number in range(10 * BLOCKS):
        _filled(belt, number)
    belt.close()
    assert one == other == [b"%08d" % number for number in range(10 * BLOCKS)]


def test_a_block_may_be_short() -> None:
    """Only the filled front of a block is worked on."""
    seen: list[bytes] = []
    belt = Belt((lambda block: seen.append(bytes(block)),), SIZE)
    block = belt.free()
    block[:3] = b"abc"
    belt.put(block[:3])
    belt.close()
    assert seen == [b"abc"]


def test_a_failure_reaches_whoever_fills() -> None:
    """What a worker raises is raised again, and the worker sees no more blocks."""
    seen: list[bytes] = []

    def work(block: memoryview) -> None:
        seen.append(bytes(block))
        raise ValueError("bad block")

    belt = Belt((work,), SIZE)
    with pytest.raises(ValueError, match="bad block"):
        for number in range(10 * BLOCKS):
            _filled(belt, number)
    belt.abandon()
    assert len(seen) == 1


def test_a_failure_at_the_last_block() -> None:
    """A failure that nobody has seen yet is told at the end, and the threads are gone."""
    before = threading.active_count()

    def work(block: memoryview) -> None:  # noqa: ARG001
        raise ValueError("bad block")

    belt = Belt((work,), SIZE)
    _filled(belt, 0)
    with pytest.raises(ValueError, match="bad block"):
        belt.close()
    assert threading.active_count() == before

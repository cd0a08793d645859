"""Turns: one at a time at one thing, all at once at different ones."""

from __future__ import annotations

import threading

import pytest

from builder.stages.turns import Turns


def test_alone_with_a_thing() -> None:
    """Two threads are never at the same thing at the same time, and the later one knows that it is."""
    turns, inside, waited = Turns(), threading.Lock(), list[bool]()
    both = threading.Barrier(2)

    def take() -> None:
        both.wait()
        with turns.turn("x") as was_taken:
            assert inside.acquire(blocking=False)
            waited.append(was_taken)
            if not was_taken:
                first.set()
                second.wait(5)
            inside.release()

    first, second = threading.Event(), threading.Event()
    threads = [threading.Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert first.wait(5)
    second.set()
    for thread in threads:
        thread.join()
    assert waited[0] is False and len(waited) == 2


def test_other_things_do_not_wait() -> None:
    """Turns at different things have nothing to do with each other."""
    turns = Turns()
    with turns.turn("x") as one, turns.turn("y") as other:
        assert (one, other) == (False, False)


def test_an_error_ends_the_turn() -> None:
    """Whoever fails lets the next one in."""
    turns = Turns()
    with pytest.raises(ValueError, match="mine"), turns.turn("x"):
        raise ValueError("mine")
    with turns.turn("x") as was_there:
        assert was_there


def test_who_comes_later_knows_it() -> None:
    """A turn that is over counts as much as one that had to be waited for."""
    turns = Turns()
    with turns.turn("x"):
        pass
    with turns.turn("x") as was_there:
        assert was_there

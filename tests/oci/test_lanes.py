"""Several transfers at the same time."""

from __future__ import annotations

import threading
import time

import pytest

from builder.errors import ImageError
from builder.oci.lanes import MOST_LANES, Busy, Check, carry_all, lanes


def _until(condition: threading.Event) -> None:
    assert condition.wait(5), "what must happen did not"


def test_results_have_the_order_of_the_items() -> None:
    """Whichever is first at its end."""

    def carry(number: int, _: Check) -> int:
        time.sleep(0.01 * (9 - number))
        return number * 2

    assert carry_all(range(10), carry) == tuple(range(0, 20, 2))


def test_nothing_to_carry_starts_nothing() -> None:
    """Without items there is no thread."""
    before = threading.active_count()
    assert carry_all([], lambda _, __: threading.active_count()) == ()
    assert threading.active_count() == before


def test_so_many_at_a_time_and_no_more() -> None:
    """All lanes are used, and there are never more."""
    now, most = 0, 0
    guard = threading.Lock()
    together = threading.Barrier(MOST_LANES)

    def carry(_: int, __: Check) -> None:
        nonlocal now, most
        with guard:
            now += 1
            most = max(most, now)
        together.wait(5)
        with guard:
            now -= 1

    carry_all(range(2 * MOST_LANES), carry)
    assert most == MOST_LANES


def test_the_first_error_is_raised_and_stops_the_others() -> None:
    """What others say because they were stopped is not heard, and what was waiting is not begun."""
    begun: list[int] = []
    stopped = threading.Event()
    second = threading.Event()

    def carry(number: int, check: Check) -> None:
        begun.append(number)
        if number == 0:
            _until(second)
            raise ImageError("the first")
        second.set()
        try:
            while True:
                check()
                time.sleep(0.01)
        finally:
            stopped.set()

    with pytest.raises(ImageError, match="the first"):
        carry_all(range(5), carry, 2)
    assert stopped.is_set()
    assert begun == [0, 1] or begun == [1, 0]


def test_what_is_ready_can_be_used_while_the_rest_comes() -> None:
    """The block gets an item as soon as it is there."""
    go = threading.Event()

    def carry(number: int, _: Check) -> int:
        if number:
            _until(go)
        return number

    with lanes(range(2), carry) as result:
        assert result(0) == 0
        go.set()
        assert result(1) == 1


def test_who_stops_waits_for_nobody() -> None:
    """An interruption is passed on at once, though a lane waits for a server that says nothing."""
    release = threading.Event()

    def carry(_: int, __: Check) -> None:
        _until(release)

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt), lanes([1], carry):
        raise KeyboardInterrupt
    assert time.monotonic() - begun < 1
    release.set()


def test_a_busy_server_gets_fewer_requests() -> None:
    """A lane that is told to wait leaves its item to the others; all arrive in the end."""
    guard = threading.Lock()
    now = 0

    def carry(number: int, _: Check) -> int:
        nonlocal now
        with guard:
            now += 1
            crowded = now > 1
        try:
            time.sleep(0.02)
            if crowded:
                raise Busy("too many requests (429)")
            return number
        finally:
            with guard:
                now -= 1

    assert carry_all(range(6), carry) == tuple(range(6))


def test_the_first_lane_is_not_alone() -> None:
    """One that is told to wait before the others have begun knows that they will."""
    for _ in range(50):
        told = threading.Event()

        def carry(number: int, _: Check, told: threading.Event = told) -> int:
            if number == 0 and not told.is_set():
                told.set()
                raise Busy("too many requests (429)")
            return number

        assert carry_all(range(2), carry) == (0, 1)


def test_a_server_that_is_busy_for_one_alone_is_an_error() -> None:
    """Where even one request at a time is too many the error is told."""

    def carry(_: int, __: Check) -> None:
        raise Busy("too many requests (429)")

    with pytest.raises(ImageError, match="429"):
        carry_all(range(3), carry)

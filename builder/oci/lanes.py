"""Several transfers at the same time: items go through a few lanes, the first error stops them all.

Lanes are daemon threads, because one that waits for a silent server cannot be interrupted: who is asked to stop leaves
it behind, and it does nothing more than find out. What is carried calls `check` now and then, which ends it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

from builder.errors import ImageError

MOST_LANES = 4
"""As BuildKit has it for each registry; more brings little, and registries begin to answer 429."""

_ERROR_GRACE_S = 2.0  # so long lanes may take to notice an error, before they are left behind
_STOP_GRACE_S = 0.2  # … and that somebody asked us to stop

T = TypeVar("T")
R = TypeVar("R")

Check = Callable[[], None]
"""Raises `Halted` when what is being carried is no longer wanted."""

Carry = Callable[[T, Check], R]
"""Carries one item, calling the check now and then."""


class Halted(Exception):
    """Another lane has failed, or nobody waits any more. Never leaves `lanes`."""


class Busy(ImageError):
    """A server wants fewer requests for now (429): the same may work when less is asked at a time."""


def go_on() -> None:
    """A check for who carries something alone: it never halts."""


@contextmanager
def lanes(items: Sequence[T], carry: Carry[T, R], most: int = MOST_LANES) -> Iterator[Callable[[int], R]]:
    """Begin to carry all items, in their order, at most `most` at a time.

    Inside the block the given function waits for the item of a number and gives what became of it; it raises the first
    error of any lane as soon as it is known. A lane whose item ends as Busy puts it back and closes, as long as there
    are others; only for one alone it is an error. At the end of the block lanes that still carry are halted.
    """
    work = _Work(items, carry)
    work.open_lanes(min(most, len(items)))
    try:
        yield work.result
    except Exception:
        work.halt(_ERROR_GRACE_S)
        raise
    except BaseException:
        work.halt(_STOP_GRACE_S)
        raise
    else:
        work.halt(_ERROR_GRACE_S)


def carry_all(items: Sequence[T], carry: Carry[T, R], most: int = MOST_LANES) -> tuple[R, ...]:
    """Carry all items and give what became of them, in their order. Raises the first error of any lane."""
    with lanes(items, carry, most) as result:
        return tuple(result(number) for number in range(len(items)))


class _Work(Generic[T, R]):
    """What is left to carry, what has arrived, and what went wrong first."""

    def __init__(self, items: Sequence[T], carry: Carry[T, R]) -> None:
        self._left = deque(enumerate(items))
        self._carry = carry
        self._results: dict[int, R] = {}
        self._error: BaseException | None = None
        self._halted = False
        self._open = 0
        self._changed = threading.Condition()

    def open_lanes(self, count: int) -> None:
        self._open = count  # before any starts: one that asks whether it is alone must know of the others
        for _ in range(count):
            threading.Thread(target=self._lane, name="lane", daemon=True).start()

    def result(self, number: int) -> R:
        with self._changed:
            while number not in self._results:
                if self._error is not None:
                    raise self._error
                self._changed.wait()
            return self._results[number]

    def halt(self, grace_s: float) -> None:
        """Let no lane go on, and wait a moment for them."""
        until = time.monotonic() + grace_s
        with self._changed:
            self._halted = True
            while self._open and (left_s := until - time.monotonic()) > 0:
                self._changed.wait(left_s)

    def check(self) -> None:
        if self._halted or self._error is not None:
            raise Halted

    def _lane(self) -> None:
        try:
            while (job := self._next()) is not None:
                alone = self._open == 1
                try:
                    self._arrive(job[0], self._carry(job[1], self.check))
                except Busy:
                    if alone:
                        raise
                    if self._put_back(job):
                        return
        except BaseException as error:  # whatever it is, it is raised where somebody waits for the item
            self._fail(error)

    def _next(self) -> tuple[int, T] | None:
        """The next item; where there is none the lane is closed."""
        with self._changed:
            self.check()
            if self._left:
                return self._left.popleft()
            self._close()
            return None

    def _arrive(self, number: int, what: R) -> None:
        with self._changed:
            self._results[number] = what
            self._changed.notify_all()

    def _put_back(self, job: tuple[int, T]) -> bool:
        """Put an item back and close the lane, if there is another one; whether it is closed."""
        with self._changed:
            self._left.appendleft(job)
            others = self._open > 1
            if others:
                self._close()
            return others

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            if self._error is None and not isinstance(error, Halted):
                self._error = error
            self._close()

    def _close(self) -> None:
        # Together with what decided it: a lane that put its item back must be able to count on the others.
        self._open -= 1
        self._changed.notify_all()

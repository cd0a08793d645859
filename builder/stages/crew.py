"""A crew: threads that carry several tasks on, piece by piece, each task as soon as those that it waits for are over.

What a task is, the crew does not know: only what a piece of it waits for next, and how it goes on from there. Threads
come as there is work for them, never more than are allowed. The first error is what the whole ends with.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Generic, TypeVar

from builder.errors import MachineError

S = TypeVar("S")

Needs = Callable[[S], Collection[int] | None]
"""The numbers of the tasks that have to be over before this one goes on; None where it is over itself."""

Advance = Callable[[int, S], S]
"""Carry a task on (its number and how far it is): how far it is then. What it has come to when it is over is seen by
all others before any of them goes on because of it."""


class Crew(Generic[S]):
    """Carries tasks on until all are over. `tasks` are in the order in which they are taken when not all can be."""

    def __init__(self, tasks: Mapping[int, S], needs: Needs[S], advance: Advance[S], most: int) -> None:
        self._tasks = dict(tasks)
        self._needs = needs
        self._advance = advance
        self._most = most
        self._over = {number for number, task in tasks.items() if needs(task) is None}
        self._left = [number for number in tasks if number not in self._over]
        self._taken: set[int] = set()
        self._threads = 0
        self._error: BaseException | None = None
        self._is_dismissed = False
        self._changed = threading.Condition()

    def run(self) -> dict[int, S]:
        """Carry all tasks to their ends. Raises the first error of any, as soon as it is known; `dismiss` then.

        MachineError where not even one thread can be had.
        """
        with self._changed:
            self._hire()
            while self._left and self._error is None:
                if not self._taken:
                    raise ValueError(f"tasks that wait for each other: {self._left}")
                self._changed.wait()
            if self._error is not None:
                raise self._error
            return self._tasks

    def dismiss(self, grace_s: float) -> None:
        """Let nothing go on, and wait a moment for what is under way. Who does not end in time is left behind."""
        until = time.monotonic() + grace_s
        with self._changed:
            self._is_dismissed = True
            while self._taken and (left_s := until - time.monotonic()) > 0:
                self._changed.wait(left_s)

    def _hire(self) -> None:
        """Let what can go on do so, as far as threads are allowed."""
        while self._threads < self._most and (number := self._ready()) is not None:
            self._taken.add(number)
            self._threads += 1
            try:
                threading.Thread(target=self._work, args=(number,), name="target", daemon=True).start()
            except RuntimeError as error:  # the machine gives no more of them: fewer do it, too, if there are any
                self._taken.discard(number)
                self._threads -= 1
                if not self._threads:
                    raise MachineError("no thread can be started", hint="see `ulimit -u`") from error
                return

    def _ready(self) -> int | None:
        """The first task that can go on and that nobody has taken."""
        if self._is_dismissed or self._error is not None:
            return None
        for number in self._left:
            if number not in self._taken and self._may_go_on(number):
                return number
        return None

    def _may_go_on(self, number: int) -> bool:
        needed = self._needs(self._tasks[number])
        return needed is not None and all(one in self._over for one in needed)

    def _work(self, number: int) -> None:
        """The life of a thread: a task as far as it goes, then the next one that can go on."""
        at: int | None = number
        while at is not None:
            try:
                task = self._advance(at, self._tasks[at])
            except BaseException as error:  # whatever it is, it is raised where somebody waits for the whole
                self._fail(at, error)
                return
            at = self._next(at, task)

    def _next(self, number: int, task: S) -> int | None:
        with self._changed:
            self._tasks[number] = task
            if self._needs(task) is None:
                self._over.add(number)
                self._left.remove(number)
            elif not self._is_dismissed and self._error is None and self._may_go_on(number):
                return number
            self._taken.discard(number)
            following = self._ready()
            if following is not None:
                self._taken.add(following)
                self._hire()
            else:
                self._threads -= 1
            self._changed.notify_all()
            return following

    def _fail(self, number: int, error: BaseException) -> None:
        with self._changed:
            self._taken.discard(number)
            self._threads -= 1
            if self._error is None and not self._is_dismissed:
                self._error = error
            self._changed.notify_all()

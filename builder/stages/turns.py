"""Turns: targets that are built at the same time and want the same thing made have it made once."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager


class Turns:
    """Who takes a turn at a thing is alone with it; others who want the same one wait."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[Hashable, threading.Lock] = {}

    @contextmanager
    def turn(self, thing: Hashable) -> Iterator[bool]:
        """Be alone with `thing`. Gives whether somebody else had a turn before, who may have made it.

        Not to be nested for the same thing.
        """
        with self._guard:
            was_there = thing in self._locks
            lock = self._locks.setdefault(thing, threading.Lock())
        with lock:
            yield was_there

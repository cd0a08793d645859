"""A belt: blocks of memory that are filled by one thread and worked on by others, each of which sees all in order.

Hashing and compressing run outside the interpreter's lock, so they run at the same time, and beside whoever fills. What
is done with a block is not known here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Final

BLOCKS: Final = 4
"""How many blocks there are; a thread may fall behind the filling by so many."""

Work = Callable[[memoryview], object]
"""What is done with a block, before it is filled again."""


class _Worker:
    """One thread and what it has to do."""

    def __init__(self, work: Work) -> None:
        self.failure: BaseException | None = None
        self.done: SimpleQueue[None] = SimpleQueue()  # one for each block that may be filled again
        self._waiting: SimpleQueue[memoryview | None] = SimpleQueue()
        self._work = work
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def put(self, block: memoryview | None) -> None:
        """Have a block worked on; None ends the thread."""
        self._waiting.put(block)

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        while (block := self._waiting.get()) is not None:
            if self.failure is None:
                try:
                    self._work(block)
                except BaseException as error:  # raised again in the thread that fills
                    self.failure = error
            self.done.put(None)


class Belt:
    """Blocks of `size_bytes`, and a thread for each piece of `works`. It must be closed or abandoned."""

    def __init__(self, works: Sequence[Work], size_bytes: int) -> None:
        self._blocks = [memoryview(bytearray(size_bytes)) for _ in range(BLOCKS)]
        self._workers = [_Worker(work) for work in works]
        self._given = 0

    def free(self) -> memoryview:
        """A block to fill, as soon as there is one. Raises what a piece of work has raised."""
        if self._given >= BLOCKS:
            for worker in self._workers:
                worker.done.get()
        self._raise()
        return self._blocks[self._given % BLOCKS]

    def put(self, filled: memoryview) -> None:
        """Hand on the front of the block that `free` gave last."""
        self._given += 1
        for worker in self._workers:
            worker.put(filled)

    def close(self) -> None:
        """Wait until all is done, and end the threads. Raises what the work has raised."""
        self._end()
        self._raise()

    def abandon(self) -> None:
        """End the threads after the blocks that they hold; whatever the work raises is not wanted any more."""
        self._end()

    def _end(self) -> None:
        for worker in self._workers:
            worker.put(None)
        for worker in self._workers:
            worker.join()

    def _raise(self) -> None:
        for worker in self._workers:
            if worker.failure is not None:
                raise worker.failure

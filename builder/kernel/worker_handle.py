"""The conductor's side of door 1: passes jobs to a running worker and ends it.

How it is started is in spawn.py and handshake.py; what happens inside is worker.py's affair.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from types import TracebackType

from builder.errors import Interrupted
from builder.kernel.channel import ChannelClosed
from builder.kernel.handshake import end_of, error_of, on_best_rung, shake_hands
from builder.kernel.namespace import Choice, Facts
from builder.kernel.spawn import Started, spawn
from builder.values.crossing import (
    FIRST,
    Done,
    Fault,
    Hello,
    Job,
    NetworkJob,
    Request,
    Rest,
    Result,
    RootKind,
    Rung,
    Serve,
)

_END_S = 10.0


class Worker:
    """A running worker. `call` may be used by several threads at once; at its end everything that it started ends."""

    def __init__(self, started: Started, hello: Hello, choice: Choice, has_begun: bool = False) -> None:
        self.rung: Rung = hello.rung
        self.root_kind: RootKind = hello.root_kind
        self.ids: str = choice.ids
        """Names the ids that are mapped inside: files made under other ids have other owners on the disk."""
        self.rung_note: str = choice.note
        """Why the rung is not a better one, and the command that changes it, on one line; "" on the best."""
        self._started = started
        self._waiting: dict[int, SimpleQueue[Done | Exception]] = {}
        self._count = FIRST
        self._first: SimpleQueue[Done | Exception] | None = SimpleQueue() if has_begun else None
        if self._first is not None:
            self._waiting[FIRST] = self._first
        self._sending = threading.Lock()
        self._end: Exception | None = None
        self._stopped = False
        self._over = threading.Event()

    def call(self, job: Job, fds: Sequence[int] = ()) -> Result:
        """Have a job done and wait for its result. Copies of `fds` go with it; they stay the caller's to close.

        Raises the PybuildError that the job ended with; MachineError when the worker is gone, Interrupted when it was
        stopped by us, WorkerBug for what nobody foresaw.
        """
        answer: SimpleQueue[Done | Exception] = SimpleQueue()
        with self._sending:
            if self._end is not None:
                raise self._end
            self._count += 1
            self._waiting[self._count] = answer
            try:
                self._started.channel.send(Request(self._count, job), fds)
            except ChannelClosed:
                pass  # the listening thread has noticed too, and answers with how it ended
            except BaseException:
                del self._waiting[self._count]  # nothing was sent: a bad descriptor, a job too long
                raise
        return _result_of(answer)

    @property
    def has_begun(self) -> bool:
        """Whether it was started with a first job, whose result has not been asked for."""
        return self._first is not None

    def first(self) -> Result:
        """Wait for the result of the job that the worker began with; once. Raises as `call`."""
        answer, self._first = self._first, None
        if answer is None:
            raise ValueError("the worker began with no job, or its result was given")
        return _result_of(answer)

    def rest(self) -> None:
        """Say that no step follows, so that what is kept for steps ends already."""
        with self._sending, suppress(ChannelClosed):
            if self._end is None:
                self._started.channel.send(Rest())

    def close(self) -> None:
        """End the worker. What is still under way ends with it."""
        self._stop(lambda: None)

    def kill(self) -> None:
        """End the worker and every process of every step, at once; when this returns they are gone."""
        self._stop(self._started.process.terminate)  # the porter answers by killing pid 1

    def _stop(self, act: Callable[[], None]) -> None:
        if self._over.is_set():
            return
        self._stopped = True
        act()
        self._started.channel.shut()
        if not self._over.wait(_END_S):
            self._started.process.kill()
            self._over.wait(_END_S)

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.kill()

    def listen(self) -> None:
        """Hand answers to those who wait, until the worker ends. The thread that started the worker does this."""
        try:
            while True:
                message, _ = self._started.channel.receive()
                match message:
                    case Done(number=number):
                        self._waiting.pop(number).put(message)
                    case Fault(number=number):
                        self._waiting.pop(number).put(error_of(message))
                    case _:
                        raise ValueError(f"a worker does not say {type(message).__name__}")
        except (ChannelClosed, OSError, ValueError, KeyError):
            pass
        self._finish()

    def _finish(self) -> None:
        self._started.channel.shut()
        try:
            self._started.process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._started.process.kill()
            self._started.process.wait()
        with self._sending:
            self._end = Interrupted("the build was stopped") if self._stopped else end_of(self._started)
            for answer in self._waiting.values():
                answer.put(self._end)
            self._waiting.clear()
            self._started.close()
        self._over.set()


def _result_of(answer: SimpleQueue[Done | Exception]) -> Result:
    result = answer.get()
    if isinstance(result, Exception):
        raise result
    return result.result


def received(started: Started, directory: str, rung: Rung | None, first: NetworkJob | None) -> Worker:
    """The worker that a process has become which was just started; another one's, where it takes a lower rung.

    Raises MachineError; then nothing of it is left.
    """
    processes = [started]

    def start(facts: Facts, choice: Choice) -> Worker:
        process = processes.pop() if processes else spawn()
        try:
            hello = shake_hands(process, Serve(choice.rung, directory, first), facts, choice)
            if hello is None:
                raise end_of(process)
        except BaseException:
            process.discard()
            raise
        return Worker(process, hello, choice, first is not None)

    try:
        return on_best_rung(rung, start)
    finally:
        for unused in processes:
            unused.discard()

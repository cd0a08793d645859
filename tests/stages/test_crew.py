"""A crew: every task goes on as soon as it may and never before, by few threads, and the first error ends it all."""

from __future__ import annotations

import threading
from collections.abc import Collection

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.errors import MachineError
from builder.stages.crew import Crew

Task = tuple[tuple[int, ...], ...]
"""The pieces of a task that are left, each as the numbers of the tasks that it waits for."""


def _needs(task: Task) -> Collection[int] | None:
    return task[0] if task else None


def _tasks_of(*tasks: Task) -> dict[int, Task]:
    return dict(enumerate(tasks))


@st.composite
def _tasks(draw: st.DrawFn) -> dict[int, Task]:
    """Tasks of a few pieces, each of which takes from some of the tasks before it."""
    count = draw(st.integers(0, 9))
    return {
        number: tuple(
            tuple(draw(st.sets(st.integers(0, number - 1), max_size=2))) if number else ()
            for _ in range(draw(st.integers(0, 4)))
        )
        for number in range(count)
    }


class _Watch:
    """Carries tasks on and notes what is under way, what is over, and what was broken of the rules."""

    def __init__(self, tasks: dict[int, Task]) -> None:
        self.over = {number for number, task in tasks.items() if not task}
        self.busy: set[int] = set()
        self.most = 0
        self.pieces: list[int] = []
        self.broken: list[str] = []
        self._lock = threading.Lock()

    def advance(self, number: int, task: Task) -> Task:
        with self._lock:
            if number in self.busy:
                self.broken.append(f"{number} is carried twice at once")
            self.broken += [f"{number} went on before {one}" for one in task[0] if one not in self.over]
            self.busy.add(number)
            self.most = max(self.most, len(self.busy))
            self.pieces.append(number)
        with self._lock:
            self.busy.discard(number)
            if not task[1:]:
                self.over.add(number)
        return task[1:]


@given(_tasks(), st.integers(1, 5))
@settings(max_examples=150, deadline=None)
def test_every_order_respects_the_edges(tasks: dict[int, Task], most: int) -> None:
    """All pieces of all tasks are done once, none before what it waits for, and never more at a time than allowed."""
    watch = _Watch(tasks)
    ends = Crew(tasks, _needs, watch.advance, most).run()
    assert watch.broken == [] and watch.most <= most
    assert ends == dict.fromkeys(tasks, ())
    assert sorted(watch.pieces) == sorted(number for number, task in tasks.items() for _ in task)


def test_tasks_meet() -> None:
    """Tasks that do not wait for each other are under way at the same time: here each waits for all to be there."""
    meeting = threading.Barrier(4)

    def advance(_: int, task: Task) -> Task:
        meeting.wait(10)
        return task[1:]

    Crew(_tasks_of(*[((),)] * 4), _needs, advance, 4).run()


def test_a_later_piece_waits_alone() -> None:
    """Only the piece that takes from another task waits for it, not those before it."""
    begun = threading.Event()

    def advance(number: int, task: Task) -> Task:
        if number == 1:
            begun.set()
        else:
            assert begun.wait(10)  # the other one has begun, though its second piece needs us
        return task[1:]

    Crew(_tasks_of(((),), ((), (0,))), _needs, advance, 2).run()


def test_few_threads() -> None:
    """A hundred tasks have no more threads than are allowed, and a chain of tasks has one."""
    names: set[int] = set()

    def advance(_: int, task: Task) -> Task:
        names.add(threading.get_ident())
        assert sum(thread.name == "target" for thread in threading.enumerate()) <= 3
        return task[1:]

    Crew(_tasks_of(*[((), ())] * 100), _needs, advance, 3).run()
    names.clear()
    Crew(_tasks_of(((),), ((0,),), ((1,),)), _needs, advance, 3).run()
    assert len(names) == 1


def test_the_first_error_ends_it() -> None:
    """What one task raises is raised at once, while another is still under way; after that nothing goes on."""
    go_on, pieces = threading.Event(), list[int]()

    def advance(number: int, _: Task) -> Task:
        pieces.append(number)
        if number == 0:
            raise ValueError("first")
        assert go_on.wait(10)
        raise ValueError("later")

    crew = Crew(_tasks_of(((),), ((), ()), ((0,),), ((), ())), _needs, advance, 2)
    with pytest.raises(ValueError, match="first"):
        crew.run()
    go_on.set()
    crew.dismiss(10)
    assert sorted(pieces) == [0, 1]


def test_who_does_not_end_is_left_behind() -> None:
    """A thread that hangs holds nobody up for longer than it is given."""
    hanging = threading.Event()

    def advance(number: int, task: Task) -> Task:
        if number == 0:
            raise ValueError("mine")
        hanging.wait(20)
        return task[1:]

    crew = Crew(_tasks_of(((),), ((),)), _needs, advance, 2)
    with pytest.raises(ValueError, match="mine"):
        crew.run()
    crew.dismiss(0.01)
    assert not hanging.is_set()
    hanging.set()


def test_a_circle_is_a_bug() -> None:
    """Tasks that wait for each other are told, not waited for."""
    with pytest.raises(ValueError, match="wait for each other"):
        Crew(_tasks_of(((1,),), ((0,),)), _needs, lambda _, task: task[1:], 2).run()


@pytest.mark.parametrize("most", [1, 2])
def test_fewer_threads_than_allowed(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Where the machine gives no more threads, those that are there do it all."""
    start, left = threading.Thread.start, [None] * most

    def scarce(thread: threading.Thread) -> None:
        if not left:
            raise RuntimeError("can't start new thread")
        left.pop()
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", scarce)
    tasks = _tasks_of(((), ()), ((), ()), ((0,), ()), ((0,), (1,)))
    assert Crew(tasks, _needs, _Watch(tasks).advance, 4).run() == dict.fromkeys(range(4), ())


def test_no_thread_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any thread the error says what the machine lacks."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(MachineError, match="no thread can be started"):
        Crew(_tasks_of(((),)), _needs, _Watch(_tasks_of(((),))).advance, 4).run()

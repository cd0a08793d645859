"""Performing: one target, step by step, each step from the cache where its key is known.

Here a step's outcome is only found or asked for; the work itself is in `run`, `copy` and `workdir`, and which target
goes on when is decided in `targets`.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import assert_never

from builder.declare import dataclass, replace
from builder.errors import Interrupted, PybuildError, StoreError
from builder.stages.copy_sources import Gathered, gather, key_of_copy
from builder.stages.hands import Hands
from builder.stages.keys import run_key, workdir_key
from builder.stages.mount_keys import describe
from builder.stages.origins import tree_at
from builder.store.files import store_error
from builder.values.event import StepCached, StepFinished, StepId, StepStarted, StepStopped
from builder.values.image import History, Layer
from builder.values.key import CacheKey
from builder.values.record import StepRecord
from builder.values.stack import Stack
from builder.values.step import CopyStep, Planned, RunStep, Step, TargetPlan, WorkdirStep


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a target has come to: its layers, and for each action when it was done and whether it made a layer."""

    stack: Stack
    done: tuple[Done, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """One action of a target; `created_s` is 0 for what only changed the config."""

    created_by: str
    created_s: int
    made_layer: bool


@dataclass(frozen=True, slots=True)
class Underway:
    """A target before one of its steps: the file system that the step finds, and what was done so far."""

    target: TargetPlan
    stack: Stack
    done: tuple[Done, ...]
    step_id: StepId

    @property
    def step(self) -> Step:
        """The step that is next."""
        return self._action.step

    @property
    def _action(self) -> Planned:
        action = self.target.actions[len(self.done)]
        assert isinstance(action, Planned)
        return action

    def after(self, record: StepRecord, hands: Hands) -> Underway | Outcome:
        """The target behind this step. Raises StoreError."""
        stack = self.stack
        if record.diff_id is not None:
            layer = hands.layers.known(record.diff_id)
            if layer is None:
                raise StoreError(f"the layer {record.diff_id} went away from the store", hint="build again")
            stack = stack.pushed(layer)
        done = Done(self._action.created_by, record.created_s, record.diff_id is not None)
        return _before_next(self.target, stack, (*self.done, done), replace(self.step_id, index=self.step_id.index + 1))


@dataclass(frozen=True, slots=True)
class Work:
    """How a step is known and how it is done.

    `name` is what two targets have in common that want the same thing made. `key` is what its outcome is kept under; of
    a COPY that `is_new` it is only asked for when the layer is made, and then nothing has to be read for it.
    """

    name: CacheKey
    key: Callable[[], CacheKey]
    make: Callable[[], Layer | None]
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class Pending:
    """A step whose outcome nobody knows yet, and how it is done."""

    at: Underway
    work: Work
    begun_s: float  # of time.monotonic


def begin(target: TargetPlan, start: Stack) -> Underway | Outcome:
    """A target before its first step, over what it starts from."""
    return _before_next(target, start, (), StepId(target.name, 1, len(target.steps)))


def _before_next(target: TargetPlan, stack: Stack, done: tuple[Done, ...], step_id: StepId) -> Underway | Outcome:
    """The target before its next step, with all done that only changes the config."""
    for action in target.actions[len(done) :]:
        if isinstance(action, Planned):
            return Underway(target, stack, done, step_id)
        done = (*done, Done(action.created_by, 0, False))
    return Outcome(stack, done)


def look(at: Underway, built: Mapping[int, Stack], hands: Hands) -> Underway | Pending | Outcome:
    """Look the next step up: the target behind it where it is known, else the step as it waits to be done.

    `built` has the file systems of the targets that are over. Raises what finding its sources raises.
    """
    begun_s = time.monotonic()
    with _placed(at.step):
        work = _work(at, built, hands)
        after = None if work.is_new else _known(at, work, hands)
        return Pending(at, work, begun_s) if after is None else after


def do(pending: Pending, hands: Hands) -> Underway | Outcome:
    """Do a step; the target behind it. Raises what the step raises.

    Where another target of this build does the same, or has done it since, what comes of that is waited for and taken.
    """
    from builder.stages.commit import remember  # with all that packs: a cached build does without

    at, work = pending.at, pending.work
    with _placed(at.step), hands.turns.turn(work.name) as was_there:
        after = _known(at, work, hands) if was_there else None
        if after is not None:
            return after
        hands.emit(StepStarted(at.step_id, at.step.title, at.step.span))
        try:
            layer = work.make()
            record = remember(work.key(), layer, hands)
        except Interrupted:
            hands.emit(StepStopped(at.step_id, time.monotonic() - pending.begun_s))
            raise
        hands.emit(StepFinished(at.step_id, time.monotonic() - pending.begun_s))
        return at.after(record, hands)


def _known(at: Underway, work: Work, hands: Hands) -> Underway | Outcome | None:
    """The target behind a step that an earlier build has done, if its outcome may be taken."""
    if hands.request.no_cache:
        return None
    key = work.key()
    record = _found(key, hands)
    if record is None:
        return None
    if hands.request.secrets:
        from builder.stages.leaks import look_through

        record = look_through(key, record, hands)
    hands.emit(StepCached(at.step_id, at.step.title))
    return at.after(record, hands)


@contextmanager
def _placed(step: Step) -> Iterator[None]:
    """Whatever goes wrong inside is shown at the step's instruction."""
    try:
        yield
    except Interrupted:
        raise
    except PybuildError as error:
        error.at(step.span)
        raise
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise store_error("cannot keep what the step made", error).at(step.span) from error


def _found(key: CacheKey, hands: Hands) -> StepRecord | None:
    """A record is only good while its layer can be had."""
    record = hands.store.records.find(key)
    if record is None or (record.diff_id is not None and hands.layers.known(record.diff_id) is None):
        return None
    return record


def _work(at: Underway, built: Mapping[int, Stack], hands: Hands) -> Work:
    """How a step is known, and how to do it when nobody knows it."""
    step, stack = at.step, at.stack
    match step:
        case RunStep():
            key = run_key(step, stack.chain, describe(step, built, hands), hands.request)
            return Work(key, lambda: key, lambda: _run(step, at.step_id, stack, built, hands))
        case CopyStep():
            found = gather(step, tree_at(step.origin, built, hands, step.span), stack, hands)
            return _copying(step, found, stack, hands)
        case WorkdirStep():
            key = workdir_key(step, stack.chain, hands.request)
            return Work(key, lambda: key, lambda: _make_workdir(step, stack, hands))
        case _:
            assert_never(step)


def _copying(step: CopyStep, found: Gathered, stack: Stack, hands: Hands) -> Work:
    def make() -> Layer | None:
        return _copy(step, found, stack, hands)

    if found.sketch is not None and found.is_new:
        return Work(found.sketch, lambda: key_of_copy(step, found, stack, hands), make, is_new=True)
    key = key_of_copy(step, found, stack, hands)
    # Whoever had the sketch for new may be doing it still: the turn is the same one.
    return Work(found.sketch or key, lambda: key, make)


def _run(step: RunStep, step_id: StepId, stack: Stack, built: Mapping[int, Stack], hands: Hands) -> Layer | None:
    from builder.stages.run import run_step  # with all that crosses the door

    return run_step(step, step_id, stack, built, hands)


def _copy(step: CopyStep, found: Gathered, stack: Stack, hands: Hands) -> Layer | None:
    from builder.stages.copy import make_layer

    return make_layer(step, found, stack, hands)


def _make_workdir(step: WorkdirStep, stack: Stack, hands: Hands) -> Layer | None:
    from builder.stages.workdir import make_workdir

    return make_workdir(step, stack, hands)


def history_of(outcome: Outcome, created_s: int, timestamp: Callable[[int], str]) -> tuple[History, ...]:
    """The history lines of a target; what has no time of its own takes `created_s`."""
    return tuple(
        History(done.created_by, timestamp(done.created_s or created_s), not done.made_layer, "pybuild")
        for done in outcome.done
    )


def newest(outcome: Outcome, hands: Hands) -> int:
    """When the newest step of a target was done; now for one without steps."""
    times = [done.created_s for done in outcome.done if done.created_s]
    return max(times, default=0) or hands.now_s()

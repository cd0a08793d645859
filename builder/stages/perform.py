"""Performing: the steps of one target, one after the other, each from the cache where its key is known.

Here a step's outcome is only found or asked for; the work itself is in `run`, `copy` and `workdir`.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import assert_never

from builder.errors import Interrupted, PybuildError, StoreError
from builder.stages.commit import now_s, remember
from builder.stages.copy import gather, make_layer
from builder.stages.hands import Hands
from builder.stages.keys import run_key, workdir_key
from builder.stages.mount_keys import describe
from builder.stages.origins import tree_at
from builder.stages.workdir import make_workdir
from builder.store.files import store_error
from builder.values.event import StepCached, StepFinished, StepId, StepStarted
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
class _Work:
    """A step's key and how to do it when nobody knows the key."""

    key: CacheKey
    do: Callable[[], Layer | None]


def perform(target: TargetPlan, start: Stack, built: Mapping[int, Stack], hands: Hands) -> Outcome:
    """Do all that a target says. Raises what its steps raise."""
    stack = start
    done: list[Done] = []
    count = len(target.steps)
    number = 0
    for action in target.actions:
        if not isinstance(action, Planned):
            done.append(Done(action.created_by, 0, False))
            continue
        number += 1
        step_id = StepId(target.name, number, count)
        try:
            record = _step(action.step, step_id, stack, built, hands)
        except Interrupted:
            raise
        except PybuildError as error:
            error.at(action.step.span)
            raise
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise store_error("cannot keep what the step made", error).at(action.step.span) from error
        if record.diff_id is not None:
            layer = hands.layers.known(record.diff_id)
            if layer is None:
                raise StoreError(f"the layer {record.diff_id} went away from the store", hint="build again")
            stack = stack.pushed(layer)
        done.append(Done(action.created_by, record.created_s, record.diff_id is not None))
    return Outcome(stack, tuple(done))


def _step(step: Step, step_id: StepId, stack: Stack, built: Mapping[int, Stack], hands: Hands) -> StepRecord:
    begun = time.monotonic()
    work = _work(step, step_id, stack, built, hands)
    record = None if hands.request.no_cache else _found(work.key, hands)
    if record is not None:
        if hands.request.secrets:
            from builder.stages.leaks import look_through

            record = look_through(work.key, record, hands)
        hands.emit(StepCached(step_id, step.title))
        return record
    hands.emit(StepStarted(step_id, step.title, step.span))
    record = remember(work.key, work.do(), hands)
    hands.emit(StepFinished(step_id, time.monotonic() - begun))
    return record


def _found(key: CacheKey, hands: Hands) -> StepRecord | None:
    """A record is only good while its layer can be had."""
    record = hands.store.records.find(key)
    if record is None or (record.diff_id is not None and hands.layers.known(record.diff_id) is None):
        return None
    return record


def _work(step: Step, step_id: StepId, stack: Stack, built: Mapping[int, Stack], hands: Hands) -> _Work:
    match step:
        case RunStep():
            key = run_key(step, stack.chain, describe(step, built, hands), hands.request)
            return _Work(key, lambda: _run(step, step_id, stack, built, hands))
        case CopyStep():
            found = gather(step, tree_at(step.origin, built, hands, step.span), stack, hands)
            return _Work(found.key, lambda: make_layer(step, found, stack, hands))
        case WorkdirStep():
            key = workdir_key(step, stack.chain, hands.request)
            return _Work(key, lambda: make_workdir(step, stack, hands))
        case _:
            assert_never(step)


def _run(step: RunStep, step_id: StepId, stack: Stack, built: Mapping[int, Stack], hands: Hands) -> Layer | None:
    from builder.stages.run import run_step  # with all that crosses the door: a cached build does without

    return run_step(step, step_id, stack, built, hands)


def history_of(outcome: Outcome, created_s: int, timestamp: Callable[[int], str]) -> tuple[History, ...]:
    """The history lines of a target; what has no time of its own takes `created_s`."""
    return tuple(
        History(done.created_by, timestamp(done.created_s or created_s), not done.made_layer, "pybuild")
        for done in outcome.done
    )


def newest(outcome: Outcome, hands: Hands) -> int:
    """When the newest step of a target was done; now for one without steps."""
    times = [done.created_s for done in outcome.done if done.created_s]
    return max(times, default=0) or now_s(hands)

"""Targets: all that a plan says is done, as many targets at a time as may be.

As long as steps are known from before, one target comes after the other and no thread is started. From the first step
on that has to be done, every target goes on as soon as what its next step takes from is built: a target that only at
its end copies from another one is not kept waiting at its beginning.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping
from typing import assert_never

from builder.declare import dataclass, field
from builder.stages.hands import Hands
from builder.stages.perform import Outcome, Pending, Underway, begin, do, look
from builder.values.request import BuildRequest
from builder.values.stack import Stack
from builder.values.step import Base, ImageBase, Plan, TargetBase, TargetPlan, targets_used

State = TargetPlan | Underway | Pending | Outcome
"""How far a target is: not begun, before a step, at a step that has to be done, over."""

_FEWEST_JOBS = 4
_ERROR_GRACE_S = 2.0  # so long other targets may take to notice an error, before they are left behind
_STOP_GRACE_S = 0.2  # … and that somebody asked us to stop


@dataclass(frozen=True, slots=True)
class _Results:
    """What the targets that are over have come to, and their file systems, by the number of the target."""

    outcomes: dict[int, Outcome] = field(default_factory=dict)
    stacks: dict[int, Stack] = field(default_factory=dict)

    def add(self, number: int, outcome: Outcome) -> None:
        self.stacks[number] = outcome.stack
        self.outcomes[number] = outcome


def perform_all(plan: Plan, hands: Hands) -> dict[int, Outcome]:
    """Do all that the plan says. Raises the first error of any step; then nothing of the others is under way."""
    states: dict[int, State] = {target.index: target for target in plan.targets}
    results = _Results()
    most = jobs(hands.request)
    for number in states:
        state = states[number]
        while not isinstance(state, Outcome):
            state = states[number] = _advanced(state, results, hands)
            if isinstance(state, Pending) and most > 1 and len(states) - len(results.outcomes) > 1:
                _together(states, results, most, hands)
                return results.outcomes
        results.add(number, state)
    return results.outcomes


def jobs(request: BuildRequest) -> int:
    """How many targets may be under way at a time: what was asked for, else what suits this machine.

    Steps wait as often as they compute, for servers and disks, so there are more of them than CPUs.
    """
    if request.jobs is not None:
        return request.jobs or sys.maxsize
    return max(_FEWEST_JOBS, 2 * len(os.sched_getaffinity(0)))


def needs(state: State) -> Collection[int] | None:
    """The targets that have to be built before this one can go on; None where it is over."""
    match state:
        case TargetPlan(base=TargetBase(index)):
            return (index,)
        case Underway():
            return targets_used(state.step)
        case Outcome():
            return None
        case _:
            return ()


def _together(states: dict[int, State], results: _Results, most: int, hands: Hands) -> None:
    """Bring all targets to their ends on several threads."""
    from builder.stages.crew import Crew  # a cached build does without

    def advance(number: int, state: State) -> State:
        after = _advanced(state, results, hands)
        if isinstance(after, Outcome):
            results.add(number, after)
        return after

    crew = Crew(states, needs, advance, most)
    try:
        crew.run()
    except BaseException as error:
        hands.door.clear()
        crew.dismiss(_ERROR_GRACE_S if isinstance(error, Exception) else _STOP_GRACE_S)
        raise


def _advanced(state: State, results: _Results, hands: Hands) -> State:
    match state:
        case TargetPlan():
            return begin(state, _start(state.base, results.stacks, hands))
        case Underway():
            return look(state, results.stacks, hands)
        case Pending():
            return do(state, hands)
        case Outcome():
            return state
        case _:
            assert_never(state)


def _start(base: Base, stacks: Mapping[int, Stack], hands: Hands) -> Stack:
    if isinstance(base, TargetBase):
        return stacks[base.index]
    if isinstance(base, ImageBase):
        return Stack.of(hands.images.known(base.name, base.platform).image.layers)
    return Stack()

"""Tests of the messages that cross the doors, as far as the values themselves go; the channel has its own tests."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import get_args

import pytest

from builder.values.crossing import (
    CacheMount,
    FileMount,
    Job,
    Message,
    Result,
    StepMount,
    StepSpec,
    Tree,
    TreeMount,
)
from builder.values.security import Security

SPEC = StepSpec(("true",), (), "/", 0, 0, (), Tree(()), "/u", "/w")


def test_every_message_is_a_frozen_value() -> None:
    """What crosses cannot change on the way: all messages, jobs, results and mounts are frozen and comparable."""
    for kind in (*get_args(Message), *get_args(Job), *get_args(Result), *get_args(StepMount), StepSpec, Tree):
        with pytest.raises(FrozenInstanceError):
            object.__new__(kind).any = 1
        assert kind.__eq__ is not object.__eq__


def test_names_of_messages_are_unique() -> None:
    """A message is tagged with its class's name, so no two may share one."""
    kinds = (*get_args(Message), *get_args(Job), *get_args(Result), *get_args(StepMount))
    names = [kind.__name__ for kind in kinds]
    assert len(set(names)) == len(names)


def test_a_step_is_shut_in_unless_it_is_said() -> None:
    """Left alone, a step has no extra rights, no limits and no mounts, and its host name tells nothing."""
    assert SPEC.security is Security.SANDBOX
    assert not SPEC.no_new_privileges
    assert (SPEC.mounts, SPEC.rlimits, SPEC.memory_bytes) == ((), (), 0)
    assert SPEC.hostname == "buildkitsandbox"


def test_mounts_are_safe_by_default() -> None:
    """A tree is read-only, a secret file is its owner's alone, a cache starts empty."""
    assert not TreeMount(Tree(()), "/", "/m").writable
    assert FileMount(1, "/run/secrets/x").mode == 0o400
    assert CacheMount("/c", "/m").seed is None


def test_no_field_is_a_path_object() -> None:
    """Fields are what JSON can say: text, numbers, truth, and tuples or messages of these."""
    for kind in (*get_args(Job), *get_args(Result), *get_args(StepMount)):
        for field in fields(kind):
            assert "Path" not in str(field.type), f"{kind.__name__}.{field.name}"

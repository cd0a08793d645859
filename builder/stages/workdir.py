"""Workdir: the directory that a WORKDIR names is made where the image lacks it, owned by the USER in force."""

from __future__ import annotations

import os

from builder.errors import BuildfileError
from builder.stages.commit import commit_items
from builder.stages.hands import Hands
from builder.stages.place import FIXED_MTIME_NS, Attributes, Placement
from builder.stages.users import account_of
from builder.values.image import Layer
from builder.values.stack import Stack
from builder.values.step import WorkdirStep


def make_workdir(step: WorkdirStep, stack: Stack, hands: Hands) -> Layer | None:
    """Make the directory and those above it that are missing. None where all are there. Raises BuildfileError."""
    account = account_of(step.user, stack, hands.layers, step.span)
    epoch = hands.source_date_epoch
    made_mtime_ns = FIXED_MTIME_NS if epoch is None else epoch * 1_000_000_000
    attributes = Attributes((account.uid, account.gid), None, made_mtime_ns)
    placement = Placement(hands.layers.view(stack), attributes, step.span)
    try:
        path = placement.resolve(os.fsencode(step.path))
        placement.make_parents(path)
        placement.make_directory(path)
    except BuildfileError as error:
        raise error.at(step.span) from None
    return commit_items(placement.items_with_parents(), hands) if placement.items else None

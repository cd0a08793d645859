"""Origins: the tree behind a --from, be it the context, a target built before, an image or a named directory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from builder.source import Span
from builder.stages.hands import Hands
from builder.stages.images import build_platform
from builder.stages.source_tree import HostTree, SourceTree, StackTree
from builder.values.stack import Stack
from builder.values.step import ContextOrigin, ImageOrigin, Origin, TargetOrigin


def tree_at(origin: Origin, built: Mapping[int, Stack], hands: Hands, span: Span) -> SourceTree:
    """The tree to copy from. Raises ContextError, ImageError at `span`."""
    match origin:
        case ContextOrigin():
            return hands.contexts.main()
        case ImageOrigin(name):
            directory = hands.contexts.named(name)
            if directory is not None:
                return directory
            return StackTree(hands.layers, stack_at(origin, built, hands, span), f"the image {name}")
        case TargetOrigin(index):
            return StackTree(hands.layers, built[index], f"stage {index}")
        case _:
            assert_never(origin)


def stack_at(origin: ImageOrigin | TargetOrigin, built: Mapping[int, Stack], hands: Hands, span: Span) -> Stack:
    """The layers of an image or of a target built before."""
    if isinstance(origin, TargetOrigin):
        return built[origin.index]
    if origin.name == "scratch":
        return Stack()  # a name that no registry is asked for
    platform = hands.request.platform or build_platform()
    found = hands.images.find(origin.name, platform, span)
    return Stack.of(found.image.layers)


def is_directory(origin: Origin, hands: Hands) -> HostTree | None:
    """The directory of the host that an origin is, or None where it is layers."""
    match origin:
        case ContextOrigin():
            return hands.contexts.main()
        case ImageOrigin(name):
            return hands.contexts.named(name)
        case _:
            return None

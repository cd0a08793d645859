"""Tests of origins: which tree stands behind a --from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from builder.errors import ContextError, ImageError
from builder.stages.door import Door
from builder.stages.hands import Hands
from builder.stages.origins import is_directory, stack_at, tree_at
from builder.stages.source_tree import HostTree, StackTree
from builder.store import Store
from builder.values.stack import Stack
from builder.values.step import ContextOrigin, ImageOrigin, TargetOrigin
from tests.stages.builds import Bench, base, row
from tests.stages.plans import SPAN
from tests.stages.test_hands import hands_of


@pytest.fixture
def hands(bench: Bench) -> Iterator[Hands]:
    """Hands with a context, a directory and an image as named contexts."""
    bench.file("f", "context")
    (bench.room / "other").mkdir()
    (bench.room / "other" / "f").write_text("other")
    layout = base(bench.room / "layout", [[row("f", "image")]])
    contexts = (("other", str(bench.room / "other")), ("picture", layout), ("gone", str(bench.room / "gone")))
    with Store.open(bench.root) as store, Door(store.root, bench.events.append) as door:
        yield hands_of(bench, store, door, build_contexts=contexts)


def size(hands: Hands, origin: ContextOrigin | ImageOrigin | TargetOrigin, built: dict[int, Stack]) -> int:
    """The size of the file `f` of the tree behind an origin."""
    entry = tree_at(origin, built, hands, SPAN).look(b"f")
    return -1 if entry is None else entry.size


def test_each_kind_of_origin(hands: Hands) -> None:
    """The context, a named directory, a named image and a target that was built."""
    image = stack_at(ImageOrigin("picture"), {}, hands, SPAN)
    assert size(hands, ContextOrigin(), {}) == len("context")
    assert size(hands, ImageOrigin("other"), {}) == len("other")
    assert size(hands, ImageOrigin("picture"), {}) == len("image")
    assert size(hands, TargetOrigin(3), {3: image}) == len("image")


def test_trees_know_what_people_call_them(hands: Hands) -> None:
    """The words of "not found in …"."""
    titles = [
        tree_at(origin, {0: Stack()}, hands, SPAN).title
        for origin in (ContextOrigin(), ImageOrigin("other"), ImageOrigin("picture"), TargetOrigin(0))
    ]
    assert titles == ["the build context", "the context other", "the image picture", "stage 0"]


def test_scratch_is_nothing(hands: Hands) -> None:
    """--from=scratch is an empty tree; no registry is asked for an image of that name."""
    assert stack_at(ImageOrigin("scratch"), {}, hands, SPAN) == Stack()
    assert tree_at(ImageOrigin("scratch"), {}, hands, SPAN).names(b"") == []


def test_directories_of_the_host_are_told_from_layers(hands: Hands) -> None:
    """Bind mounts copy the one and mount the other."""
    assert isinstance(is_directory(ContextOrigin(), hands), HostTree)
    assert isinstance(is_directory(ImageOrigin("other"), hands), HostTree)
    assert is_directory(ImageOrigin("picture"), hands) is None
    assert is_directory(TargetOrigin(0), hands) is None
    assert isinstance(tree_at(ImageOrigin("picture"), {}, hands, SPAN), StackTree)


def test_what_is_not_there(hands: Hands) -> None:
    """A named directory that is gone, an image that nobody has: errors, and not an empty tree."""
    with pytest.raises(ContextError, match="gone"):
        tree_at(ImageOrigin("gone"), {}, hands, SPAN)
    with pytest.raises(ImageError) as caught:
        tree_at(ImageOrigin("127.0.0.1:9/no/such"), {}, hands, SPAN)
    assert caught.value.span == SPAN

"""Parts of the context that are copied for mounts."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from builder.stages.gather import Contexts
from builder.stages.images import Images
from builder.store import Store
from builder.values.request import BuildRequest
from tests.stages.builds import Bench


@pytest.fixture
def contexts(bench: Bench) -> Iterator[Contexts]:
    """Those of a build whose ignore file hides something."""
    (bench.context / "src").mkdir()
    (bench.context / "src" / "one").write_text("1")
    (bench.context / "src" / "hidden").write_text("2")
    (bench.context / "other").write_text("3")
    os.mkfifo(bench.context / "src" / "pipe")
    (bench.context / ".dockerignore").write_text("src/hidden\n")
    request = BuildRequest(bench.context)
    with Store.open(bench.root) as store:
        made = Contexts(request, store, Images(store, request, bench.events.append))
        yield made
        made.close()


def test_a_part_is_where_it_was(contexts: Contexts) -> None:
    """Without its neighbours, what is ignored and what nobody should open."""
    made = contexts.mirrors.of(contexts.main(), b"src")
    assert [path.name for path in made.iterdir()] == ["src"]
    assert [path.name for path in (made / "src").iterdir()] == ["one"]
    assert (contexts.mirrors.of(contexts.main(), b"src/one") / "src" / "one").read_text() == "1"


def test_it_is_made_once(contexts: Contexts) -> None:
    """For all mounts of a build; another part is another mirror."""
    whole = contexts.mirrors.of(contexts.main(), b"")
    assert contexts.mirrors.of(contexts.main(), b"") == whole
    assert contexts.mirrors.of(contexts.main(), b"src") != whole


def test_it_goes_to_the_trash(contexts: Contexts) -> None:
    """When no step will need it any more."""
    made = contexts.mirrors.of(contexts.main(), b"")
    contexts.mirrors.discard()
    assert not made.exists()

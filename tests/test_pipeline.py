"""The corridor from a Buildfile to an image, end to end, without the command line around it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from builder.errors import BuildfileError, ContextError
from builder.pipeline import build, check
from builder.source import SourceText
from builder.store import Store
from builder.values.event import Event, ImageReady, Note, StepStarted, Warned
from builder.values.reference import Reference
from builder.values.request import BuildRequest
from tests.stages.builds import Bench, base, content, row


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """An empty context and no store yet."""
    made = Bench(tmp_path)
    made.file("f", "text")
    return made


def test_from_text_to_image(bench: Bench) -> None:
    """A Buildfile of several stages gives the last one's image, named and whole in the store."""
    layout = base(bench.room / "base", [[row("etc"), row("etc/base", "b")]])
    image = bench.build(f"FROM {layout} AS one\nCOPY f /one\nFROM scratch\nCOPY --from=one / /all/\n")
    assert (content(image, "/all/one"), content(image, "/all/etc/base")) == ("text", "b")
    assert bench.result is not None and bench.result.names == ("app:1",)
    assert str(bench.result.image.manifest.digest) == image.digest
    assert isinstance(bench.events[-1], ImageReady) and bench.problems() == []


def test_a_buildfile_in_the_context(bench: Bench) -> None:
    """Without a text or path it is found under its usual names."""
    bench.file("Dockerfile", "FROM scratch\nCOPY f /f\n")
    with Store.open(bench.root) as store:
        result = build(BuildRequest(bench.context), store, bench.events.append)
    assert result.names == () and len(result.image.layers) == 1


def test_only_what_is_needed_is_built(bench: Bench) -> None:
    """A stage that the target does not need is not looked at: its base may not even exist."""
    buildfile = "FROM oci:/no/such AS broken\nRUN no\nFROM scratch AS good\nCOPY f /f\nFROM broken\nCOPY f /f\n"
    bench.build(buildfile, target="good")
    assert bench.started == ["COPY f /f"]


def test_errors_come_before_any_work(bench: Bench) -> None:
    """A mistake in the text is told before the first step is done, also one in the last line."""
    error = bench.fails(BuildfileError, "FROM scratch\nCOPY f /f\nCOPPY f /g\n")
    assert error.span is not None and error.span.first == 3
    assert not any(isinstance(event, StepStarted) for event in bench.events)


def test_warnings_are_heard_first(bench: Bench) -> None:
    """Build checks are told before the steps, with their place."""
    bench.build("FROM scratch AS Upper\nCOPY f /f\nmaintainer x\n")
    kinds = [type(event) for event in bench.events]
    rules = [event.rule for event in bench.events if isinstance(event, Warned)]
    assert "StageNameCasing" in rules and kinds.index(Warned) < kinds.index(StepStarted)


def test_a_foreign_frontend_is_noted(bench: Bench) -> None:
    """A syntax line that names a frontend which is not docker's is read on, with a note."""
    bench.build("# syntax=example.com/other\nFROM scratch\nCOPY f /f\n")
    assert any("example.com/other" in event.text for event in bench.events if isinstance(event, Note))


def test_checks_alone_build_nothing(bench: Bench) -> None:
    """`check` gives the findings and makes no image."""
    request = BuildRequest(bench.context, SourceText("Buildfile", "FROM scratch AS Upper\nCOPY f /f\n"))
    with Store.open(bench.root) as store:
        found = check(request, store, bench.events.append)
    assert [finding.rule for finding in found] == ["StageNameCasing"]
    assert not any(isinstance(event, StepStarted | ImageReady) for event in bench.events)


def test_events_come_one_at_a_time(bench: Bench) -> None:
    """Who shows events need not know about threads."""
    inside = threading.Lock()

    def hear(event: Event) -> None:
        assert inside.acquire(blocking=False), event
        inside.release()

    bench.meanwhile = hear
    bench.build("FROM scratch\nCOPY f /f\n")


def test_a_named_context_must_be_there(bench: Bench) -> None:
    """A directory asked for with --build-context is refused when it is missing, used or not."""
    error = bench.fails(ContextError, "FROM scratch\nCOPY f /f\n", build_contexts=(("x", "/no/such/dir"),))
    assert "/no/such/dir" in error.message


def test_a_failed_build_names_nothing(bench: Bench) -> None:
    """What went well before is remembered; no name is set, and the store is sound."""
    name = Reference.parse("never:1")
    bench.fails(ContextError, "FROM scratch\nCOPY f /f\nCOPY nothing /g\n", tags=(name,))
    with Store.open(bench.root) as store:
        assert store.images.find(name) is None
    bench.build("FROM scratch\nCOPY f /f\n", tags=(name,))
    assert bench.cached == ["COPY f /f"] and bench.problems() == []

"""The records of the latest builds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.store import Store
from builder.store import builds as module
from builder.store.builds import _document, _record, is_build_id
from builder.store.check import check
from builder.store.files import RECORD_LIMIT_BYTES, encode
from builder.store.holdings import Kind
from builder.store.policy import Policy
from builder.store.prune import prune
from builder.store.usage import usage
from builder.values.build import BuildRecord, BuiltStep, Outcome
from builder.values.contact import Contact, Contacts
from builder.values.event import StepId

STEP = BuiltStep(StepId("a", 1, 2), "RUN x", Outcome.DONE, 1.5, Contacts((Contact("GET", "h", 80, "/p", "no"),), 3))
RECORD = BuildRecord("20260102-030405-abcdef", 1767323045.25, 2.5, ("app:1",), "sha256:" + "0" * 64, "proxy", (STEP,))


def numbered(number: int) -> BuildRecord:
    return replace(RECORD, id=f"20260102-030405-{number:06x}")


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    """What is kept comes back the same, the latest first."""
    with Store.open(tmp_path) as store:
        assert store.builds.ids() == [] and list(store.builds.all()) == []
        later = replace(RECORD, id="20270102-030405-abcdef", image="", steps=())
        for record in (RECORD, later):
            store.builds.put(record)
        assert list(store.builds.all()) == [later, RECORD]
        assert check(store) == []


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
numbers = st.integers(0, 1 << 40)
found = st.builds(Contact, texts, texts, numbers, texts, texts, texts, numbers, numbers, numbers)
talked = st.builds(Contacts, st.lists(found, max_size=4).map(tuple), numbers)
steps = st.builds(
    BuiltStep, st.builds(StepId, texts, numbers, numbers), texts, st.sampled_from(Outcome), st.just(0.5), talked
)


@given(st.lists(steps, max_size=4), st.lists(texts, max_size=3))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_record_survives(listed: list[BuiltStep], names: list[str]) -> None:
    """Whatever steps were called and talked to."""
    record = replace(RECORD, steps=tuple(listed), names=tuple(names))
    assert _record(record.id, json.loads(encode(_document(record)))) == record


def test_a_record_is_never_too_large_to_be_read() -> None:
    """Titles and contacts beyond measure are cut and counted."""
    many = tuple(Contact("GET", f"h{number}" + "é" * 200, 80, "/" + "x" * 9000) for number in range(1000))
    steps = tuple(replace(STEP, title="t" * 9000, contacts=Contacts(many, 1)) for _ in range(20))
    document = _document(replace(RECORD, steps=steps))
    assert len(encode(document)) < RECORD_LIMIT_BYTES
    read = _record(RECORD.id, json.loads(encode(document)))
    assert sum(len(step.contacts.kept) + step.contacts.more for step in read.steps) == 20 * 1001


def test_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than so many are kept."""
    monkeypatch.setattr(module, "MOST_BUILDS", 3)
    with Store.open(tmp_path) as store:
        for number in range(5):
            store.builds.put(numbered(number))
        assert [record.id[-1] for record in store.builds.all()] == ["4", "3", "2"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b'{"version":1}',
        b'{"version":2}',
        encode(_document(RECORD)).replace(b'"done"', b'"gone"'),
        encode(_document(RECORD)).replace(b"[1,2]", b"[1]"),
        encode(_document(RECORD)).replace(b'"GET",', b""),
        encode(_document(RECORD)).replace(b'["app:1"]', b'"app:1"'),
    ],
)
def test_damaged_records_are_not_there(tmp_path: Path, content: bytes) -> None:
    """What cannot be understood is left out, and harms nobody."""
    with Store.open(tmp_path) as store:
        store.builds.put(RECORD)
        (tmp_path / "pybuild" / "builds" / f"{RECORD.id}.json").write_bytes(content)
        assert list(store.builds.all()) == []


def test_ids() -> None:
    """Only our own names are builds."""
    assert is_build_id(RECORD.id)
    assert not any(map(is_build_id, ("", "x", "../20260102-030405-abcdef", RECORD.id + "\n", RECORD.id + "0")))


def test_they_are_pruned_as_a_kind_of_their_own(tmp_path: Path) -> None:
    """du counts them, and prune takes them when it is asked to."""
    with Store.open(tmp_path) as store:
        store.builds.put(RECORD)
    with Store.open(tmp_path) as store:
        assert {row.kind: row.count for row in usage(store).kinds}[Kind.BUILDS] == 1
        prune(store, Policy())
        assert store.builds.ids() == [RECORD.id]
        prune(store, Policy(everything=True, kinds=frozenset((Kind.BUILDS,))))
        assert store.builds.ids() == []

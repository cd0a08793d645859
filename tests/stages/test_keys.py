"""Tests of step keys: the golden file freezes them, and whatever decides a step's outcome changes its key.

A case of tests/golden/keys is a JSON file with a step, what is known beside it, and its key. When a key there has to
change, raise KEY_VERSION: a store must never give the layer of one step for another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.source import SourceText, Span
from builder.stages.keys import copy_key, digest_of_facts, run_key, sketch_key, workdir_key
from builder.values.digest import EMPTY_CHAIN, ChainId
from builder.values.key import CacheKey, Plain
from builder.values.mount import BindRequest
from builder.values.repository import Repository
from builder.values.request import BuildRequest, Secret, Ulimit
from builder.values.security import Privileges, Security
from builder.values.step import (
    ContextOrigin,
    CopyStep,
    ImageOrigin,
    Inline,
    MountPlan,
    RunStep,
    TargetOrigin,
    WorkdirStep,
)

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "keys"
SPAN = Span(SourceText("Buildfile", "RUN x"), 1, 1)
OTHER_SPAN = Span(SourceText("Elsewhere", "#\nRUN  x"), 2, 2)
REQUEST = BuildRequest(Path("/context"))
CHAIN = ChainId("1" * 64)
RUN = RunStep(
    span=SPAN,
    title="RUN x",
    argv=("/bin/sh", "-c", "x"),
    env=(("PATH", "/bin"),),
    hidden_env=(),
    cwd="/",
    user="",
    network="default",
    security=Security.SANDBOX,
    mounts=(),
)
COPY = CopyStep(
    span=SPAN,
    title="COPY a b",
    origin=ContextOrigin(),
    sources=("a",),
    inline=(),
    destination="/b",
    chown=None,
    chmod=None,
    link=False,
    parents=False,
    excludes=(),
)
WORKDIR = WorkdirStep(SPAN, "WORKDIR /a", "/a", "")


def run(step: RunStep = RUN, mounts: tuple[Plain, ...] = (), request: BuildRequest = REQUEST) -> CacheKey:
    return run_key(step, CHAIN, mounts, request)


def copy(step: CopyStep = COPY, facts: tuple[Plain, ...] = (), chain: ChainId = CHAIN) -> CacheKey:
    return copy_key(step, chain, facts, REQUEST)


def _fields(rows: Mapping[str, Any]) -> dict[str, Any]:
    """JSON's lists as the tuples of a step's fields."""

    def tuples(value: Any) -> Any:
        return tuple(tuples(item) for item in value) if isinstance(value, list) else value

    fields = {name: tuples(value) for name, value in rows.items()}
    if fields.pop("insecure", False):  # what the key says still, though a step has more kinds of sandbox by now
        fields["security"] = Security.INSECURE
    for name in ("scripts", "inline"):
        if name in fields:
            fields[name] = tuple(Inline(inline, content.encode()) for inline, content in fields[name])
    return fields


def golden_key(case: Mapping[str, Any]) -> CacheKey:
    """The key of a golden case."""
    chain, step = ChainId.parse(case["chain"]), _fields(case["step"])
    request = replace(REQUEST, add_hosts=tuple((host, address) for host, address in case.get("hosts", [])))
    if case["kind"] == "run":
        return run_key(replace(RUN, **step), chain, case["mounts"], request)
    if case["kind"] == "copy":
        return copy_key(replace(COPY, **step), chain, case["facts"], request)
    return workdir_key(replace(WORKDIR, **step), chain, request)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_keys_are_frozen(path: Path) -> None:
    """A step has the key that it had in every release of this KEY_VERSION."""
    case = json.loads(path.read_text())
    assert str(golden_key(case)) == case["key"]


def test_there_are_golden_cases_of_every_kind() -> None:
    """The folder is there and holds runs, copies and working directories."""
    kinds = {json.loads(path.read_text())["kind"] for path in GOLDEN.glob("*.json")}
    assert kinds == {"run", "copy", "workdir"}


OTHER_RUNS: dict[str, Any] = {
    "argv": ("/bin/sh", "-c", "y"),
    "env": (("PATH", "/bin"), ("A", "1")),
    "cwd": "/w",
    "user": "app",
    "network": "none",
    "security": Security.INSECURE,
    "scripts": (Inline("EOF", b"#!/bin/sh\n"),),
    "source_date_epoch": 0,
    "hostname": "other",
}
SAME_RUNS: dict[str, Any] = {
    "span": OTHER_SPAN,
    "title": "RUN  x # another way to write it",
    "hidden_env": (("http_proxy", "http://proxy"),),
    "mounts": (MountPlan(BindRequest("/m"), ContextOrigin()),),  # they are described beside the step
}
OTHER_COPIES: dict[str, Any] = {
    "inline": (Inline("f", b"text"),),
    "destination": "/b/",
    "chown": "1:1",
    "chmod": "644",
    "link": True,
    "parents": True,
    "unpack": True,
    "unpack_downloads": True,
    "source_date_epoch": 1,
}
SAME_COPIES: dict[str, Any] = {
    "span": OTHER_SPAN,
    "title": "COPY ./a b",
    # What these lead to is in the facts: a file's name and content, not how it was asked for.
    "origin": ImageOrigin("x"),
    "sources": ("./a",),
    "excludes": ("*.md",),
    "downloads": ("https://mirror/a",),
    "checksum": "sha256:" + "0" * 64,
    "repositories": (Repository("https://mirror/a.git"),),
}


def test_every_field_is_judged() -> None:
    """A field that is added to a step is decided about here: it changes the key, or it says why it does not."""
    assert set(RunStep.__dataclass_fields__) == {*OTHER_RUNS, *SAME_RUNS}
    assert set(CopyStep.__dataclass_fields__) == {*OTHER_COPIES, *SAME_COPIES}
    assert set(WorkdirStep.__dataclass_fields__) == {"span", "title", "path", "user", "source_date_epoch"}


@pytest.mark.parametrize("name", OTHER_RUNS)
def test_what_decides_a_run_changes_its_key(name: str) -> None:
    """Each field that the command or its surroundings can notice."""
    assert run(replace(RUN, **{name: OTHER_RUNS[name]})) != run()


@pytest.mark.parametrize("name", SAME_RUNS)
def test_what_does_not_decide_a_run_does_not(name: str) -> None:
    """Where it stands, how it is written, proxies."""
    assert run(replace(RUN, **{name: SAME_RUNS[name]})) == run()


@pytest.mark.parametrize(
    "privileges",
    [Privileges(capabilities=("CHOWN",)), Privileges(capabilities=()), Privileges(no_new_privileges=True)],
)
def test_privileges_change_a_key(privileges: Privileges) -> None:
    """Fewer capabilities, or none that an exec can gain, are noticed by commands."""
    assert run(request=replace(REQUEST, privileges=privileges)) != run()


def test_sandboxes_have_keys_of_their_own() -> None:
    """Each kind of sandbox gives another key; capabilities say nothing of an insecure step, which has all."""
    assert len({str(run(replace(RUN, security=kind))) for kind in Security}) == len(Security)
    insecure, fewer = replace(RUN, security=Security.INSECURE), replace(REQUEST, privileges=Privileges(capabilities=()))
    assert run(insecure, request=fewer) == run(insecure)


@pytest.mark.parametrize("name", OTHER_COPIES)
def test_what_decides_a_copy_changes_its_key(name: str) -> None:
    """Each field that says where and how the files are placed."""
    assert copy(replace(COPY, **{name: OTHER_COPIES[name]})) != copy()


@pytest.mark.parametrize("name", SAME_COPIES)
def test_what_does_not_decide_a_copy_does_not(name: str) -> None:
    """How the files were named and where they came from: what they are is in the facts."""
    assert copy(replace(COPY, **{name: SAME_COPIES[name]})) == copy()


def test_a_working_directory() -> None:
    """Its path, its owner and the latest time decide; its line does not."""
    key = workdir_key(WORKDIR, CHAIN, REQUEST)
    changes: list[dict[str, Any]] = [{"path": "/b"}, {"user": "app"}, {"source_date_epoch": 1}]
    for change in changes:
        assert workdir_key(replace(WORKDIR, **change), CHAIN, REQUEST) != key
    assert workdir_key(replace(WORKDIR, span=OTHER_SPAN, title="x"), CHAIN, REQUEST) == key
    assert workdir_key(WORKDIR, EMPTY_CHAIN, REQUEST) != key


def test_the_file_system_below_decides() -> None:
    """The same step over other layers is another step."""
    assert run_key(RUN, EMPTY_CHAIN, (), REQUEST) != run()
    assert copy(chain=EMPTY_CHAIN) != copy()


def test_a_linked_copy_does_not_depend_on_what_is_below() -> None:
    """--link places files on an empty ground: a new base does not run it again, unless names are looked up there."""
    linked = replace(COPY, link=True)
    assert copy(linked, chain=EMPTY_CHAIN) == copy(linked)
    for chown in ("1", "1:2", "1:"):
        assert copy(replace(linked, chown=chown), chain=EMPTY_CHAIN) == copy(replace(linked, chown=chown))
    for chown in ("app", "1:app", "app:1"):
        assert copy(replace(linked, chown=chown), chain=EMPTY_CHAIN) != copy(replace(linked, chown=chown))


def test_a_sketch_is_no_key() -> None:
    """What stands for a copy without its contents can never be taken for a record of one."""
    facts = ("facts",)
    assert sketch_key(COPY, CHAIN, facts) not in (copy_key(COPY, CHAIN, facts, REQUEST), sketch_key(COPY, CHAIN, ()))


def test_what_the_command_line_says() -> None:
    """Hosts and limits decide what a command sees; secrets, outputs, tags and labels do not."""
    others = [{"add_hosts": (("db", "10.0.0.1"),)}, {"ulimits": (Ulimit("nofile", 10, 10),)}]
    for other in others:
        assert run(request=replace(REQUEST, **other)) != run()  # type: ignore[arg-type]
    same = replace(
        REQUEST,
        secrets=(Secret("a", b"1"),),
        labels=(("l", "1"),),
        build_args=(("A", "1"),),
        proxies=(("http_proxy", "x"),),
        target="x",
        context=Path("/elsewhere"),
        no_cache=True,
    )
    assert run(request=same) == run()
    assert copy_key(COPY, CHAIN, (), same) == copy()


words = st.text(max_size=4)
texts = st.lists(words, min_size=1, max_size=4).map(tuple)
envs = st.lists(st.tuples(words, words), max_size=3).map(tuple)


@given(texts, texts, envs, envs)
def test_words_are_not_run_together(
    argv: tuple[str, ...], other_argv: tuple[str, ...], env: tuple[Any, ...], other_env: tuple[Any, ...]
) -> None:
    """`a b` as one word is not `a` and `b`; a value is not a name: keys are equal only for equal steps."""
    one = replace(RUN, argv=argv, env=env)
    other = replace(RUN, argv=other_argv, env=other_env)
    assert (run(one) == run(other)) == ((argv, env) == (other_argv, other_env))


facts = st.lists(st.lists(words | st.integers(), max_size=3), max_size=4)


@given(facts, facts)
def test_facts_are_not_run_together(one: list[list[Plain]], other: list[list[Plain]]) -> None:
    """Files are told apart by where one ends and the next begins, and their order counts."""
    assert (digest_of_facts(one) == digest_of_facts(other)) == (one == other)
    assert (copy(facts=tuple(one)) == copy(facts=tuple(other))) == (one == other)


@given(facts, facts)
def test_mounts_are_not_run_together(one: list[list[Plain]], other: list[list[Plain]]) -> None:
    """What each mount shows is in the key, in order."""
    assert (run(mounts=tuple(one)) == run(mounts=tuple(other))) == (one == other)


def test_facts_may_stream() -> None:
    """Facts are taken one by one: however many files there are, they are never all in memory."""
    assert digest_of_facts(iter([["a", 1], ["b", 2]])) == digest_of_facts([["a", 1], ["b", 2]])


def test_a_stage_s_number_is_no_fact() -> None:
    """Stages may be put in another order: what is copied from one is what counts."""
    assert copy(replace(COPY, origin=TargetOrigin(1))) == copy(replace(COPY, origin=TargetOrigin(2)))

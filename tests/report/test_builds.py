"""The latest builds as text and JSON."""

from __future__ import annotations

import json
from dataclasses import replace

from builder.report.builds import build_json, build_text, builds_json, builds_table
from builder.values.build import BuildRecord, BuiltStep, Outcome
from builder.values.contact import Contact, Contacts
from builder.values.event import StepId

CONTACTS = Contacts(
    (
        Contact("CONNECT", "deb.test", 443, sent_bytes=100, received_bytes=2000, count=3),
        Contact("GET", "evil.test", 80, "/\x1b[31m", "it is not among the hosts of --allow-host"),
        Contact("GET", "slow.test", 80, "/x", failure="it took too long"),
    ),
    7,
)
STEPS = (
    BuiltStep(StepId("a", 1, 2), "RUN one", Outcome.CACHED),
    BuiltStep(StepId("a", 2, 2), "RUN  two", Outcome.DONE, 1.25, CONTACTS),
)
BUILD = BuildRecord("20260102-030405-abcdef", 1767323045.0, 2.5, ("app:1",), "sha256:" + "0" * 64, "proxy", STEPS)


def test_the_list() -> None:
    """A line for each: how many steps were done, how many hosts they talked to."""
    failed = replace(BUILD, image="", network="default", names=())
    head, one, two = builds_table([BUILD, failed], BUILD.started_s + 60).splitlines()
    assert head.split() == ["ID", "AGE", "TIME", "STEPS", "CONTACTS", "NAMES"]
    assert one.split() == [BUILD.id, "1", "minute", "ago", "2.5s", "1/2", "3", "app:1"]
    assert two.split() == [BUILD.id, "1", "minute", "ago", "2.5s", "failed", "-"]


def test_one_build() -> None:
    """Its steps, and below each whom it talked to; nothing that a terminal would obey."""
    text = build_text(BUILD, BUILD.started_s)
    assert "[a 1/2] RUN one  cached\n[a 2/2] RUN two  done in 1.2s\n" in text or "done in 1.3s" in text
    assert "    CONNECT  3x  up 100 B  down 2.0 kB  deb.test:443" in text
    assert "refused: it is not among the hosts" in text and "failed: it took too long" in text
    assert "\x1b" not in text and text.endswith("    and 7 more")


def test_one_that_failed() -> None:
    """It has no image, and says so; `default` is shown as auto."""
    text = build_text(replace(BUILD, image="", network="default", names=()), BUILD.started_s)
    assert "image:    none: it failed" in text and "names:    none" in text and "network:  auto" in text


def test_for_programs() -> None:
    """The same as JSON, with what is empty as null."""
    document = json.loads(build_json(BUILD))
    assert json.loads(builds_json([BUILD])) == [document]
    assert document["started"] == "2026-01-02T03:04:05Z" and document["steps"][0]["contacts"] == []
    contact = document["steps"][1]["contacts"][1]
    assert contact["allowed"] is False and contact["failure"] is None and contact["host"] == "evil.test"
    assert document["steps"][1]["moreContacts"] == 7

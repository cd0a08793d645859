"""The latest builds, and one of them with what its steps talked to, as text or JSON. Pure."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from builder.report.phrases import headline
from builder.report.tables import columns
from builder.report.text import human_age, human_seconds, human_size, printable
from builder.values.build import BuildRecord, BuiltStep, Outcome
from builder.values.contact import Contact


def builds_table(builds: Sequence[BuildRecord], now_s: float) -> str:
    """A line for each build."""
    rows = [("ID", "AGE", "TIME", "STEPS", "CONTACTS", "NAMES")]
    for build in builds:
        done = sum(step.outcome is not Outcome.CACHED for step in build.steps)
        rows.append(
            (
                build.id,
                human_age(now_s - build.started_s),
                human_seconds(build.seconds),
                f"{done}/{len(build.steps)}" if build.image else "failed",
                str(sum(_count(step) for step in build.steps)) if build.network == "proxy" else "-",
                printable(", ".join(build.names)) or build.image[7:19],
            )
        )
    return columns(rows, right=frozenset((2, 3, 4)))


def _count(step: BuiltStep) -> int:
    return len({(contact.host, contact.port) for contact in step.contacts.kept})


def build_text(build: BuildRecord, now_s: float) -> str:
    """A build with its steps, and below each what it talked to."""
    facts = [
        ("build:", build.id),
        ("names:", printable(", ".join(build.names)) or "none"),
        ("image:", build.image or "none: it failed"),
        ("started:", f"{_moment(build)} ({human_age(now_s - build.started_s)}), took {human_seconds(build.seconds)}"),
        ("network:", "auto" if build.network == "default" else printable(build.network)),
    ]
    lines = [columns(facts), ""]
    for step in build.steps:
        taken = f" in {human_seconds(step.seconds)}" if step.outcome is Outcome.DONE else ""
        lines.append(f"{headline(step.step, step.title)}  {step.outcome}{taken}")
        if step.contacts.kept:
            table = columns([_row(contact) for contact in step.contacts.kept], right=frozenset((1, 2, 3)))
            lines += [f"    {line}" for line in table.splitlines()]
        if step.contacts.more:
            lines.append(f"    and {step.contacts.more} more")
    return "\n".join(lines)


def _row(contact: Contact) -> tuple[str, ...]:
    words = contact.refusal or contact.failure
    how = "refused: " if contact.refusal else "failed: " if contact.failure else ""
    sizes = ("", "") if contact.refusal else (human_size(contact.sent_bytes), human_size(contact.received_bytes))
    sent, received = (f"{sign} {size}" if size else "" for sign, size in zip(("up", "down"), sizes, strict=True))
    return (contact.method, f"{contact.count}x", sent, received, printable(contact.target), how + printable(words))


def _moment(build: BuildRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(build.started_s))


def builds_json(builds: Sequence[BuildRecord]) -> str:
    """The builds for programs: a JSON array."""
    return json.dumps([_document(build) for build in builds], indent=2)


def build_json(build: BuildRecord) -> str:
    """One build for programs: a JSON object."""
    return json.dumps(_document(build), indent=2)


def _document(build: BuildRecord) -> dict[str, object]:
    return {
        "id": build.id,
        "started": _moment(build),
        "seconds": build.seconds,
        "names": list(build.names),
        "image": build.image or None,
        "network": build.network,
        "steps": [
            {
                "target": step.step.target,
                "number": step.step.index,
                "count": step.step.count,
                "title": step.title,
                "outcome": str(step.outcome),
                "seconds": step.seconds,
                "contacts": [_contact(contact) for contact in step.contacts.kept],
                "moreContacts": step.contacts.more,
            }
            for step in build.steps
        ],
    }


def _contact(contact: Contact) -> dict[str, object]:
    return {
        "method": contact.method,
        "host": contact.host,
        "port": contact.port,
        "path": contact.path or None,
        "allowed": not contact.refusal,
        "refusal": contact.refusal or None,
        "failure": contact.failure or None,
        "sentBytes": contact.sent_bytes,
        "receivedBytes": contact.received_bytes,
        "count": contact.count,
    }

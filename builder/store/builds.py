"""The latest hundred builds that did a step, a file each. They are for people; nothing needs them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from builder.errors import StoreError
from builder.store import files
from builder.store.session import Session, make_private
from builder.values.build import BuildRecord, BuiltStep, Outcome
from builder.values.contact import Contact, Contacts
from builder.values.event import StepId

BUILD_VERSION = 1
MOST_BUILDS = 100
_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}\Z")
_ROOM_CHARS = 400_000  # of titles and contacts: what is more would make a file too large to be read again
_LONGEST = 500
_CONTACT_CHARS = 150  # of a contact besides its words


class Builds:
    """The records of builds. `area` is the store's own folder."""

    def __init__(self, area: Path, session: Session) -> None:
        self._directory = area / "builds"
        self._session = session

    def put(self, record: BuildRecord) -> None:
        """Keep a record, and let the oldest go where there are too many. Raises StoreError."""
        with files.plain_errors("cannot keep the record of the build"):
            if not self._directory.is_dir():
                make_private(self._directory)
            temporary = self._session.temporary()
            files.write_file(temporary, files.encode(_document(record)))
            self._session.publish(temporary, self._path(record.id))
            for old in self.ids()[MOST_BUILDS:]:
                files.remove_file(self._path(old))

    def ids(self) -> list[str]:
        """The builds there are, the latest first. Raises StoreError."""
        try:
            with files.plain_errors("cannot read the records of builds"):
                names = os.listdir(self._directory)
        except StoreError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return []
            raise
        stems = (name.removesuffix(".json") for name in names if name.endswith(".json"))
        return sorted(filter(_ID.match, stems), reverse=True)

    def read(self, build_id: str) -> BuildRecord | None:
        """A record by its id; None where it is gone or cannot be understood. Raises StoreError."""
        with files.plain_errors("cannot read the record of a build"):
            document = files.read_record(self._path(build_id), BUILD_VERSION)
        try:
            return None if document is None else _record(build_id, document)
        except (KeyError, TypeError, ValueError):
            return None

    def all(self) -> Iterator[BuildRecord]:
        """All records, the latest first. Raises StoreError."""
        return (record for build_id in self.ids() if (record := self.read(build_id)) is not None)

    def _path(self, build_id: str) -> Path:
        return self._directory / f"{build_id}.json"


def is_build_id(text: str) -> bool:
    """Whether a text has the form of a build's id."""
    return _ID.match(text) is not None


class _Room:
    """How much a record may still hold."""

    def __init__(self) -> None:
        self._left = _ROOM_CHARS

    def takes(self, chars: int) -> bool:
        self._left -= chars
        return self._left > 0


def _document(record: BuildRecord) -> dict[str, files.JsonValue]:
    room = _Room()
    return {
        "version": BUILD_VERSION,
        "started_s": round(record.started_s, 3),
        "seconds": round(record.seconds, 3),
        "names": [name[:_LONGEST] for name in record.names[:_LONGEST]],
        "image": record.image,
        "network": record.network,
        "steps": [_step(step, room) for step in record.steps],
    }


def _step(step: BuiltStep, room: _Room) -> dict[str, files.JsonValue]:
    contacts, more = _contacts(step.contacts, room)
    title = step.title[:_LONGEST]
    document: dict[str, files.JsonValue] = {
        "target": step.step.target[:_LONGEST],
        "number": [step.step.index, step.step.count],
        "title": title if room.takes(len(title)) else "",
        "outcome": str(step.outcome),
        "seconds": round(step.seconds, 3),
    }
    if contacts or more:
        document["contacts"], document["more"] = contacts, more
    return document


def _contacts(contacts: Contacts, room: _Room) -> tuple[list[files.JsonValue], int]:
    kept: list[files.JsonValue] = []
    more = contacts.more
    for contact in contacts.kept:
        words: list[files.JsonValue] = [
            contact.method,
            contact.host,
            contact.port,
            contact.path[:_LONGEST],
            contact.refusal[:_LONGEST],
            contact.failure[:_LONGEST],
            contact.sent_bytes,
            contact.received_bytes,
            contact.count,
        ]
        if room.takes(_CONTACT_CHARS + sum(len(word) for word in words if isinstance(word, str))):
            kept.append(words)
        else:
            more += contact.count
    return kept, more


def _record(build_id: str, document: dict[str, files.JsonValue]) -> BuildRecord:
    return BuildRecord(
        build_id,
        _number(document["started_s"]),
        _number(document["seconds"]),
        tuple(_text(name) for name in _list(document["names"])),
        _text(document["image"]),
        _text(document["network"]),
        tuple(_read_step(each) for each in _list(document["steps"])),
    )


def _read_step(value: files.JsonValue) -> BuiltStep:
    if not isinstance(value, dict):
        raise ValueError("a step must be an object")
    index, count = (int(_number(each)) for each in _list(value["number"]))
    return BuiltStep(
        StepId(_text(value["target"]), index, count),
        _text(value["title"]),
        Outcome(_text(value["outcome"])),
        _number(value["seconds"]),
        Contacts(
            tuple(map(_contact, _list(value.get("contacts", [])))),
            int(_number(value.get("more", 0))),
        ),
    )


def _contact(value: files.JsonValue) -> Contact:
    method, host, port, path, refusal, failure, sent, received, count = _list(value)
    return Contact(
        _text(method),
        _text(host),
        int(_number(port)),
        path=_text(path),
        refusal=_text(refusal),
        failure=_text(failure),
        sent_bytes=int(_number(sent)),
        received_bytes=int(_number(received)),
        count=int(_number(count)),
    )


def _text(value: files.JsonValue) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")
    return value


def _number(value: files.JsonValue) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    return value


def _list(value: files.JsonValue) -> Iterable[files.JsonValue]:
    if not isinstance(value, list):
        raise ValueError("must be a list")
    return value

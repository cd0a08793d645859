"""The step cache: what each step's key led to. A record is a claim about a layer; the layer is looked up elsewhere."""

from __future__ import annotations

from pathlib import Path

from builder.store import files
from builder.store.session import Session
from builder.values.digest import DiffId
from builder.values.key import CacheKey
from builder.values.record import StepRecord

STEP_VERSION = 1


class Records:
    """The step records of a store."""

    def __init__(self, area: Path, session: Session) -> None:
        self._directory = area / "steps"
        self._session = session

    def find(self, key: CacheKey) -> StepRecord | None:
        """What the step of this key made, or None where nobody knows. Raises StoreError."""
        path = self._path(key)
        if self._session.use(path) is None:
            return None
        with files.plain_errors("cannot read a step record"):
            document = files.read_record(path, STEP_VERSION)
        if document is None:
            return None
        try:
            return record_of(document)
        except ValueError:
            files.remove_file(path)
            return None

    def put(self, key: CacheKey, record: StepRecord) -> None:
        """Remember a step's outcome; its layer, if any, is in the store already. Raises StoreError."""
        diff_id = None if record.diff_id is None else str(record.diff_id)
        document: dict[str, files.JsonValue] = {
            "version": STEP_VERSION,
            "diff_id": diff_id,
            "created_s": record.created_s,
        }
        if record.searched:
            document["searched"] = list(record.searched)
        temporary = self._session.temporary()
        with files.plain_errors("cannot keep a step record"):
            files.write_file(temporary, files.encode(document))
            self._session.publish(temporary, self._path(key))

    def discard(self, key: CacheKey) -> None:
        """Forget a step's outcome. Raises StoreError."""
        self._session.to_trash(self._path(key))

    def _path(self, key: CacheKey) -> Path:
        return self._directory / f"{key.hex}.json"


def record_of(document: dict[str, files.JsonValue]) -> StepRecord:
    """A record as its document has it. Raises ValueError."""
    diff_id, created_s = document.get("diff_id", ""), document.get("created_s", 0)
    if not isinstance(created_s, int):
        raise ValueError("created_s must be a number of seconds")
    if diff_id is None:
        return StepRecord(None, created_s)
    if not isinstance(diff_id, str):
        raise ValueError("diff_id must be text")
    searched = document.get("searched", [])
    if not isinstance(searched, list):
        raise ValueError("searched must be a list")
    return StepRecord(DiffId.parse(diff_id), created_s, tuple(str(one) for one in searched))

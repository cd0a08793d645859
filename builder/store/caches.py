"""Cache mounts: directories that RUN steps keep between builds, and who may use one at a time.

A cache is `caches/<sha256 of its id>/`, so that an id with `..`, slashes or NULs is only a name (CVE-2024-9675).
Inside it, numbered directories beside their locks: 0 is the cache; 1, 2, … are what private users get while
the ones before are in use. The numbered directories themselves are made by the step's side, with the owner that
the mount asks for.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from builder.declare import dataclass
from builder.errors import StoreError
from builder.store import files, locks
from builder.store.session import Session, make_private
from builder.values.mount import Sharing as Sharing  # its callers may take it from here

CACHE_VERSION = 1
_MOST_PRIVATE = 1000


@dataclass(frozen=True, slots=True)
class CacheLease:
    """The right to use a cache's directory (which may not exist yet) until the lock is released."""

    directory: Path
    lock: locks.Lock

    @property
    def is_new(self) -> bool:
        """Whether nobody has made the directory yet."""
        return not self.directory.exists()


class Caches:
    """The cache mounts of a store."""

    def __init__(self, area: Path, session: Session) -> None:
        self._directory = area / "caches"
        self._session = session

    def directory(self, id: str) -> Path:  # noqa: A002  the flag's own name
        """Where the cache of this id keeps its files; the directory may not exist yet. Raises StoreError."""
        return self._home(id) / "0"

    def lock(
        self,
        id: str,  # noqa: A002
        sharing: Sharing,
        while_waiting: Callable[[], None] = lambda: None,
    ) -> CacheLease:
        """Wait for the right to use the cache; `while_waiting` may raise to end the wait. Raises StoreError."""
        home = self._home(id)
        with files.plain_errors("cannot lock a cache mount"):
            match sharing:
                case Sharing.SHARED:
                    return CacheLease(home / "0", locks.shared(home / "0.lock", while_waiting))
                case Sharing.LOCKED:
                    return CacheLease(home / "0", locks.exclusive(home / "0.lock", while_waiting))
                case Sharing.PRIVATE:
                    return _first_free(home)

    def _home(self, id: str) -> Path:  # noqa: A002
        data = id.encode("utf-8", "surrogateescape")
        home = self._directory / hashlib.sha256(data).hexdigest()
        if self._session.use(home / "id") is not None:
            return home
        document: dict[str, files.JsonValue] = {"version": CACHE_VERSION, "id": id}
        temporary = self._session.temporary()
        with files.plain_errors("cannot make a cache mount"):
            files.write_file(temporary, files.encode(document))
            with self._session.finding():
                try:
                    make_private(home)
                except FileExistsError:
                    pass
                self._session.mark(temporary)
                os.rename(temporary, home / "id")
        return home


def _first_free(home: Path) -> CacheLease:
    for number in range(_MOST_PRIVATE):
        lock = locks.try_exclusive(home / f"{number}.lock")
        if lock is not None:
            return CacheLease(home / str(number), lock)
    raise StoreError("a private cache mount has too many users at once")

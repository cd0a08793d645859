"""The store: one directory that is an OCI image layout, with our own folders under `pybuild/`.

This module opens and closes it; each kind of thing kept has its own module. The on-disk form is written down in
cache/README.md.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from builder.declare import dataclass
from builder.errors import StoreError
from builder.store import files, locks
from builder.store.blobs import Blobs
from builder.store.caches import Caches
from builder.store.images import Images
from builder.store.layers import Layers
from builder.store.pulled import Pulled
from builder.store.records import Records
from builder.store.session import Session, gate_path, make_private, move_to_trash, oldest_start_ns, sweep
from builder.store.settling import mark_of_crash
from builder.store.snapshots import Snapshots
from builder.store.variants import Variants

if TYPE_CHECKING:
    from builder.store.builds import Builds

STORE_VERSION = 1
"""Raised when an older pybuild could no longer use the store."""

_AREA = "pybuild"
_FOLDERS = (
    "layers",
    "indexes",
    "snapshots",
    "steps",
    "pulled",
    "caches",
    "fingerprints",
    "variants",
    "unsettled",
    "tmp",
    "trash",
    "locks",
)
_OF_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_MAY_BE_THERE = frozenset(
    (_AREA, "oci-layout", "index.json", "blobs", "README.md", "lost+found", ".git", ".gitignore", ".gitkeep")
)


@dataclass(frozen=True, slots=True)
class Store:
    """An open store. Use `Store.open`, and close it (or use `with`) when the work is done.

    While it is open the process holds a shared lock on it, which keeps others from removing what is in use. A process
    that dies without closing loses nothing but its own unfinished work.
    """

    root: Path
    blobs: Blobs
    layers: Layers
    snapshots: Snapshots
    records: Records
    images: Images
    pulled: Pulled
    caches: Caches
    variants: Variants
    _session: Session
    _in_use: locks.Lock

    @classmethod
    def open(cls, root: Path) -> Store:
        """Open the store at `root` (an absolute path), made if it is not there. Raises StoreError.

        What dead processes left unfinished is moved to the trash.
        """
        area = root / _AREA
        with files.plain_errors(f"cannot open the store {root}"):
            _refuse_others(root)
        _check_version(area / "version")
        with files.plain_errors(f"cannot open the store {root}"):
            _make_folders(root)
            in_use = locks.shared(area / "locks" / "store")
            sweep(area)
            _recover(root)
        session = Session(area)
        store = cls(
            root,
            Blobs(root / "blobs" / "sha256", session),
            Layers(area, root / "blobs" / "sha256", session),
            Snapshots(area, session),
            Records(area, session),
            Images(root, area, session),
            Pulled(area, session),
            Caches(area, session),
            Variants(area, root / "blobs" / "sha256", session),
            session,
            in_use,
        )
        try:
            session.begin()
            store._complete()
        except BaseException:
            store.close()
            raise
        return store

    def _complete(self) -> None:
        with files.plain_errors(f"cannot make the store {self.root}"):
            self._create(self.root / _AREA / "version", files.encode({"version": STORE_VERSION}))
            self._create(self.root / "oci-layout", _LAYOUT)
        self.images.ensure()

    def _create(self, path: Path, data: bytes) -> None:
        if os.path.lexists(path):
            return
        temporary = self._session.temporary()
        files.write_synced(temporary, data)
        os.rename(temporary, path)
        files.sync_directory(path.parent)

    @property
    def trash_directory(self) -> Path:
        """Where things wait to be removed."""
        return self.root / _AREA / "trash"

    @property
    def room(self) -> Path | None:
        """Where this process keeps what it has not finished; None on a full disk."""
        return self._session.directory

    def trash(self) -> list[Path]:
        """What a RemoveJob should remove: trees and files that nobody will look for again. Raises StoreError."""
        with files.plain_errors("cannot read the store's trash"):
            sweep(self.root / _AREA)
            return sorted(self.trash_directory / name for name in os.listdir(self.trash_directory))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While it lasts nobody finds anything in the store or adds to it: keep it short, and find nothing yourself.

        Raises OSError.
        """
        with locks.exclusive(gate_path(self.root / _AREA)):
            yield

    def others_since_ns(self) -> int | None:
        """When the oldest other session that is alive began (Unix time); None where we are alone. Raises OSError."""
        return oldest_start_ns(self.root / _AREA, self._session.directory)

    @property
    def builds(self) -> Builds:
        """The records of the latest builds."""
        from builder.store.builds import Builds  # only builds that did something need it

        return Builds(self.root / _AREA, self._session)

    def settle(self) -> None:
        """The barrier: what this process has made or found is on the disk. Naming an image is one, too.

        Raises StoreError.
        """
        self._session.settle()

    def to_trash(self, path: Path) -> Path:
        """Move what nobody needs to the trash; where it is now. Raises OSError."""
        return move_to_trash(self.root / _AREA, path)

    def fingerprint_path(self, context: Path) -> Path:
        """Where the remembered digests of a context's files are kept; `context` is an absolute path."""
        name = hashlib.sha256(os.fsencode(context)).hexdigest()
        path = self.root / _AREA / "fingerprints" / name
        self._session.use(path)
        return path

    def close(self) -> None:
        """End this process's use of the store; unfinished work goes to the trash. Closing twice is harmless."""
        self._session.close()
        self._in_use.release()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _recover(root: Path) -> None:
    if any(map(mark_of_crash, os.listdir(root / _AREA / "unsettled"))):
        from builder.store.recovery import recover

        recover(root, root / _AREA)


def _check_version(path: Path) -> None:
    try:
        with files.plain_errors(f"cannot open the store {path.parent.parent}"):
            document = files.decode(files.read_bounded(path, files.RECORD_LIMIT_BYTES))
        version = document.get("version")
        if not isinstance(version, int) or version < 1:
            raise ValueError("it has no version number")
    except ValueError as error:
        hint = "if this is a pybuild store, move it away and build again; another place: --root"
        raise StoreError(f"{path} is damaged: {error}", hint=hint) from error
    except StoreError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return
        raise
    if version > STORE_VERSION:
        raise StoreError(
            f"the store {path.parent.parent} was made by a newer pybuild (version {version}, this one reads"
            f" {STORE_VERSION})",
            hint="use that pybuild, or another store with --root",
        )


def _refuse_others(root: Path) -> None:
    """Raise StoreError where others than us can say what the store holds: what is in it becomes part of images.

    The way to it may be led through nothing that somebody else may replace: a link of theirs, a directory of theirs
    that all may write to (one of root's is an administrator's choice, and so is a group). Raises OSError.
    """
    us = os.geteuid()
    for path in dict.fromkeys(map(str, (root, *root.parents, *Path(os.path.realpath(root)).parents))):
        facts = _facts(path)
        if facts is None or facts.st_uid in (us, 0):
            continue
        open_to_all = facts.st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH
        if stat.S_ISLNK(facts.st_mode) or (open_to_all and stat.S_ISDIR(facts.st_mode)):
            raise _not_ours(path, facts, f"the way to the store {root} leads through what is not yours")
    for directory in (root, root / _AREA):
        if os.path.isdir(directory):
            facts = os.stat(directory)
            if facts.st_uid != us:
                raise _not_ours(str(directory), facts, f"the store {root} is not yours")
            if facts.st_mode & _OF_OTHERS and directory == root:
                os.chmod(root, facts.st_mode & 0o7777 & ~_OF_OTHERS)


def _not_ours(path: str, facts: os.stat_result, what: str) -> StoreError:
    import pwd

    try:
        owner = f"{pwd.getpwuid(facts.st_uid).pw_name} ({facts.st_uid})"
    except KeyError:
        owner = str(facts.st_uid)
    return StoreError(
        f"{what}: {path} belongs to the user {owner}, and you are {os.geteuid()}",
        hint="what another user has put into a store is not trusted; build as that user, or with a store of your own:"
        " --root DIR",
    )


def _facts(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def _make_folders(root: Path) -> None:
    if not os.path.isdir(root):
        _make_parents(root.parent)
        _make_unless_there(str(root))
    area = f"{root}/{_AREA}"
    if not os.path.isdir(area):
        _refuse_strangers(root)
    for directory in (f"{root}/blobs", f"{root}/blobs/sha256", area, *(f"{area}/{name}" for name in _FOLDERS)):
        facts = _facts(directory)
        if facts is None:
            _make_unless_there(directory)
        elif facts.st_uid != os.geteuid():
            raise _not_ours(directory, facts, f"the store {root} is not all yours")
        elif facts.st_mode & _OF_OTHERS and directory.startswith(area) and stat.S_ISDIR(facts.st_mode):
            raise StoreError(
                f"other users can write into the store {root}: see {directory}",
                hint="what is in it is not to be trusted any more: remove that directory, or choose another by --root",
            )
        elif not os.path.isdir(directory):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), directory)


def _make_parents(directory: Path) -> None:
    """As the XDG specification has it, for nobody else; whatever the umask is."""
    missing = []
    while not os.path.isdir(directory):
        missing.append(directory)
        directory = directory.parent
    for path in reversed(missing):
        _make_unless_there(str(path))


def _make_unless_there(directory: str) -> None:
    try:
        make_private(Path(directory))
    except FileExistsError:  # another process may be making the same store
        if not os.path.isdir(directory):
            raise


def _refuse_strangers(root: Path) -> None:
    strangers = sorted(set(os.listdir(root)) - _MAY_BE_THERE)
    if strangers:
        raise StoreError(
            f"{root} is not a pybuild store and not empty: it holds {strangers[0]!r}",
            hint="choose a new or empty directory with --root",
        )

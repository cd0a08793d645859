"""Files of an image put into a directory of the caller's, as ordinary files of whoever calls.

The names come from an image and the directory may hold anything, links of a stranger among it, so nothing here trusts
either: every directory is opened beneath the handle of the destination with no symbolic link on the way (openat2(2)
with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS), and everything else is done relative to that handle. Whoever exchanges a
directory for a link while we work finds that we write into the directory that was there, or fail. Contents are written
to files without a name, and those get theirs by link(2), or by a rename over what had it: that, a link included, is
replaced and never written through.

Owners and attributes are not kept. setuid and setgid are not either: such a file of root's would lend the caller's own
rights to everybody. A directory is always open to its owner, who may want to remove it. Special files are left out.
Sources: openat2(2), rename(2), link(2); BuildKit's local exporter for what is replaced and what stays.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Final, Self

from builder.errors import StoreError
from builder.tree.flatten import Content
from builder.tree.nameless import give_name, open_nameless
from builder.tree.safe import Root, Walk, kind_word, shown
from builder.values.entry import Entry, Kind

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_OPEN = 128
_KEPT_BITS: Final = 0o777
_OWNERS_BITS: Final = 0o700
_SPECIAL = (Kind.FIFO, Kind.CHAR, Kind.BLOCK, Kind.SOCKET)


def write_files(items: Iterable[tuple[Entry, Content]], target: str) -> Counter[Kind]:
    """Put the entries into the directory `target`, made if it is missing; how many special files were left out.

    Entries are as `flattened` gives them. What is there already stays, unless the image has something else of that
    name that is no directory. Raises StoreError where something is in the way or cannot be written, and whatever the
    items raise.
    """
    try:
        os.makedirs(target, exist_ok=True)
        with Directory(target) as directory:
            for entry, content in items:
                directory.put(entry, content)
            directory.finish()
            return directory.left_out
    except OSError as error:
        raise _refused(error, target, b"") from error


class Directory:
    """The destination. Closed by `with`; `left_out` counts the special files."""

    def __init__(self, target: str) -> None:
        self.left_out: Counter[Kind] = Counter()
        self._target = target
        self._root = Root.open(target, Walk.NO_SYMLINKS)
        self._token = b".pybuild-" + os.urandom(6).hex().encode() + b"-"
        self._count = 0
        self._made: list[Entry] = []
        self._handles: OrderedDict[bytes, int] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for fd in self._handles.values():
            os.close(fd)
        self._handles.clear()
        self._root.close()

    def put(self, entry: Entry, content: Content) -> None:
        """Put one entry in place, its directory before it. Raises StoreError."""
        try:
            self._put(entry, content)
        except OSError as error:
            raise _refused(error, self._target, entry.path) from error

    def finish(self) -> None:
        """Give the directories their modes and times, the innermost first. Raises StoreError."""
        for entry in reversed(self._made):
            try:
                fd = self._root.open_dir(entry.path, os.O_RDONLY, follow_last=False)
                try:
                    os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
                    os.fchmod(fd, entry.mode & (_KEPT_BITS | stat.S_ISVTX) | _OWNERS_BITS)
                finally:
                    os.close(fd)
            except OSError as error:
                raise _refused(error, self._target, entry.path) from error

    def _put(self, entry: Entry, content: Content) -> None:
        if entry.kind in _SPECIAL:
            self.left_out[entry.kind] += 1
            return
        head, _, name = entry.path.rpartition(b"/")
        parent = self._handle(head)
        match entry.kind:
            case Kind.DIR:
                self._directory(parent, name, entry)
            case Kind.FILE:
                self._file(parent, name, entry, content)
            case Kind.SYMLINK:
                self._place(parent, name, lambda at: _link(parent, at, entry))
            case Kind.HARDLINK:
                self._place(parent, name, lambda at: self._hard_link(parent, at, entry))
            case _:
                raise ValueError(f"an entry of kind {entry.kind.name} is no file of an image")

    def _directory(self, parent: int, name: bytes, entry: Entry) -> None:
        """Make a directory, or take the one that is there. Its own mode comes last: it may forbid us to write."""
        try:
            os.mkdir(name, _OWNERS_BITS, dir_fd=parent)
        except FileExistsError:
            self._open_to_us(parent, name, entry)
        self._made.append(entry)

    def _open_to_us(self, parent: int, name: bytes, entry: Entry) -> None:
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            status = os.fstat(fd)
            if not stat.S_ISDIR(status.st_mode):
                raise _in_the_way(self._target, entry.path, kind_word(status.st_mode), "a directory")
            if status.st_mode & _OWNERS_BITS != _OWNERS_BITS:
                os.chmod(f"/proc/self/fd/{fd}", stat.S_IMODE(status.st_mode) | _OWNERS_BITS)
        finally:
            os.close(fd)

    def _file(self, parent: int, name: bytes, entry: Entry, content: Content) -> None:
        """Write a file before it has a name: who is killed meanwhile leaves nothing to be found."""
        fd = open_nameless(parent, 0o600)
        if fd is None:
            self._place(parent, name, lambda at: _write(parent, at, entry, content))
            return
        try:
            _fill(fd, entry, content)
            try:
                give_name(fd, name, parent)
            except FileExistsError:
                self._place(parent, name, lambda at: give_name(fd, at, parent))
        finally:
            os.close(fd)

    def _place(self, parent: int, name: bytes, make: Callable[[bytes], None]) -> None:
        """Have something made under a name of our own, then give it its name."""
        self._count += 1
        temporary = self._token + b"%d" % self._count
        try:
            make(temporary)
            os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
        except BaseException as error:
            try:
                os.unlink(temporary, dir_fd=parent)
            except OSError:
                pass
            if isinstance(error, IsADirectoryError):
                raise OSError(errno.EISDIR, "is a directory there and no directory in the image") from error
            raise

    def _hard_link(self, parent: int, at: bytes, entry: Entry) -> None:
        """Another name for a file that was written before; `parent` stays open while its directory is looked up."""
        head, _, name = entry.link.rpartition(b"/")
        source = self._root.open_dir(head, os.O_PATH, follow_last=False)
        try:
            os.link(name, at, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(source)

    def _handle(self, path: bytes) -> int:
        """A descriptor (O_PATH) of a directory of ours; good until the next one is asked for."""
        fd = self._handles.get(path)
        if fd is not None:
            self._handles.move_to_end(path)
            return fd
        if len(self._handles) >= _MAX_OPEN:
            os.close(self._handles.popitem(last=False)[1])
        fd = self._handles[path] = self._root.open_dir(path, os.O_PATH, follow_last=False)
        return fd


def _write(parent: int, name: bytes, entry: Entry, content: Content) -> None:
    fd = os.open(name, _CREATE, 0o600, dir_fd=parent)
    try:
        _fill(fd, entry, content)
    finally:
        os.close(fd)


def _fill(fd: int, entry: Entry, content: Content) -> None:
    for piece in content:
        view = memoryview(piece)
        while view:
            view = view[os.write(fd, view) :]
    os.fchmod(fd, entry.mode & _KEPT_BITS)
    os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))


def _link(parent: int, name: bytes, entry: Entry) -> None:
    os.symlink(entry.link, name, dir_fd=parent)
    os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent, follow_symlinks=False)


def _refused(error: OSError, target: str, path: bytes) -> StoreError:
    """What to say when the destination does not take something."""
    where = f"{shown(os.fsencode(target))}/{shown(path)}" if path else shown(os.fsencode(target))
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(f"no space left to write {where}", hint="free some room there, or write to another place")
    if error.errno == errno.EISDIR:
        return _in_the_way(target, path, "a directory", "something else")
    if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EXDEV):
        return StoreError(
            f"cannot write {where}: on the way to it is something that is no directory",
            hint="nothing is written through links that are there already; remove them, or write to an empty directory",
        )
    return StoreError(f"cannot write {where}: {error.strerror or error}", hint="choose a place that you may write to")


def _in_the_way(target: str, path: bytes, there: str, wanted: str) -> StoreError:
    return StoreError(
        f"{shown(os.fsencode(target))}/{shown(path)} is {there}, where the image has {wanted}",
        hint="remove it, or write to an empty directory",
    )

"""Reading a build context: a sorted walk of a host directory that gives entries, and the way to one path in it.

Nothing is followed, nothing is opened but directories, and every directory is opened beneath the context's handle. What
is to be left out is decided by rules that the caller passes in. Owners of the host mean nothing in an image, so every
entry is of 0:0.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from builder.errors import ContextError
from builder.tree.safe import Root, Walk, WrongKind, kind_word, shown
from builder.values.entry import Entry, Kind

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC
MAX_LINKS = 40  # as the kernel follows, path_resolution(7)


class Scanned(NamedTuple):
    """An entry of the context (its digest is empty), what shows a change of it, and how many names it has."""

    entry: Entry
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int
    names: int


class Rules(Protocol):
    """What is left out. Paths are relative to the context, `/`-separated, undecodable bytes as surrogates."""

    def excludes(self, path: str) -> bool:
        """Whether this path is left out."""

    def may_readmit_below(self, directory: str) -> bool:
        """Whether anything below this excluded directory might be let in again."""


class _Everything:
    def excludes(self, path: str) -> bool:  # noqa: ARG002
        return False

    def may_readmit_below(self, directory: str) -> bool:  # noqa: ARG002
        return False


EVERYTHING: Rules = _Everything()
"""Rules that leave nothing out."""


def open_context(path: Path) -> Root:
    """The handle of a context directory, for `scan` and what reads its files. Raises ContextError."""
    try:
        return Root.open(path, Walk.NO_SYMLINKS)
    except FileNotFoundError:
        raise ContextError(f"the build context {str(path)!r} does not exist", hint="give a directory") from None
    except NotADirectoryError:
        raise ContextError(f"the build context {str(path)!r} is not a directory", hint="give a directory") from None
    except OSError as error:
        raise _refused(os.fsencode(path), error) from error


def scan(root: Root, start: bytes = b"", rules: Rules = EVERYTHING) -> Iterator[Scanned]:
    """What is at `start` (a real path, see `find_source`) and below it: each directory before what is in it, names
    sorted bytewise; sockets are left out. `root` is of `open_context`.

    An excluded directory is given all the same, before the first thing below it that is let in. Raises ContextError for
    what cannot be read. What disappears during the walk was never there.
    """
    held: list[Scanned] = []  # excluded directories above here, given when something below them is let in
    waiting = _first(root, start)
    while waiting:
        found = waiting.pop()
        entry = found.entry
        path = entry.path
        is_excluded = rules is not EVERYTHING and path != b"" and rules.excludes(_text(path))
        if entry.kind is Kind.DIR:
            if is_excluded and not rules.may_readmit_below(_text(path)):
                continue
            waiting += reversed(list_directory(root, path).values())
        while held and not _is_below(path, held[-1].entry.path):
            held.pop()
        if not is_excluded:
            yield from held
            held.clear()
            yield found
        elif entry.kind is Kind.DIR:
            held.append(found)


def _first(root: Root, start: bytes) -> list[Scanned]:
    try:
        facts = root.lstat(start)
        link = root.readlink(start) if stat.S_ISLNK(facts.st_mode) else b""
    except OSError as error:
        raise _refused(start, error) from error
    found = _scanned(start, facts, link)
    return [] if found is None else [found]


def list_directory(root: Root, path: bytes) -> dict[bytes, Scanned]:
    """What is in a directory by its names, sorted bytewise; nothing where there is no directory. Sockets are left out.

    Raises ContextError for a directory that cannot be read.
    """
    try:
        fd = root.open_dir(path, follow_last=False)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return {}
        raise _refused(path, error) from error
    prefix = path + b"/" if path else b""
    found = {}
    try:
        with os.scandir(fd) as directory:
            for bare, name in sorted([(os.fsencode(name.name), name) for name in directory], key=_first_of):
                scanned = _looked_at(fd, name, prefix + bare)
                if scanned is not None:
                    found[bare] = scanned
    except OSError as error:
        raise _refused(path, error) from error
    finally:
        os.close(fd)
    return found


class OpenFiles:
    """Opens the regular files of a context, best in the order of their paths. For one thread.

    The directory of the last file is kept open: it was opened beneath the context's handle, and a single name in it
    leads nowhere else.
    """

    def __init__(self, root: Root) -> None:
        self._root = root
        self._directory = b""
        self._fd = -1

    def open(self, path: bytes) -> int:
        """A descriptor of the file. Raises OSError; WrongKind for what is no regular file, without having opened it."""
        directory, _, name = path.rpartition(b"/")
        if self._fd < 0 or directory != self._directory:
            self.close()
            self._fd = self._root.open_dir(directory, os.O_PATH, follow_last=False)
            self._directory = directory
        # As Root.open_file does it: a look that opens nothing, and a second one in case it was exchanged in between.
        _require_file(path, os.stat(name, dir_fd=self._fd, follow_symlinks=False).st_mode)
        fd = os.open(name, _READ, dir_fd=self._fd)
        try:
            _require_file(path, os.fstat(fd).st_mode)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def close(self) -> None:
        """Let go of the directory."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.close()


def _require_file(path: bytes, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise WrongKind(path, kind_word(mode))


def _first_of(pair: tuple[bytes, os.DirEntry[str]]) -> bytes:
    return pair[0]


def _looked_at(fd: int, name: os.DirEntry[str], path: bytes) -> Scanned | None:
    try:
        facts = name.stat(follow_symlinks=False)  # fstatat(2) relative to the directory's descriptor
        link = os.fsencode(os.readlink(name.name, dir_fd=fd)) if stat.S_ISLNK(facts.st_mode) else b""
    except FileNotFoundError:
        return None
    return _scanned(path, facts, link)


_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIR,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFIFO: Kind.FIFO,
    stat.S_IFCHR: Kind.CHAR,
    stat.S_IFBLK: Kind.BLOCK,
}  # no sockets: a layer cannot hold them


_MODES = tuple(range(0o10000))  # one object for each mode: each stat(2) gives a new one, a tenth of what an entry takes


def _scanned(path: bytes, facts: os.stat_result, link: bytes) -> Scanned | None:
    mode, inode, device, names, _, _, size = facts[:7]
    kind = _KINDS.get(mode & 0o170000)
    if kind is None:
        return None
    rdev = (0, 0)
    if kind is Kind.CHAR or kind is Kind.BLOCK:
        rdev = (os.major(facts.st_rdev), os.minor(facts.st_rdev))
    mtime_ns = facts.st_mtime_ns
    size = size if kind is Kind.FILE else 0
    entry = Entry(path, kind, _MODES[mode & 0o7777], 0, 0, size, mtime_ns, link, (), -1, "", rdev)
    return Scanned(entry, mtime_ns, facts.st_ctime_ns, inode, device, names)


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def _is_below(path: bytes, directory: bytes) -> bool:
    return directory == b"" or path.startswith(directory + b"/")


def find_source(root: Root, path: bytes) -> bytes:
    """The real path of one source (`COPY a/b`): every link on the way and at its end followed, none out of the context.

    An absolute link starts again at the context, and `..` stops there. Raises ContextError: there is nothing at the
    path, or more than 40 links lead to it.
    """
    waiting = _parts_reversed(path)
    real = b""
    links = 0
    while waiting:
        part = waiting.pop()
        if part == b"..":
            real = real.rpartition(b"/")[0]
            continue
        step = real + b"/" + part if real else part
        link = _link_at(root, step, path)
        if link is None:
            real = step
            continue
        links += 1
        if links > MAX_LINKS:
            raise ContextError(f"too many symbolic links on the way to {shown(path)}", hint="do they form a loop?")
        if link.startswith(b"/"):
            real = b""
        waiting += _parts_reversed(link)
    return real


def _link_at(root: Root, step: bytes, asked: bytes) -> bytes | None:
    """The target of the link at `step`, or None for anything else that is there."""
    try:
        return root.readlink(step)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise _missing(step, asked) from None
        raise _refused(step, error) from error


def _missing(step: bytes, asked: bytes) -> ContextError:
    hint = "paths count from the context directory, and its links are followed inside it only"
    via = "" if step == asked.strip(b"/") else f" (there is no {shown(step)})"
    return ContextError(f"{shown(asked)} is not in the build context{via}", hint=hint)


def _parts_reversed(path: bytes) -> list[bytes]:
    return [part for part in path.split(b"/") if part not in (b"", b".")][::-1]


def _refused(path: bytes, error: OSError) -> ContextError:
    name = shown(path) if path else "the build context"
    if error.errno == errno.ENOENT:
        return ContextError(f"{name} is not in the build context")
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return ContextError(f"{name} changed while it was read", hint="build again when nothing writes there")
    hint = "make it readable for you, or leave it out by a line in .dockerignore"
    return ContextError(
        f"cannot read {name} of the build context: {os.strerror(error.errno or 0)}",
        hint=hint if error.errno in (errno.EACCES, errno.EPERM) else None,
    )

"""The directories of a tree that is being unpacked, merged with the trees below it: found, followed, and made.

A layer may name `var/run/x` where a lower layer (or this one) has made `var/run` a link to `/run`; as in every other
builder the file is then `run/x`. Links are followed here by hand over what was looked at, inside the root, and never by
the kernel; the directory that is found is then opened beneath the target with no links allowed at all. What is put into
directories, and with which attributes, is not decided here.
Sources: path_resolution(7), openat2(2), Documentation/filesystems/overlayfs.rst.
"""

from __future__ import annotations

import os
import stat
from typing import Final

from builder.errors import ImageError
from builder.tree import bounds
from builder.tree.inode import MAX_PATH_BYTES, entry_at, is_whiteout
from builder.tree.lowers import Seen, look
from builder.tree.remove import remove_at
from builder.tree.safe import Root, Walk, kind_word, shown
from builder.values.entry import Entry, Kind

MAX_LINKS: Final = 40
"""Symbolic links followed on the way to one directory, as many as the kernel follows."""

MADE_MODE: Final = 0o700
"""Of directories, until everything is in them and they get their own."""

_MAX_OPEN = 128  # descriptors kept; a tar goes through its directories one after the other


class Directory:
    """A directory of the merged tree at its real `path`.

    `dirs` are the lower trees that its content is merged from, uppermost first; `made` says that the target has it;
    `fd` is -1 while it is not open.
    """

    __slots__ = ("dirs", "fd", "made", "parent", "path")

    def __init__(self, path: bytes, parent: Directory | None, dirs: tuple[int, ...], made: bool) -> None:
        self.path = path
        self.parent = parent or self
        self.dirs = dirs
        self.made = made
        self.fd = -1

    def below(self, name: bytes) -> bytes:
        """The path of a name in here. Raises ImageError for one too long to be opened."""
        path = self.path + b"/" + name if self.path else name
        if len(path) > MAX_PATH_BYTES:
            raise ImageError(f"the path {shown(path)} is longer than {MAX_PATH_BYTES} bytes")
        return path


class Directories:
    """All directories of the target. What each one gets in the end is in `attributes`, by path.

    `opaque` are the paths whose lower content is hidden. Descriptors are closed by `close`.
    """

    def __init__(self, target: int, dirs: tuple[int, ...]) -> None:
        """`target` is a descriptor of the empty target, which stays the caller's; `dirs` as in `Lowers`."""
        self.target = Root(target, Walk.NO_SYMLINKS)
        self.root = Directory(b"", None, dirs, True)
        self.attributes: dict[bytes, Entry] = {b"": _as_below(b"", look(dirs, b""))}
        self.opaque: set[bytes] = set()
        self._named: dict[bytes, Directory] = {b"": self.root}
        self._real: dict[bytes, Directory] = {b"": self.root}
        self._links: dict[bytes, bytes] = {}
        self._open: list[Directory] = []
        self._made_bytes = 0

    def close(self) -> None:
        for directory in self._open:
            os.close(directory.fd)
            directory.fd = -1
        self._open.clear()

    def find(self, path: bytes) -> Directory:
        """The directory that a name leads to; where there is none, one that is not `made` and has no `dirs`.

        Raises ImageError if the way leads through a file or through too many links.
        """
        found = self._named.get(path)
        if found is None:
            found = self._named[path] = self._walk(path)
        return found

    def make(self, path: bytes) -> Directory:
        """The directory that a name leads to, in the target: made, as its parents are, where it is not there yet.

        What is made so has the attributes that lower trees give it, else mode 0755, owner 0:0, the beginning of time.
        Raises ImageError as `find` does, and for more of them than a layer may imply.
        """
        found = self._named.get(path)
        if found is None or not found.made:
            found = self.find(path)
            missing = []
            each = found
            while not each.made:
                missing.append(each)
                each = each.parent
            for each in reversed(missing):
                self._make_missing(each)
        return found

    def add(self, parent: Directory, name: bytes, entry: Entry) -> None:
        """Make the directory `name` in `parent` with the attributes of `entry`, or give them to the one that is there.

        Anything else that is there, which this layer put there, goes; and with it what lower trees have at the path.
        """
        path = parent.below(name)
        if path in self._links:
            self.forget()  # a lower tree's link is covered now
        fd = self.fd_of(parent)
        try:
            os.mkdir(name, MADE_MODE, dir_fd=fd)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
                os.unlink(name, dir_fd=fd)
                os.mkdir(name, MADE_MODE, dir_fd=fd)
                if parent.dirs:
                    self.opaque.add(path)
        self.attributes[path] = entry
        known = self._real.get(path)
        if known is not None:
            known.made = True

    def make_room(self, parent: Directory, name: bytes) -> None:
        """Remove what the target has at `name`, a whole directory if need be; nothing there is no error."""
        remove_at(self.fd_of(parent), name)

    def covered(self, path: bytes) -> None:
        """Something that is no directory is about to be put at `path`: walks that came through there count no more."""
        if path in self._real or path in self._links:
            self.forget()

    def hide_below(self, directory: Directory) -> None:
        """Make a directory opaque: of its lower content nothing counts any more, whenever in the layer this is said."""
        self.opaque.add(directory.path)
        directory.dirs = ()
        self.forget()

    def forget(self) -> None:
        """Look at everything anew. What these tables cost to fill is paid once per filling, so this may be often."""
        self._named = {b"": self.root}
        self._real = {b"": self.root}
        self._links = {}

    def fd_of(self, directory: Directory) -> int:
        """A descriptor (O_PATH) of a directory that is made, good until some more of them have been asked for."""
        if directory.fd < 0:
            if len(self._open) >= _MAX_OPEN:
                oldest = self._open.pop(0)
                os.close(oldest.fd)
                oldest.fd = -1
            directory.fd = self.target.open_dir(directory.path, os.O_PATH, follow_last=False)
            self._open.append(directory)
        return directory.fd

    def _walk(self, path: bytes) -> Directory:
        waiting = _parts_reversed(path)
        here = self.root
        links = 0
        while waiting:
            name = waiting.pop()
            if name == b"..":
                here = here.parent
                continue
            step = self._step(here, name)
            if isinstance(step, Directory):
                here = step
                continue
            links += 1
            if links > MAX_LINKS:
                raise ImageError(f"too many symbolic links on the way to {shown(path)}; do they form a loop?")
            if step.startswith(b"/"):
                here = self.root
            waiting += _parts_reversed(step)
        return here

    def _step(self, here: Directory, name: bytes) -> Directory | bytes:
        """The directory `name` in `here`, or where the link of that name points."""
        path = here.below(name)
        found = self._real.get(path) or self._links.get(path)
        if found is None:
            found = self._looked(here, name, path)
            if isinstance(found, Directory):
                self._real[path] = found
            else:
                self._links[path] = found
        return found

    def _looked(self, here: Directory, name: bytes, path: bytes) -> Directory | bytes:
        seen = look(here.dirs, path) if here.dirs else None
        if here.made:
            fd = self.fd_of(here)
            try:
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except FileNotFoundError:
                pass
            else:
                if is_whiteout(status):
                    return Directory(path, here, (), False)
                dirs = seen.dirs if seen and path not in self.opaque else ()
                return self._known(Directory(path, here, dirs, True), fd, name, status)
        if seen is None:
            return Directory(path, here, (), False)
        return self._known(Directory(path, here, seen.dirs, False), seen.fd, path, seen.status)

    def _known(self, directory: Directory, fd: int, at: bytes, status: os.stat_result) -> Directory | bytes:
        """`directory` if `status`, that of what is at `at` beneath `fd`, is one's; or the link's target."""
        if stat.S_ISDIR(status.st_mode):
            return directory
        if stat.S_ISLNK(status.st_mode):
            return os.readlink(at, dir_fd=fd)
        what = f"{shown(directory.path)} is {kind_word(status.st_mode)} and no directory"
        raise ImageError(f"{what}, but the layer has something below it")

    def _make_missing(self, directory: Directory) -> None:
        parent = directory.parent
        if not directory.made:
            self._made_bytes += len(directory.path)
            bounds.check_made(self._made_bytes)
            seen = look(parent.dirs, directory.path) if parent.dirs and directory.dirs else None
            name = directory.path.rpartition(b"/")[2]
            self.add(parent, name, _as_below(directory.path, seen))
            directory.made = True


def _as_below(path: bytes, seen: Seen | None) -> Entry:
    """What a directory is that the layer does not describe: as lower trees have it."""
    if seen is None or not seen.dirs:
        return Entry(path, Kind.DIR, 0o755)
    return entry_at(seen.fd, path, seen.status)


def _parts_reversed(path: bytes) -> list[bytes]:
    return [part for part in path.split(b"/") if part not in (b"", b".")][::-1]

"""Putting the entries of a layer on disk, in overlay form: whiteouts are devices 0:0, opaque directories have a mark.

The target is a directory of ours that nobody else writes. Later entries replace earlier ones, as if the layer were laid
over the lower trees entry by entry; a whiteout and an opaque mark speak of lower trees only, wherever they stand.
Device nodes are left out on every rung: a user namespace may not make them, and a step never needs an image's.
Sources: OCI image-spec, layer.md; Documentation/filesystems/overlayfs.rst; mknod(2), link(2).
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Protocol, Self

from builder.errors import ImageError, MachineError
from builder.tree.attributes import SPECIAL_BITS, Owners, make_so, set_opaque
from builder.tree.inode import entry_at, is_whiteout
from builder.tree.lowers import look, names_in
from builder.tree.merged import MADE_MODE, Directories, Directory
from builder.tree.safe import kind_word, shown
from builder.values.entry import Entry, Kind

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_COPY_BYTES = 1 << 20


class Pieces(Protocol):
    """The content of a file; read once."""

    def pieces(self) -> Iterable[bytes]: ...


class Placer:
    """Puts entries into `target`, over the lower trees `dirs` (as in `Lowers`). Closed by `with`.

    All methods raise ImageError for what the layer has wrong, OSError for what the file system refuses. The umask must
    be 0. `devices` are the real paths of the device nodes that were left out.
    """

    def __init__(self, target: int, dirs: tuple[int, ...], owners: Owners) -> None:
        self.devices: set[bytes] = set()
        self._below = dirs
        self._owners = owners
        self._tree = Directories(target, dirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tree.close()

    def place(self, entry: Entry, content: Pieces) -> Entry:
        """Put an entry on disk; returns it with the digest of its content."""
        kind = entry.kind
        if kind is Kind.OPAQUE:
            self._tree.hide_below(self._tree.make(entry.path))
            return entry
        if not entry.path:
            self._tree.attributes[b""] = entry
            return entry
        head, _, name = entry.path.rpartition(b"/")
        parent = self._tree.make(head)
        if kind is Kind.FILE:
            return self._file(parent, name, entry, content)
        if kind is Kind.DIR:
            self._tree.add(parent, name, entry)
        elif kind is Kind.WHITEOUT:
            self._whiteout(parent, name)
        elif kind is Kind.SYMLINK:
            self._symlink(parent, name, entry)
        elif kind is Kind.HARDLINK:
            self._hard_link(parent, name, entry)
        elif kind is Kind.FIFO:
            self._fifo(parent, name, entry)
        elif kind is Kind.CHAR or kind is Kind.BLOCK:
            self.devices.add(parent.below(name))
        else:
            raise ImageError(f"{shown(entry.path)} is of a kind that no layer can have ({kind.name})")
        return entry

    def finish(self) -> None:
        """Give all directories what they are to have in the end, the last made first."""
        tree = self._tree
        if b"" in tree.opaque:
            self._hide_root()
        for path, entry in reversed(tree.attributes.items()):
            try:
                fd = tree.target.open_dir(path, follow_last=False)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                    continue  # a later entry has replaced it
                raise
            try:
                if path in tree.opaque:
                    set_opaque(fd, path)
                make_so(fd, entry, self._owners, MADE_MODE)
            finally:
                os.close(fd)

    def _file(self, parent: Directory, name: bytes, entry: Entry, content: Pieces) -> Entry:
        owners = self._owners
        self._tree.covered(parent.below(name))
        special = entry.mode & SPECIAL_BITS or entry.xattrs or owners.differ(entry)
        mode = 0o600 if special else entry.mode
        try:
            fd = os.open(name, _CREATE, mode, dir_fd=self._tree.fd_of(parent))
        except FileExistsError:
            self._tree.make_room(parent, name)
            fd = os.open(name, _CREATE, mode, dir_fd=self._tree.fd_of(parent))
        try:
            digest = _write(fd, content)
            if special:
                make_so(fd, entry, owners, mode)
            else:
                os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(fd)
        return entry._replace(digest=digest)

    def _symlink(self, parent: Directory, name: bytes, entry: Entry) -> None:
        self._tree.covered(parent.below(name))
        try:
            os.symlink(entry.link, name, dir_fd=self._tree.fd_of(parent))
        except FileExistsError:
            self._tree.make_room(parent, name)
            os.symlink(entry.link, name, dir_fd=self._tree.fd_of(parent))
        fd = self._tree.fd_of(parent)
        self._owners.give_link(name, fd, entry)
        os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=fd, follow_symlinks=False)

    def _fifo(self, parent: Directory, name: bytes, entry: Entry) -> None:
        self._tree.covered(parent.below(name))
        try:
            os.mkfifo(name, 0o600, dir_fd=self._tree.fd_of(parent))
        except FileExistsError:
            self._tree.make_room(parent, name)
            os.mkfifo(name, 0o600, dir_fd=self._tree.fd_of(parent))
        fd = self._tree.fd_of(parent)
        self._owners.give_link(name, fd, entry)
        os.chmod(name, entry.mode, dir_fd=fd)  # made just now and no link, so there is nothing to follow
        os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=fd, follow_symlinks=False)

    def _whiteout(self, parent: Directory, name: bytes) -> None:
        """Hide what lower trees have at the name; what this layer itself has there stays."""
        path = parent.below(name)
        fd = self._tree.fd_of(parent)
        try:
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            self._tree.covered(path)
            _make_whiteout(fd, name, path)
            return
        if stat.S_ISDIR(status.st_mode):
            self._tree.hide_below(self._tree.find(path))

    def _hard_link(self, parent: Directory, name: bytes, entry: Entry) -> None:
        """Another name for a file of this layer, or of a lower one, which is then copied up as overlay would do it."""
        tree = self._tree
        head, _, link_name = entry.link.rpartition(b"/")
        source = tree.find(head)
        if source.below(link_name) in self.devices:
            self.devices.add(parent.below(name))
            return
        self._bring_up(source, link_name, entry)
        if (source.path, link_name) == (parent.path, name):
            return
        tree.covered(parent.below(name))
        try:
            self._link(source, link_name, parent, name)
        except FileExistsError:
            tree.make_room(parent, name)
            self._link(source, link_name, parent, name)

    def _link(self, source: Directory, link_name: bytes, parent: Directory, name: bytes) -> None:
        tree = self._tree
        tree.fd_of(source)
        into = tree.fd_of(parent)
        # Asked for again: opening the second may have closed the first, but never the other way round.
        os.link(link_name, name, src_dir_fd=tree.fd_of(source), dst_dir_fd=into, follow_symlinks=False)

    def _bring_up(self, source: Directory, name: bytes, entry: Entry) -> None:
        """Have the target of a hard link in our own tree. Raises ImageError if there is none, or a directory."""
        path = source.below(name)
        status = None
        if source.made:
            try:
                status = os.stat(name, dir_fd=self._tree.fd_of(source), follow_symlinks=False)
            except FileNotFoundError:
                pass
        seen = look(source.dirs, path) if status is None and source.dirs else None
        mode = status.st_mode if status else seen.status.st_mode if seen else 0
        if not mode or (status and is_whiteout(status)):
            raise ImageError(f"{shown(entry.path)} is a hard link to {shown(entry.link)}, which does not exist")
        if stat.S_ISDIR(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            raise ImageError(f"{shown(entry.path)} is a hard link to {shown(entry.link)}, which is {kind_word(mode)}")
        if seen is not None:
            content = _Lower(seen.fd, path) if stat.S_ISREG(mode) else _NOTHING
            self.place(entry_at(seen.fd, path, seen.status), content)

    def _hide_root(self) -> None:
        """Hide all that lower trees have. Overlay takes no opaque mark on the root, so every name gets its own."""
        fd = self._tree.target.open_dir(b"", os.O_PATH)
        try:
            for name in names_in(self._below, b""):
                seen = look(self._below, name)
                if seen is None:
                    continue
                try:
                    status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                except FileNotFoundError:
                    _make_whiteout(fd, name, name)
                else:
                    if stat.S_ISDIR(status.st_mode):
                        self._tree.opaque.add(name)
        finally:
            os.close(fd)


class _Lower:
    """The content of a file of a lower tree, whose directory is known to be a real one."""

    def __init__(self, fd: int, path: bytes) -> None:
        self._fd = fd
        self._path = path

    def pieces(self) -> Iterator[bytes]:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        fd = os.open(self._path, flags, dir_fd=self._fd)
        try:
            while piece := os.read(fd, _COPY_BYTES):
                yield piece
        finally:
            os.close(fd)


class _Nothing:
    def pieces(self) -> tuple[bytes, ...]:
        return ()


_NOTHING = _Nothing()


def _write(fd: int, content: Pieces) -> str:
    """Write a content to its end; its sha256 in hex."""
    digest = hashlib.sha256()
    for piece in content.pieces():
        digest.update(piece)
        done = os.write(fd, piece)
        while done < len(piece):
            done += os.write(fd, memoryview(piece)[done:])
    return digest.hexdigest()


def _make_whiteout(fd: int, name: bytes, path: bytes) -> None:
    try:
        os.mknod(name, stat.S_IFCHR, os.makedev(0, 0), dir_fd=fd)
    except PermissionError as error:
        # Newer kernels (6.7) also know an empty file with the attribute user.overlay.whiteout; support needs a kernel
        # to try it on that allows it and not this.
        raise MachineError(
            f"this kernel or file system does not let us mark {shown(path)} as deleted (mknod of device 0:0)",
            hint="Linux 5.8 or newer is needed, and a store (--root) on a local file system such as ext4 or XFS",
        ) from error

"""Real file trees for tests: making them, describing them, stacking them, and applying a layer in the plainest way."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from builder.kernel.constants import MNT_DETACH
from builder.kernel.syscalls import mount, umount2
from builder.tree.diff import changes
from builder.tree.pack import Item

Description = dict[str, tuple[object, ...]]


def sh(directory: Path, script: str) -> None:
    """Run a shell script in `directory`."""
    subprocess.run(["sh", "-euc", script], cwd=directory, check=True)


@contextmanager
def overlay(directory: Path, lowers: Sequence[Path], upper: Path) -> Iterator[Path]:
    """An overlay of `lowers` (uppermost first) and `upper`, mounted as the steps' roots are."""
    work, merged = directory / f"{upper.name}.work", directory / f"{upper.name}.merged"
    for each in (work, merged, upper):
        each.mkdir(exist_ok=True)
    shutil.copystat(lowers[0], upper)
    data = f"lowerdir={':'.join(map(str, lowers))},upperdir={upper},workdir={work},userxattr,volatile"
    mount("overlay", str(merged), "overlay", 0, data)
    try:
        yield merged
    finally:
        umount2(str(merged), MNT_DETACH)


def step(directory: Path, base: str, script: str) -> tuple[Path, Path]:
    """A lower tree made by the shell script `base`, and the upper one after `script` ran on an overlay of it."""
    lower, upper = directory / "lower", directory / "upper"
    lower.mkdir()
    sh(lower, base)
    with overlay(directory, [lower], upper) as merged:
        sh(merged, script)
    return upper, lower


def shown(items: Iterator[Item]) -> list[str]:
    """Items as `kind path`, with `->link` where there is one."""
    lines = []
    for entry, _ in items:
        link = f"->{os.fsdecode(entry.link)}" if entry.link else ""
        lines.append(f"{entry.kind} {os.fsdecode(entry.path)}{link}")
    return lines


def changed(directory: Path, base: str, script: str) -> list[str]:
    """What `changes` says about `script` having run over what `base` made."""
    upper, lower = step(directory, base, script)
    return shown(changes(str(upper), (str(lower),)))


def describe(root: Path, directory_times: bool = False) -> Description:
    """Everything below `root` that a layer should carry; hard links by the first name of their group."""
    found: Description = {}
    firsts: dict[tuple[int, int], str] = {}
    for where, directories, files in os.walk(root):
        directories.sort()
        for name in sorted(directories + files):
            path = Path(where, name)
            relative = str(path.relative_to(root))
            status = path.lstat()
            if stat.S_ISSOCK(status.st_mode):
                continue
            content = ""
            is_directory = stat.S_ISDIR(status.st_mode)
            if stat.S_ISREG(status.st_mode):
                content = hashlib.sha256(path.read_bytes()).hexdigest()
            elif path.is_symlink():
                content = os.readlink(path)
            first = "" if is_directory else firsts.setdefault((status.st_dev, status.st_ino), relative)
            time = 0 if is_directory and not directory_times else status.st_mtime_ns
            xattrs = [
                (key, os.getxattr(path, key, follow_symlinks=False))
                for key in sorted(os.listxattr(path, follow_symlinks=False))
                if not key.startswith(("user.overlay.", "user.fuseoverlayfs.", "security.selinux"))
            ]
            owner = (status.st_uid, status.st_gid)
            found[relative] = (oct(status.st_mode), owner, content, first, time, tuple(xattrs))
    return found


def apply(tar: Path, target: Path) -> None:
    """Lay an uncompressed layer over the plain tree `target`, as image-spec's layer.md says and no faster."""
    with tarfile.open(tar, errors="surrogateescape") as archive:
        members = archive.getmembers()
        for member in members:  # whiteouts are about the layers below, so they come first of all
            parent, name = os.path.split(os.path.join(target, member.name))
            if name == ".wh..wh..opq":
                for each in os.listdir(parent) if os.path.isdir(parent) else ():
                    _remove(os.path.join(parent, each))
            elif name.startswith(".wh."):
                _remove(os.path.join(parent, name[4:]))
        ordinary = [member for member in members if not os.path.basename(member.name).startswith(".wh.")]
        for member in ordinary:
            path = os.path.join(target, member.name)
            if not (member.isdir() and os.path.isdir(path) and not os.path.islink(path)):
                _remove(path)
            _make(archive, member, path, target)
        for member in reversed(ordinary):
            if not member.islnk():
                _set_attributes(member, os.path.join(target, member.name))


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def _make(archive: tarfile.TarFile, member: tarfile.TarInfo, path: str, target: Path) -> None:
    if member.isdir():
        os.makedirs(path, exist_ok=True)
    elif member.issym():
        os.symlink(member.linkname, path)
    elif member.islnk():
        os.link(os.path.join(target, member.linkname), path, follow_symlinks=False)
    elif member.isfifo():
        os.mkfifo(path)
    else:
        content = archive.extractfile(member)
        assert content is not None
        Path(path).write_bytes(content.read())


def _set_attributes(member: tarfile.TarInfo, path: str) -> None:
    os.chown(path, member.uid, member.gid, follow_symlinks=False)
    if not member.issym():
        os.chmod(path, member.mode)
        for key in os.listxattr(path):  # of a directory that was there before; its entry says all that it has now
            if key.startswith("user."):
                os.removexattr(path, key)
    for key, value in member.pax_headers.items():
        if key.startswith("SCHILY.xattr."):
            os.setxattr(path, key.removeprefix("SCHILY.xattr."), value.encode("utf-8", "surrogateescape"))
    seconds, _, fraction = member.pax_headers.get("mtime", str(int(member.mtime))).partition(".")
    nanoseconds = int(seconds) * 10**9 + int(fraction.ljust(9, "0") or 0)
    os.utime(path, ns=(nanoseconds, nanoseconds), follow_symlinks=False)

"""A deliberately careless unpacker: the judge must find it out, or the judge is worth nothing."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path


def unpack_naively(layer: bytes, root: Path) -> None:
    """Unpack as one would who trusts everybody: names joined to the root, links followed, errors passed over."""
    root.mkdir()
    try:
        with tarfile.open(fileobj=io.BytesIO(layer), mode="r:") as archive:
            for member in archive:
                try:
                    _place(archive, member, os.path.join(root, member.name))
                except (OSError, ValueError, KeyError):
                    continue
    except (tarfile.TarError, ValueError, OSError, RecursionError):
        return


def _place(archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
    name = os.path.basename(path)
    if name.startswith(".wh."):
        hidden = os.path.join(os.path.dirname(path), name.removeprefix(".wh."))
        if os.path.isfile(hidden):
            os.unlink(hidden)
    elif member.isdir():
        os.makedirs(path, exist_ok=True)
        os.chmod(path, 0o755)
    elif member.issym():
        os.symlink(member.linkname, path)
    elif member.islnk():
        os.link(os.path.join(path[: -len(member.name)], member.linkname), path, follow_symlinks=True)
    else:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        content = archive.extractfile(member)
        with open(path, "wb") as out:
            out.write(content.read() if content is not None else b"")

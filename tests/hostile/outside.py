"""What lies outside of all that a stranger may touch: a directory that is looked at before and after."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Outside:
    """A directory with a canary in it, and all that can be said of it."""

    path: Path
    before: tuple[tuple[object, ...], ...]

    @classmethod
    def make(cls, path: Path, content: str = "alive") -> Outside:
        """A fresh one at `path`; `content` is what its canaries hold."""
        path.mkdir()
        (path / "canary").write_text(content)
        (path / "inner").mkdir()
        (path / "inner" / "canary").write_text(content)
        return cls(path, _facts(path))

    def faults(self) -> list[str]:
        """What has changed; empty when nothing has."""
        after = _facts(self.path)
        return [] if after == self.before else [f"outside has changed: {set(after) ^ set(self.before)}"]


def _facts(path: Path) -> tuple[tuple[object, ...], ...]:
    """Names, types, modes, owners, links, times of change and contents. Not atime: looking is no harm."""
    found: list[tuple[object, ...]] = []
    for where, directories, files in os.walk(path):
        for name in (".", *sorted(directories), *sorted(files)):
            at = Path(where, name)
            status = at.lstat()
            content = at.read_bytes() if at.is_file() and not at.is_symlink() else b""
            found.append((str(at), status.st_mode, status.st_uid, status.st_nlink, status.st_ctime_ns, content))
    return tuple(found)

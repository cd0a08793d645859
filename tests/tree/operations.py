"""Random changes of a small file tree, as hypothesis draws them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from hypothesis import strategies as st

_names = st.sampled_from(["a", "b", "c"])
_paths = st.lists(_names, min_size=1, max_size=3).map("/".join)
_verbs = st.sampled_from(
    ["write", "write", "append", "mkdir", "mkdir", "remove", "remake", "rename", "link", "symlink", "chmod", "chown",
     "touch", "xattr", "fifo", "rewrite"]
)  # fmt: skip
operations = st.lists(st.tuples(_verbs, _paths, _paths), max_size=12)
"""Lists of a verb with two paths; `perform` makes sense of them, or skips what cannot be done."""


def perform(root: Path, some: Sequence[tuple[str, str, str]]) -> None:
    """Do these things in `root`, one after the other; what the tree does not allow is left undone."""
    for number, (verb, one, other) in enumerate(some):
        try:
            _do(verb, root / one, root / other, number)
        except OSError:
            pass


def _do(verb: str, path: Path, other: Path, number: int) -> None:
    is_link = path.is_symlink()
    if verb == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() or path.is_fifo():
            path.unlink()
        path.write_text(f"content {number}")
    elif verb in ("append", "rewrite") and path.is_file() and not is_link:
        status = path.stat()
        data = path.read_bytes()
        path.write_bytes(data if verb == "rewrite" else data + b"+")
        if verb == "rewrite":
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    elif verb == "mkdir":
        path.mkdir(parents=True, exist_ok=True)
    elif verb in ("remove", "remake"):
        is_directory = path.is_dir() and not is_link
        shutil.rmtree(path) if is_directory else path.unlink()
        if verb == "remake":
            path.mkdir()
    elif verb == "rename":
        os.rename(path, other)
    elif verb == "link":
        os.link(path, other, follow_symlinks=False)
    elif verb == "symlink":
        path.symlink_to(other.name)  # always within the tree
    elif verb == "fifo":
        os.mkfifo(path)
    elif verb == "chown":
        os.chown(path, number + 1, number + 2, follow_symlinks=False)
    elif verb == "touch":
        os.utime(path, ns=(0, number * 1_500_000_000), follow_symlinks=False)
    elif verb in ("chmod", "xattr") and not is_link and (path.is_file() or path.is_dir()):
        path.chmod(0o4700 + number) if verb == "chmod" else os.setxattr(path, f"user.x{number % 2}", b"%d" % number)

"""The interpreter that runs us, kept from being changed by a step (CVE-2019-5736).

Until its exec the process of a step is this interpreter, and the program that it is to execute may be a link (or name
an interpreter) that leads to /proc/self/exe. The step then is our interpreter with the image's libraries, and can open
its own program's file through /proc: the host's. The kernel lets nobody write to a program while it runs (ETXTBSY), but
its mode could be changed at once. Where the file belongs to an id that steps have, a Python in the user's home or any
Python on the rung ROOT, the worker therefore starts once more, from a read-only mount of the program: what is opened
through /proc/self/exe lies on the mount that it was executed from, and there everything is EROFS.
A Python that belongs to the system, as most do, costs nothing. Sources: proc(5); runc's advisory GHSA-gxmr-w5mj-v8hh.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from builder.kernel.constants import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    MOUNT_ATTR_RDONLY,
    MOVE_MOUNT_F_EMPTY_PATH,
    OPEN_TREE_CLONE,
)
from builder.kernel.syscalls import SyscallError, mount_setattr, move_mount, open_tree
from builder.values.crossing import Rung

_PROGRAM = "/proc/self/exe"


def is_exposed(rung: Rung) -> bool:
    """Whether the ids of a step's namespace have a say over this interpreter's file. To be asked outside of it."""
    facts = os.stat(_PROGRAM)
    if not facts.st_nlink:
        return False  # replaced by a package meanwhile: nobody will execute it again
    return rung is Rung.ROOT or facts.st_uid == os.geteuid() or os.access(_PROGRAM, os.W_OK)


def start_again(arguments: Sequence[str]) -> NoReturn:
    """Execute this interpreter with other arguments from a read-only mount of it, made in this mount namespace."""
    program = os.readlink(_PROGRAM)
    mount = open_tree(AT_FDCWD, program, OPEN_TREE_CLONE)
    try:
        mount_setattr(mount, "", AT_EMPTY_PATH, MOUNT_ATTR_RDONLY)
        move_mount(mount, "", AT_FDCWD, program, MOVE_MOUNT_F_EMPTY_PATH)
    finally:
        os.close(mount)
    try:
        os.execv(sys.executable, [sys.executable, *arguments])
    except OSError as error:
        raise SyscallError("execve", error.errno or 0, sys.executable) from error


def require_protection() -> None:
    """Raise SyscallError (execve) where we were not executed from a read-only mount after all."""
    if not os.statvfs(_PROGRAM).f_flag & os.ST_RDONLY:
        raise SyscallError("execve", errno.EACCES, f"{sys.executable} from a read-only mount")

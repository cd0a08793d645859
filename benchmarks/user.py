"""Who runs the benchmark: an ordinary user with a range of subordinate ids, as people build without root."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Sequence
from pathlib import Path

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_DAEMONS = ("BUILDKIT_HOST", "DOCKER_HOST")
"""Variables that say where a peer's daemon is."""


class WrongUser(Exception):
    """The benchmark cannot run as this user; the text says what to do."""


def become(name: str, words: Sequence[str]) -> None:
    """Where root runs this: start again as that user. Raises WrongUser where there is nobody to be."""
    if os.geteuid() == 0:
        if not name:
            raise WrongUser("run this as an ordinary user, or as root with --user NAME")
        _start_again(name, words)
    user = pwd.getpwuid(os.geteuid()).pw_name
    if not any(
        line.split(":")[0] in (user, str(os.geteuid())) for line in Path("/etc/subuid").read_text().splitlines()
    ):
        raise WrongUser(
            f"{user} has no range in /etc/subuid: "
            f"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}"
        )


def _start_again(name: str, words: Sequence[str]) -> None:
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise WrongUser(f"there is no user {name}") from None
    if user.pw_uid == 0:
        raise WrongUser(f"{name} is root; an ordinary user is needed")
    os.initgroups(name, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    environment = {"HOME": user.pw_dir, "USER": name, "LOGNAME": name, "PATH": _PATH, "LANG": "C.UTF-8"}
    environment |= {name: os.environ[name] for name in _DAEMONS if name in os.environ}
    script = str(Path(__file__).with_name("run"))
    if not os.access(".", os.X_OK):
        os.chdir("/")
    # The interpreter that root has may lie where nobody else may look, and so may what its PATH finds.
    python = sys.executable if os.access(sys.executable, os.X_OK) else "/usr/bin/python3"
    os.execve(python, [python, script, *words], environment)

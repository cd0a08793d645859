"""A machine of the tests' own: namespaces in which they are root, with a network and files under names of their choice.

pybuild inside it is on the rung ROOT. What it has: a loopback, an interface with a default route that leads nowhere,
and whatever the test mounts over the real machine's files.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

_NETWORK = (
    "ip link set lo up",
    "ip link add eth0 type veth peer name far0",
    "ip addr add 192.0.2.9/24 dev eth0",
    "ip link set eth0 up",
    "ip link set far0 up",
    "ip route add default via 192.0.2.1",
)


@dataclass(frozen=True)
class Machine:
    """Files that are mounted over the real machine's: its path → what is shown there."""

    files: tuple[tuple[str, Path], ...] = ()
    timeout_s: float = 120

    def run(self, *commands: str) -> subprocess.CompletedProcess[str]:
        """Run shell commands, the last one's status being that of all; skips where there cannot be such a machine."""
        if shutil.which("ip") is None or shutil.which("unshare") is None:
            pytest.skip("needs ip and unshare (Debian: iproute2, util-linux)")
        mounts = [f"mount --bind {shlex.quote(str(shown))} {shlex.quote(name)}" for name, shown in self.files]
        script = "\n".join(["set -e", *_NETWORK, *mounts, *commands])
        words = ["unshare", "--map-root-user", "--map-auto", "--mount", "--net", "--pid", "--fork", "--mount-proc"]
        return subprocess.run(
            [*words, "--kill-child", "sh", "-c", script],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=self.timeout_s,
            check=False,
        )

"""The network of a step."""

from __future__ import annotations

import os

import pytest

from builder.values.crossing import NetworkMode
from tests.kernel.bench import Bench

pytestmark = pytest.mark.kernel


class TestNetwork:
    """The network that was asked for."""

    def test_none(self, room: Bench) -> None:
        """Without a network there is the loopback, it is up, and there is nothing else."""
        outcome = room.run(
            "cat /sys/class/net/lo/operstate; ls /sys/class/net; ping -c1 -W1 127.0.0.1 >/dev/null; ifconfig",
            network=NetworkMode.NONE,
        )
        assert "127.0.0.1" in outcome.output
        assert "eth" not in outcome.output

    def test_host(self, room: Bench) -> None:
        """With the host's network the interfaces are the host's."""
        ours = sorted(os.listdir("/sys/class/net"))
        assert sorted(room.run("ls /sys/class/net").output.split()) == ours

"""Commands that are found, and commands that cannot be run."""

from __future__ import annotations

import pytest

from builder.values.crossing import Tree
from tests.kernel.bench import Bench

pytestmark = pytest.mark.kernel


class TestMissingPrograms:
    """Commands that cannot be run."""

    def test_no_shell(self, room: Bench) -> None:
        """Without a shell the message says so, and the status is 127."""
        outcome = room.run("sh", "-c", "true", root=Tree(()))
        assert outcome.status == 127
        assert '"sh"' in outcome.output and "without a shell" in outcome.output

    def test_not_executable(self, room: Bench) -> None:
        """What is there but cannot be executed gives 126."""
        outcome = room.run("/etc/plain", "x", root=room.with_image("plain", {"etc/plain": "text"}))
        assert outcome.status == 126

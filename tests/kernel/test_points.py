"""Mount points that the image lacks."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.kernel.bench import Bench

pytestmark = pytest.mark.kernel


class TestTrace:
    def test_mount_points_leave_no_trace(self, room: Bench) -> None:
        """A step that changes nothing leaves nothing, though the image lacks every mount point."""
        outcome = room.run("ls -d /proc /sys /dev /etc/hosts /etc/resolv.conf")
        assert outcome.status == 0
        assert outcome.changed == []

    def test_parents_of_mount_points_keep_their_attributes(self, room: Bench) -> None:
        """A directory in which a mount point was made looks as it is in the image, and is copied up as such."""
        root = room.with_image("attributes", {"etc/there": "x"})
        etc = Path(root.lowers[0]) / "etc"
        etc.chmod(0o2751)
        os.utime(etc, (1_000_000_000, 1_000_000_000))
        os.setxattr(etc, "user.note", b"kept")
        before = room.run("stat -c '%a %u:%g %Y' /etc", root=root)
        assert before.output == "2751 0:0 1000000000\n"
        after = room.run("chmod 600 /etc/there", root=root)
        assert after.changed == ["etc", "etc/there"]
        found = (after.upper / "etc").stat()
        assert stat.S_IMODE(found.st_mode) == 0o2751
        assert os.getxattr(after.upper / "etc", "user.note") == b"kept"

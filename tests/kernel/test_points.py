"""Mount points that the image lacks."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from builder.errors import ContextError
from builder.kernel.points import Point, Target, build_layer, missing_points
from tests.kernel.bench import Bench


class TestMissing:
    """Which mount points have to be made."""

    def test_what_is_missing(self, tmp_path: Path) -> None:
        """Existing targets and those inside earlier ones are left out; links are resolved first."""
        (tmp_path / "etc").mkdir()
        (tmp_path / "etc" / "hosts").write_text("")
        (tmp_path / "etc" / "resolv.conf").symlink_to("../run/r/resolv.conf")
        targets = (
            Target("/proc", True, real=True),
            Target("/etc/hosts", False),
            Target("/etc/resolv.conf", False),
            Target("/proc/inner", True),
        )
        view = os.open(tmp_path, os.O_RDONLY)
        assert missing_points(view, targets) == (
            Point((b"proc",), 0, True),
            Point((b"run", b"r", b"resolv.conf"), 0, False),
        )
        os.close(view)

    def test_root(self, tmp_path: Path) -> None:
        """A target that leads to the root is refused."""
        (tmp_path / "up").symlink_to("../..")
        view = os.open(tmp_path, os.O_RDONLY)
        with pytest.raises(ContextError, match="root of the image"):
            missing_points(view, (Target("/up", True),))
        os.close(view)

    def test_layer(self, tmp_path: Path) -> None:
        """The layer holds the points and repeats modes, times and xattrs of the directories on the way."""
        view_path = tmp_path / "view"
        (view_path / "a" / "b").mkdir(parents=True)
        (view_path / "a").chmod(0o2710)
        os.setxattr(view_path / "a" / "b", "user.mark", b"1")
        for path in ("a/b", "a", "."):
            os.utime(view_path / path, ns=(1_000, 123_456_789))
        view = os.open(view_path, os.O_RDONLY)
        points = (Point((b"a", b"b", b"c", b"file"), 2, False), Point((b"a", b"d"), 1, True))
        build_layer(view, points, str(tmp_path / "layer"))
        os.close(view)
        layer = tmp_path / "layer"
        assert (layer / "a/b/c/file").is_file() and (layer / "a/d").is_dir()
        assert (layer / "a").stat().st_mode & 0o7777 == 0o2710
        assert os.getxattr(layer / "a/b", "user.mark") == b"1"
        assert [(layer / path).stat().st_mtime_ns for path in ("a/b", "a", ".")] == [123_456_789] * 3


@pytest.mark.kernel
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

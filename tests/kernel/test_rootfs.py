"""Roots put together in each way: what a step sees, and what is left in its upper directory."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from builder.values.crossing import CacheMount, RootKind, Tree, TreeMount
from tests.kernel.bench import Bench, bench

pytestmark = pytest.mark.kernel


class TestScratch:
    def test_no_layers(self, room: Bench) -> None:
        """On scratch a static program that was mounted in can run, and what it makes is all there is."""
        program = room.tree("static", {})
        Path(program.lowers[0], "busybox").write_bytes(Path("/bin/busybox").read_bytes())
        Path(program.lowers[0], "busybox").chmod(0o755)
        mounts = (TreeMount(program, "/busybox", "/tools/busybox"),)
        outcome = room.run("/tools/busybox", "mkdir", "/made", root=Tree(()), mounts=mounts)
        assert (outcome.status, outcome.changed) == (0, ["made"])

    def test_many_layers(self, room: Bench) -> None:
        """A stack of 220 layers works."""
        layers = [room.tree(f"many-{n}", {f"n{n}": str(n), "same": str(n)}).lowers[0] for n in range(220)]
        outcome = room.run("ls / | grep -c '^n'; cat /same", root=Tree((*reversed(layers), str(room.image))))
        assert outcome.lines() == ["220", "219"]


class TestUpper:
    def test_whiteouts_and_opaque_directories(self, room: Bench) -> None:
        """Removed files are whiteouts in upper, replaced directories are opaque."""
        root = room.with_image("removals", {"a": "1", "d/x": "2"})
        outcome = room.run("rm /a; rm -r /d; mkdir /d; echo 3 >/d/y", root=root)
        gone = (outcome.upper / "a").lstat()
        assert stat.S_ISCHR(gone.st_mode) and gone.st_rdev == 0
        assert os.getxattr(outcome.upper / "d", "user.overlay.opaque") == b"y"


@pytest.mark.parametrize("kind", [RootKind.FUSE, RootKind.COPY])
class TestOtherKinds:
    """Where the kernel refuses an overlay."""

    def test_same_changes(self, kind: RootKind) -> None:
        """Changes are put into upper in overlay's form: files, removals, replaced directories; no mount points."""
        if kind is RootKind.FUSE and not os.access("/dev/fuse", os.R_OK | os.W_OK):
            pytest.skip("needs /dev/fuse")
        with bench(kind=kind) as room:
            root = room.with_image("base", {"a": "1", "d/x": "2", "keep/y": "3", "etc/z": "4"})
            outcome = room.run("rm /a; rm -r /d; mkdir /d; echo 5 >/d/n; chown 7 /keep/y; touch /new", root=root)
            assert outcome.output == ""
            upper = outcome.upper
            gone = (upper / "a").lstat()
            assert stat.S_ISCHR(gone.st_mode) and gone.st_rdev == 0
            assert set(outcome.changed) <= {"a", "d", "d/n", "d/x", "keep", "keep/y", "new", "etc"}
            room.kind = RootKind.OVERLAY  # the kernel's own reading of it
            again = room.run("stat -c %u /keep/y; ls /d; ls /a", root=Tree((str(upper), *root.lowers)))
            assert again.lines()[:2] == ["7", "n"]
            assert again.status == 1

    def test_mounts(self, kind: RootKind) -> None:
        """Mounts of trees and caches work there too."""
        if kind is RootKind.FUSE and not os.access("/dev/fuse", os.R_OK | os.W_OK):
            pytest.skip("needs /dev/fuse")
        with bench(kind=kind) as room:
            tree = room.tree("source", {"sub/file": "content"})
            mounts = (
                TreeMount(tree, "/sub", "/mnt/tree"),
                TreeMount(tree, "/sub", "/mnt/writable", writable=True),
                CacheMount(str(room.base / "cache"), "/mnt/cache"),
            )
            script = "cat /mnt/tree/file; echo x >/mnt/tree/no; echo x >/mnt/writable/yes && echo k >/mnt/cache/kept"
            outcome = room.run(script, mounts=mounts)
            assert outcome.output.startswith("content")
            assert outcome.status == 0
            assert (room.base / "cache" / "kept").read_text() == "k\n"
            assert not (Path(tree.lowers[0]) / "sub" / "yes").exists()
            assert set(outcome.changed) <= {"etc"}

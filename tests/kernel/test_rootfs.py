"""Roots put together in each way: what a step sees, and what is left in its upper directory."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from builder.errors import MachineError, StoreError
from builder.kernel import fuse, rootfs
from builder.kernel.mounts import make_private
from builder.kernel.sandbox import perform
from builder.kernel.seccomp import ALLOW, UNKNOWN, branch
from builder.kernel.seccomp_numbers import numbers_of
from builder.kernel.syscalls import mount, seccomp_filter
from builder.tree import copyup
from builder.values.crossing import CacheMount, RootKind, RunJob, StepSpec, Tree, TreeMount
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


class TestRefusal:
    """Machines and stores that cannot do what is wanted."""

    def test_store_on_an_overlay(self, room: Bench) -> None:
        """An upper directory on an overlay is refused by the kernel; the message says where the store may be."""
        step = room.spec("true")

        def body() -> int:
            make_private()
            place = room.base / "on-overlay"
            for name in ("lower", "upper", "work", "root"):
                (place / name).mkdir(parents=True)
            words = f"lowerdir={place}/lower,upperdir={place}/upper,workdir={place}/work,userxattr"
            mount("overlay", str(place / "root"), "overlay", 0, words)
            inner = str(place / "root" / "step")
            moved = replace(step, upper=inner + "/upper", work=inner + "/work")
            return perform(RunJob(moved), [1], RootKind.OVERLAY).status

        with pytest.raises(MachineError, match="overlay of 2 layers") as caught:
            room.inside(body)
        assert "--root" in (caught.value.hint or "")

    def test_copies_on_an_overlay(self, room: Bench) -> None:
        """Where the store is on an overlay, a step that only adds works with copies; a removal says what is needed."""
        adds, removes = room.spec("echo x >/new"), room.spec("rm /bin/ls")

        def body(step: StepSpec, name: str) -> int:
            make_private()
            place = room.base / name
            for inner in ("lower", "upper", "work", "root"):
                (place / inner).mkdir(parents=True)
            words = f"lowerdir={place}/lower,upperdir={place}/upper,workdir={place}/work,userxattr"
            mount("overlay", str(place / "root"), "overlay", 0, words)
            moved = replace(step, upper=f"{place}/root/upper", work=f"{place}/root/work")
            return perform(RunJob(moved), [1], RootKind.COPY, copyup).status

        assert room.inside(lambda: body(adds, "adding")) == 0
        with pytest.raises(MachineError, match="cannot be recorded") as caught:
            room.inside(lambda: body(removes, "removing"))
        assert "--root" in (caught.value.hint or "")

    def test_full_disk(self, room: Bench) -> None:
        """A full file system is said to be full."""
        step = room.spec("true")

        def body() -> int:
            make_private()
            (room.base / "small").mkdir()
            mount("x", str(room.base / "small"), "tmpfs", 0, "nr_inodes=4")
            moved = replace(step, upper=f"{room.base}/small/upper", work=f"{room.base}/small/work")
            return perform(RunJob(moved), [1], RootKind.OVERLAY).status

        with pytest.raises(StoreError, match="no space left"):
            room.inside(body)

    def test_missing_snapshot(self, room: Bench) -> None:
        """A layer that is not there is an error that names it."""
        with pytest.raises(MachineError, match="no-such-layer"):
            room.run("true", root=Tree((str(room.image), str(room.base / "no-such-layer"))))

    def test_before_6_7(self, room: Bench) -> None:
        """The classic mount string takes 150 layers by their descriptors."""
        layers = [room.tree(f"old-{n}", {f"n{n}": ""}).lowers[0] for n in range(150)]

        def body() -> int:
            make_private()
            (room.base / "old-root").mkdir()
            with ExitStack() as stack:
                names = [rootfs._by_descriptor(stack, layer) for layer in layers]
                rootfs._overlay_before_6_7(names, [("userxattr", "")], str(room.base / "old-root"))
            return len(os.listdir(room.base / "old-root"))

        assert room.inside(body) == 150


class TestProbe:
    """Which way works where."""

    def _probed(self, room: Bench, prepare: Callable[[Path], Path]) -> str:
        def body() -> str:
            make_private()
            place = room.base / f"probe-{prepare.__name__}"
            place.mkdir()
            found = rootfs.probing(prepare(place))()
            assert not [name for name in os.listdir(place) if name.startswith("probe-")]
            return found.value

        return str(room.inside(body))

    def test_here(self, room: Bench) -> None:
        """On this machine's disk overlay works."""

        def on_disk(place: Path) -> Path:
            return place

        assert self._probed(room, on_disk) == "overlay"

    def test_on_overlay(self, room: Bench) -> None:
        """On an overlay nothing but copies works: whiteouts cannot be made there, not even by fuse-overlayfs."""

        def on_overlay(place: Path) -> Path:
            for name in ("lower", "upper", "work", "root"):
                (place / name).mkdir()
            words = f"lowerdir={place}/lower,upperdir={place}/upper,workdir={place}/work,userxattr"
            mount("overlay", str(place / "root"), "overlay", 0, words)
            return place / "root"

        assert self._probed(room, on_overlay) == "copy"

    def test_without_overlay(self, room: Bench) -> None:
        """Where new file systems are forbidden by a filter, fuse-overlayfs works."""
        if fuse.program() is None:
            pytest.skip("needs fuse-overlayfs and /dev/fuse")

        def forbidden(place: Path) -> Path:
            number = numbers_of(os.uname().machine)["fsopen"]
            load = struct.pack("<HBBI", 0x20, 0, 0, 0)
            seccomp_filter(b"".join((load, *branch(0x15, number, UNKNOWN, ALLOW))))
            return place

        assert self._probed(room, forbidden) == "fuse-overlayfs"

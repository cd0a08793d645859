"""The mounts of `RUN --mount`: as operations that can be compared, and as what a step sees and leaves."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from builder.errors import ContextError, MachineError
from builder.kernel import stepmounts
from builder.kernel.constants import MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID
from builder.kernel.mounts import INERT, Bind, BindWithin, Scratch
from builder.kernel.points import Target
from builder.kernel.rootfs import Stage
from builder.kernel.stepmounts import Staged, doors_of, stage_all, targets_of
from builder.values.crossing import (
    CacheMount,
    FileMount,
    RootKind,
    Rung,
    SocketMount,
    StepSpec,
    TmpfsMount,
    Tree,
    TreeMount,
)
from tests.kernel.agents import agent
from tests.kernel.bench import Bench, bench, compiled


@pytest.fixture(scope="module")
def talking(room: Bench) -> Bench:
    """A bench whose image has the program `talk`."""
    program = room.image / "bin" / "talk"
    if not program.exists():
        shutil.copy(compiled(room.base, "talk"), program)
    return room


def _memory(content: bytes) -> int:
    fd = os.memfd_create("test")
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _stage(tmp_path: Path) -> Stage:
    (tmp_path / "files").mkdir()
    return Stage(str(tmp_path))


def _step(*mounts: object) -> StepSpec:
    return StepSpec(("true",), (), "/", 0, 0, (), Tree(()), "/upper", "/work", mounts=mounts)  # type: ignore[arg-type]


class TestAsData:
    """What is asked for becomes a tuple of operations."""

    def test_order_and_operations(self, tmp_path: Path) -> None:
        """Outer targets come before those inside them, and hosts and resolv.conf are among them."""
        (tmp_path / "tree").mkdir()
        (tmp_path / "tree" / "sub").mkdir()
        (tmp_path / "cache").mkdir()
        stage = _stage(tmp_path)
        mounts = (
            TmpfsMount("/src/build/tmp", 4096),
            TreeMount(Tree(("/lower",)), "/sub", "/src"),
            CacheMount(str(tmp_path / "cache"), "/src/build"),
        )
        staged = stage_all(_step(*mounts), [], stage, lambda *_: str(tmp_path / "tree"))
        assert staged == (
            Staged(BindWithin(str(tmp_path / "tree"), "/sub", "/src", MOUNT_ATTR_NODEV, read_only=True), True),
            Staged(Bind(stage.file("hosts"), "/etc/hosts", False, INERT, read_only=True), False),
            Staged(Bind(stage.file("resolv.conf"), "/etc/resolv.conf", False, INERT, read_only=True), False),
            Staged(Bind(str(tmp_path / "cache"), "/src/build", True, MOUNT_ATTR_NODEV), True),
            Staged(Scratch("/src/build/tmp", 4096), True),
        )
        assert targets_of(staged)[:4] == (
            Target("/dev", True, real=True),
            Target("/proc", True, real=True),
            Target("/sys", True, real=True),
            Target("/src", True),
        )

    def test_secret(self, tmp_path: Path) -> None:
        """A file from memory is read-only and has no effect beyond being read; a script stays executable."""
        stage = _stage(tmp_path)
        fds = [-1, _memory(b"secret"), _memory(b"#!/bin/sh")]
        uid, gid = os.getuid(), os.getgid()
        mounts = (
            FileMount(1, "/run/secrets/a", 0o400, uid, gid),
            FileMount(2, "/dev/pipes/EOF", 0o755, uid, gid),
        )
        operations = [one.operation for one in stage_all(_step(*mounts), fds, stage, lambda *_: "")]
        limited = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV
        assert (
            Bind(f"{stage.path}/memory/mount-0", "/run/secrets/a", False, limited | MOUNT_ATTR_NOEXEC, True)
            in operations
        )
        assert Bind(f"{stage.path}/memory/mount-1", "/dev/pipes/EOF", False, limited, True) in operations

    @pytest.mark.parametrize(
        "target", ["/", "//", "/..", "/proc", "/proc/sys", "/sys/fs", "/dev", "/a/../dev", ".", "/d" * 2000]
    )
    def test_targets_of_the_sandbox(self, target: str, tmp_path: Path) -> None:
        """The root, /dev, /proc, /sys and what is in these two, or a path too long for the kernel, are no targets."""
        with pytest.raises(ContextError, match="nothing can be mounted"):
            stage_all(_step(TmpfsMount(target)), [], _stage(tmp_path), lambda *_: "")

    def test_missing_source(self, tmp_path: Path) -> None:
        """A source that the tree does not have is named."""
        (tmp_path / "tree").mkdir()
        with pytest.raises(ContextError, match="'/no/such'"):
            mount = TreeMount(Tree(("/x",)), "/no/such", "/mnt")
            stage_all(_step(mount), [], _stage(tmp_path), lambda *_: str(tmp_path / "tree"))

    def test_what_is_no_socket(self, tmp_path: Path) -> None:
        """A file is not an agent's socket."""
        (tmp_path / "file").write_text("")
        with pytest.raises(ContextError, match="is not a socket"):
            doors_of(_step(SocketMount(str(tmp_path / "file"), "/ssh")), _stage(tmp_path))

    def test_missing_socket(self, tmp_path: Path) -> None:
        """An agent's socket that is not there is named."""
        with pytest.raises(ContextError, match="/no/agent cannot be used"):
            doors_of(_step(SocketMount("/no/agent", "/ssh")), _stage(tmp_path))

    def test_depth(self) -> None:
        """Depth counts names, not slashes."""
        assert stepmounts._depth("//a/./b/") == 2


@pytest.mark.kernel
class TestTrees:
    """`type=bind`."""

    def test_read_only(self, room: Bench) -> None:
        """A tree is shown read-only."""
        tree = room.tree("ro", {"a/b": "content"})
        outcome = room.run("cat /mnt/b; echo x >/mnt/new", mounts=(TreeMount(tree, "/a", "/mnt"),))
        assert outcome.output.startswith("content")
        assert "Read-only file system" in outcome.output
        assert outcome.changed == []

    def test_writable(self, room: Bench) -> None:
        """What is written to a writable one is seen in the step and then gone."""
        tree = room.tree("rw", {"a/b": "content"})
        outcome = room.run("echo x >/mnt/new; rm /mnt/b; ls /mnt", mounts=(TreeMount(tree, "/a", "/mnt", True),))
        assert outcome.output == "new\n"
        assert os.listdir(Path(tree.lowers[0], "a")) == ["b"]
        assert outcome.changed == []

    def test_writable_of_the_same_tree(self, room: Bench) -> None:
        """A read-only and a writable mount of one tree keep apart."""
        tree = room.tree("both", {"a": "1"})
        mounts = (TreeMount(tree, "/", "/ro"), TreeMount(tree, "/", "/rw", True))
        outcome = room.run("echo 2 >/rw/a; echo $(cat /ro/a) $(cat /rw/a)", mounts=mounts)
        assert outcome.output == "1 2\n"

    def test_file(self, room: Bench) -> None:
        """A single file of a tree is shown at a file."""
        tree = room.tree("file", {"a/b": "content"})
        outcome = room.run("cat /opt/x/y", mounts=(TreeMount(tree, "/a/b", "/opt/x/y"),))
        assert (outcome.output, outcome.changed) == ("content", [])

    def test_several_layers(self, room: Bench) -> None:
        """A tree of several layers is shown merged."""
        low, high = room.tree("low", {"a": "low", "b": "low"}), room.tree("high", {"a": "high"})
        tree = Tree((*high.lowers, *low.lowers))
        assert room.run("cat /mnt/a /mnt/b", mounts=(TreeMount(tree, "/", "/mnt"),)).output == "highlow"

    def test_source_is_a_link_out(self, room: Bench) -> None:
        """A source that is a link stays in its tree (CVE-2024-1753, CVE-2024-23651)."""
        tree = room.tree("link", {"etc/passwd": "inside", "out": "-> /etc", "up": "-> ../../../../../etc"})
        for source in ("/out", "/up", "/../../../etc", "/out/../etc"):
            outcome = room.run("cat /mnt/passwd", mounts=(TreeMount(tree, source, "/mnt"),))
            assert outcome.output == "inside", source

    def test_target_is_a_link_out(self, room: Bench) -> None:
        """A target that the image made a link stays in the root (CVE-2024-23652)."""
        outside = room.base / "target-outside"
        outside.mkdir()
        (outside / "kept").write_text("x")
        root = room.with_image("target-link", {"mnt": f"-> {outside}", "up": f"-> ../../../../..{outside}"})
        tree = room.tree("target-tree", {"a": "1"})
        for target in ("/mnt", "/up", "/mnt/deeper"):
            outcome = room.run(f"ls {target}", mounts=(TreeMount(tree, "/", target),), root=root)
            assert outcome.lines()[0] == "a"
            assert os.listdir(outside) == ["kept"]
            assert outcome.changed == []

    def test_target_is_a_link_into_proc(self, room: Bench) -> None:
        """A target that leads into /proc covers nothing there."""
        root = room.with_image("proc-link", {"x": "-> /proc"})
        mounts = (TreeMount(room.tree("fake", {"version": "fake"}), "/", "/x/self"),)
        script = "grep -c Seccomp: /proc/self/status; ls /proc/self | grep version; true"
        outcome = room.run(script, mounts=mounts, root=root)
        assert outcome.output == "1\n"

    def test_target_through_another_tree(self, room: Bench) -> None:
        """A link in one mounted tree does not make another mount's point appear in the result."""
        first = room.tree("first", {"link": "-> /opt"})
        second = room.tree("second", {"a": "1"})
        mounts = (TreeMount(first, "/", "/one"), TreeMount(second, "/", "/one/link/new"))
        outcome = room.run("cat /opt/new/a", mounts=mounts)
        assert outcome.output == "1"
        assert outcome.changed in ([], ["opt"])

    def test_file_on_directory(self, room: Bench) -> None:
        """A file cannot be mounted on a directory, and the message says so."""
        tree = room.tree("clash", {"a": "1"})
        with pytest.raises(ContextError, match="the image has a directory there"):
            room.run("true", mounts=(TreeMount(tree, "/a", "/bin"),))

    def test_nested_in_a_read_only_tree(self, room: Bench) -> None:
        """A cache can be mounted inside a read-only tree that lacks the directory."""
        tree = room.tree("project", {"package.json": "{}"})
        cache = room.base / "modules"
        mounts = (CacheMount(str(cache), "/src/node_modules"), TreeMount(tree, "/", "/src"))
        outcome = room.run("echo x >/src/node_modules/m && ls /src && echo x >/src/no", mounts=mounts)
        assert "node_modules" in outcome.output and "package.json" in outcome.output
        assert "Read-only" in outcome.output
        assert (cache / "m").exists()
        assert os.listdir(tree.lowers[0]) == ["package.json"]

    def test_loop(self, room: Bench) -> None:
        """A loop of links as target or source is refused."""
        root = room.with_image("loop", {"a": "-> b", "b": "-> a"})
        with pytest.raises(ContextError):
            room.run("true", root=root, mounts=(TmpfsMount("/a/x"),))
        with pytest.raises(ContextError, match="loop"):
            room.run("true", mounts=(TreeMount(root, "/a", "/mnt"),))


@pytest.mark.kernel
class TestCaches:
    """`type=cache`."""

    def test_keeps(self, room: Bench) -> None:
        """What a step writes is there for the next one, and in no layer."""
        cache = CacheMount(str(room.base / "keeps"), "/var/cache/x", mode=0o1770, uid=3, gid=4)
        first = room.run("stat -c '%a %u:%g' /var/cache/x; echo kept >/var/cache/x/f", mounts=(cache,))
        assert (first.output, first.changed) == ("1770 3:4\n", [])
        assert room.run("cat /var/cache/x/f", mounts=(cache,)).output == "kept\n"

    def test_read_only(self, room: Bench) -> None:
        """A read-only cache cannot be written."""
        cache = CacheMount(str(room.base / "still"), "/c", read_only=True)
        assert "Read-only" in room.run("touch /c/x", mounts=(cache,)).output

    def test_seed(self, room: Bench) -> None:
        """A new cache is a copy of its seed; a second step does not copy again."""
        seed = room.tree("seed", {"data/a": "1", "data/deep/b": "2", "data/link": "-> /etc/passwd"})
        os.link(Path(seed.lowers[0], "data/a"), Path(seed.lowers[0], "data/hard"))
        cache = CacheMount(str(room.base / "seeded"), "/c", seed=seed, seed_source="/data", mode=0o700)
        script = "cat /c/a /c/deep/b; readlink /c/link; stat -c %h /c/hard; rm /c/a; stat -c %a /c"
        assert room.run(script, mounts=(cache,)).lines() == ["12/etc/passwd", "2", "700"]
        assert room.run("ls /c", mounts=(cache,)).output.split() == ["deep", "hard", "link"]

    def test_missing_seed(self, room: Bench) -> None:
        """A seed that is not there is named, and no cache is left behind."""
        cache = CacheMount(str(room.base / "no-seed"), "/c", seed=room.tree("no", {}), seed_source="/absent")
        with pytest.raises(ContextError, match="/absent"):
            room.run("true", mounts=(cache,))
        assert not [name for name in os.listdir(room.base) if name.startswith("no-seed")]

    def test_directory_is_a_link(self, room: Bench) -> None:
        """A cache that was replaced by a link is refused (CVE-2024-11218)."""
        (room.base / "linked-cache").symlink_to("/etc")
        with pytest.raises(MachineError, match="not a directory"):
            room.run("true", mounts=(CacheMount(str(room.base / "linked-cache"), "/c"),))

    def test_ids_on_the_single_rung(self, single: Bench) -> None:
        """A cache for another user needs the range, and the message says so."""
        with pytest.raises(MachineError, match="3:4"):
            single.run("true", mounts=(CacheMount(str(single.base / "other"), "/c", uid=3, gid=4),))


@pytest.mark.kernel
class TestOthers:
    """`type=tmpfs`, `secret` and `ssh`."""

    def test_tmpfs(self, room: Bench) -> None:
        """A tmpfs is empty, has the size that was asked for, and leaves nothing."""
        mounts = (TmpfsMount("/etc/ssl", 1 << 20),)
        outcome = room.run("ls -A /etc/ssl; dd if=/dev/zero of=/etc/ssl/x bs=1M count=2; df /etc/ssl", mounts=mounts)
        assert "No space left" in outcome.output
        assert " 1024 " in outcome.lines()[-1]
        assert outcome.changed == []

    def test_read_only_tmpfs(self, room: Bench) -> None:
        """A read-only tmpfs is empty and takes nothing."""
        outcome = room.run("ls -A /etc/ssl; touch /etc/ssl/x", mounts=(TmpfsMount("/etc/ssl", read_only=True),))
        assert "Read-only file system" in outcome.output
        assert outcome.changed == []

    def test_secret(self, room: Bench) -> None:
        """A secret is a read-only file on a ramfs (no swap), with its mode and owner; it is nowhere afterwards."""
        fd = _memory(b"hush\n")
        mounts = (FileMount(1, "/run/secrets/key", 0o440, 7, 8),)
        script = "cat /run/secrets/key; stat -c '%a %u:%g' /run/secrets/key; grep /run/secrets/key /proc/self/mounts"
        outcome = room.run(script, fds=(fd,), mounts=mounts)
        assert outcome.lines()[:2] == ["hush", "440 7:8"]
        assert " ramfs ro,nosuid,nodev,noexec" in outcome.lines()[2]
        assert outcome.changed == []
        assert b"hush" not in b"".join(p.read_bytes() for p in outcome.work.rglob("*") if p.is_file())

    @pytest.mark.parametrize("kind", [RootKind.FUSE, RootKind.COPY])
    def test_secret_on_other_roots(self, kind: RootKind) -> None:
        """Where steps have no kernel's overlay, a secret is no more in what they leave."""
        with bench(Rung.RANGE, kind) as room:
            outcome = room.run(
                "cat /run/secrets/key", fds=(_memory(b"hush-4711\n"),), mounts=(FileMount(1, "/run/secrets/key"),)
            )
            assert outcome.lines() == ["hush-4711"]
            assert not any("secrets" in name for name in outcome.changed)
            files = [path for path in outcome.work.rglob("*") if path.is_file() and not path.is_symlink()]
            assert not [path for path in files if b"hush-4711" in path.read_bytes()]

    def test_script(self, room: Bench) -> None:
        """A here-document with an interpreter line, shown below /dev, can be run."""
        fd = _memory(b"#!/bin/sh\necho ran $0\n")
        outcome = room.run("/dev/pipes/EOF", "x", fds=(fd,), mounts=(FileMount(1, "/dev/pipes/EOF", 0o755),))
        assert outcome.output == "ran /dev/pipes/EOF\n"

    def test_agent(self, talking: Bench, tmp_path: Path) -> None:
        """An agent of the host answers a step that runs as another user, by a socket with the wanted owner and mode."""
        script = "stat -c '%a %u:%g %F' /run/agent; talk /run/agent hello"
        with agent(tmp_path / "agent", lambda words: b"heard " + words) as path:
            mount = SocketMount(str(path), "/run/agent", 0o640, 1000, 1001)
            outcome = talking.run(script, mounts=(mount,), uid=1000, gid=1000, groups=(1000,))
            assert outcome.lines() == ["640 1000:1001 socket", "heard hello"]
            assert (outcome.status, outcome.changed) == (0, [])
            mode = path.stat()
        assert (mode.st_uid, mode.st_gid) == (os.getuid(), os.getgid())

    def test_agent_of_root(self, talking: Bench, tmp_path: Path) -> None:
        """Unless more is asked for, the socket is root's alone."""
        with agent(tmp_path / "agent", lambda words: b"heard " + words) as path:
            mounts = (SocketMount(str(path), "/run/agent"),)
            ours = talking.run("stat -c '%a %u:%g' /run/agent; talk /run/agent hello", mounts=mounts)
            other = talking.run("talk /run/agent hello", mounts=mounts, uid=1000, gid=1000)
        assert ours.lines() == ["600 0:0", "heard hello"]
        assert (other.status, other.output) == (errno.EACCES, "")

    def test_agents(self, talking: Bench, tmp_path: Path) -> None:
        """Two agents stay apart, many connections run at once, and big answers come whole."""
        script = (
            "for n in 1 2 3 4 5 6 7 8; do talk /run/a $n > /tmp/a$n & talk /run/b $n > /tmp/b$n & done; wait; "
            "cd /tmp; for n in 1 2 3 4 5 6 7 8; do wc -c < a$n; head -c 2 a$n; wc -c < b$n; head -c 2 b$n; done"
        )
        big = 1 << 20
        with (
            agent(tmp_path / "a", lambda words: b"a" + words * big) as first,
            agent(tmp_path / "b", lambda words: b"b" + words * big) as second,
        ):
            mounts = (SocketMount(str(first), "/run/a"), SocketMount(str(second), "/run/b"))
            outcome = talking.run(script, mounts=mounts)
        wanted = [f"{big + 1}\n{name}{number}" for number in range(1, 9) for name in "ab"]
        assert outcome.output == "".join(wanted)

    def test_agent_is_not_in_reach(self, talking: Bench, tmp_path: Path) -> None:
        """Of the relay a step sees its socket only: no process, and no descriptor of its own."""
        script = "all=$(ls /proc); echo \"$all\" | grep -c '^[0-9]'; ls /proc/1/fd"
        with agent(tmp_path / "agent", lambda words: words) as path:
            plain = talking.run(script)
            relayed = talking.run(script, mounts=(SocketMount(str(path), "/run/agent"),))
        assert relayed.output == plain.output

    def test_owner_that_is_not_ours(self, single: Bench, tmp_path: Path) -> None:
        """Where only one id exists, a socket of another is refused with what is needed for it."""
        wanted = pytest.raises(MachineError, match="cannot belong to 1000:0")
        with agent(tmp_path / "agent", lambda words: words) as path, wanted as caught:
            single.run("true", mounts=(SocketMount(str(path), "/run/agent", 0o600, 1000, 0),))
        assert "/etc/subuid" in (caught.value.hint or "")

"""The sandbox of a RUN step, held to what it promises by steps that try."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.errors import ContextError, ImageError, MachineError
from builder.kernel.mounts import make_private
from builder.kernel.sandbox import perform
from builder.kernel.spawn import start_worker
from builder.kernel.syscalls import mount
from builder.values.crossing import Ran, RootKind, RunJob, Tree
from tests.kernel.bench import Bench

pytestmark = pytest.mark.kernel


class TestEnd:
    """How a step ends, and what ends with it."""

    @pytest.mark.parametrize("status", [0, 1, 42, 255])
    def test_status(self, room: Bench, status: int) -> None:
        """A step's exit status comes back as it is."""
        assert room.run(f"exit {status}").status == status

    def test_signal(self, room: Bench) -> None:
        """A command that a signal ended gives 128 and the signal's number."""
        assert room.run("sh -c 'kill -9 $$'; exit $?").status == 137

    def test_background_process(self, room: Bench) -> None:
        """A process left in the background is ended with the step, and does not hold it up."""
        began = time.monotonic()
        outcome = room.run("(trap '' HUP TERM; setsid sleep 300) & echo started")
        assert outcome.output == "started\n"
        assert time.monotonic() - began < 10

    def test_orphans_are_reaped(self, room: Bench) -> None:
        """The shell that is pid 1 buries orphans, so that waiting for a process to vanish does not hang."""
        script = "sh -c 'sleep 0.05 & echo $! >/tmp/pid'; sleep 0.3; wait; test ! -d /proc/$(cat /tmp/pid) && echo gone"
        assert room.run(script).output == "gone\n"

    def test_kill_of_everything(self, room: Bench) -> None:
        """`kill -9 -1` in a step reaches nothing outside it."""
        outside = subprocess.Popen(["sleep", "60"])
        outcome = room.run("sleep 99 & child=$!; kill -9 -1; wait $child; echo $?")
        assert outcome.lines()[-1] == "137"
        assert outside.poll() is None
        outside.kill()
        outside.wait()

    def test_death_of_the_builder(self, room: Bench) -> None:
        """When the builder is killed, a step that changed its ids and its session dies too; nothing stays mounted."""
        token = f"30{os.getpid()}"
        script = f"setsid sleep {token} & exec su -s /bin/sh user -c 'exec sleep {token}'"
        step = room.spec(script, root=room.with_image("dying", {"etc/passwd": "user::1000:1000::/:/bin/sh\n"}))
        words = [script, step.upper, step.work, *step.root.lowers]
        builder = subprocess.Popen([sys.executable, "-c", _BUILDER, str(room.base), *words])
        try:
            assert _until(lambda: len(_processes(token)) == 2), "the step did not start"
        finally:
            builder.kill()
            builder.wait()
        assert _until(lambda: not _processes(token)), "the step outlived its builder"
        assert str(room.base) not in Path("/proc/self/mountinfo").read_text()


_BUILDER = """
import os, sys
from pathlib import Path
from builder.kernel.mounts import make_private
from builder.kernel.sandbox import perform
from builder.kernel.syscalls import mount
from builder.kernel.spawn import start_worker
from builder.values.crossing import RunJob, StepSpec, Tree
store, script, upper, work, *lowers = sys.argv[1:]
env = (("PATH", "/bin"),)
step = StepSpec(("sh", "-c", script), env, "/", 0, 0, (), Tree(tuple(lowers)), upper, work)
start_worker(Path(store)).call(RunJob(step), [os.open("/dev/null", os.O_WRONLY)])
"""


def _processes(token: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"sleep" in words and token.encode() in words and b"-c" not in words:
            found.append(entry.name)
    return found


def _until(condition: Callable[[], bool], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


class TestSight:
    """What a step sees of the machine."""

    def test_processes(self, room: Bench) -> None:
        """ps shows the step's own processes and nobody else's."""
        lines = room.run("ps -o pid,args; true").lines()
        assert [line.split()[0] for line in lines[:2]] == ["PID", "1"]
        assert [line for line in lines[1:] if "sh -c ps" not in line] == []

    def test_no_trace_of_the_builder(self, room: Bench) -> None:
        """Nothing in /proc/1 is of the builder: not its program, its environment, its descriptors."""
        script = "tr '\\0' '\\n' </proc/1/environ; for name in exe root cwd; do readlink /proc/1/$name; done; true"
        assert room.run(script).lines() == ["PATH=/bin", "HOME=/root", "/bin/busybox", "/", "/"]

    def test_environment(self, room: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """The caller's variables are not the step's."""
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        assert "secret" not in room.run("env").output

    def test_descriptors(self, room: Bench) -> None:
        """A step has three descriptors, whatever the builder has open (CVE-2024-21626)."""
        with open("/etc/passwd") as passwd, tempfile.TemporaryDirectory() as place:
            directory = os.open(place, os.O_PATH)
            os.set_inheritable(directory, True)
            os.set_inheritable(passwd.fileno(), True)
            outcome = room.run("cd /proc/1/fd; for fd in *; do test -e $fd && echo $fd; done; true")
            os.close(directory)
        assert outcome.lines() == ["0", "1", "2"]

    def test_standard_input(self, room: Bench) -> None:
        """Standard input is /dev/null."""
        assert room.run("readlink /proc/self/fd/0; cat | wc -c").lines() == ["/dev/null", "0"]

    def test_output_and_errors(self, room: Bench) -> None:
        """Standard output and standard error arrive in one stream, in order."""
        assert room.run("echo a; echo b >&2; echo c").output == "a\nb\nc\n"

    def test_no_terminal(self, room: Bench) -> None:
        """There is no controlling terminal, and the step leads a session of its own."""
        outcome = room.run("echo x >/dev/tty; cut -d' ' -f1,5,6,7 /proc/1/stat | tail -n 1")
        assert "No such device or address" in outcome.lines()[0]
        assert outcome.lines()[1] == "1 1 1 0"

    def test_host_name(self, room: Bench) -> None:
        """The host name is the step's own."""
        assert room.run("hostname", hostname="there").output == "there\n"

    def test_hosts_and_resolver(self, room: Bench) -> None:
        """/etc/hosts and /etc/resolv.conf show the given texts, cannot be written, and are not in the result."""
        outcome = room.run(
            "cat /etc/hosts /etc/resolv.conf; echo x >/etc/hosts || echo no",
            hosts="127.0.0.1 here\n",
            resolv_conf="nameserver 192.0.2.1\n",
        )
        assert outcome.lines()[:2] == ["127.0.0.1 here", "nameserver 192.0.2.1"]
        assert outcome.lines()[-1] == "no"
        assert outcome.changed == []

    def test_umask(self, room: Bench) -> None:
        """The umask is 0022 whatever the builder's is."""
        before = os.umask(0o077)
        try:
            assert room.run("umask").output == "0022\n"
        finally:
            os.umask(before)

    def test_signals(self, room: Bench) -> None:
        """No signal is ignored or blocked, though the interpreter ignores SIGPIPE.

        Signals 32 and 33 are the C library's own: no program can change what it was started with (nptl(7)).
        """
        assert room.run("grep -E '^Sig(Blk|Ign)' /proc/1/status | cut -f2", "x").status != 0
        words = room.run("busybox", "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status").output.split()
        assert [int(word, 16) & ~(0b11 << 31) for word in words[1::2]] == [0, 0]

    def test_keyring(self, room: Bench) -> None:
        """Keys of the builder's session are out of reach."""
        assert room.run("cat /proc/keys | wc -l").output == "0\n"


class TestRoom:
    """The root, the working directory, and hostile images."""

    def test_working_directory(self, room: Bench) -> None:
        """The step begins in its directory, links in it contained."""
        root = room.with_image("cwd", {"app/src/": "", "link": "-> /app/src"})
        assert room.run("pwd", root=root, cwd="/link").output == "/app/src\n"

    def test_missing_working_directory(self, room: Bench) -> None:
        """A working directory that is not there is named."""
        with pytest.raises(ImageError, match="/not/there"):
            room.run("pwd", cwd="/not/there")

    @pytest.mark.parametrize("cwd", ["/proc/self/fd/8", "/proc/self/fd/3", "/proc/1/cwd/../../.."])
    def test_working_directory_outside(self, room: Bench, cwd: str) -> None:
        """A working directory by way of a descriptor of ours leads nowhere (CVE-2024-21626)."""
        try:
            outcome = room.run("ls /; cat /proc/1/cwd/etc/shadow", cwd=cwd)
        except (ImageError, MachineError):
            return
        assert "root:" not in outcome.output
        assert "bin" in outcome.lines()

    def test_resolver_is_a_dangling_link(self, room: Bench) -> None:
        """A resolv.conf that links to a missing file shows the text there, and no trace stays."""
        root = room.with_image("resolved", {"etc/resolv.conf": "-> ../run/systemd/resolve/stub.conf"})
        outcome = room.run("cat /etc/resolv.conf; ls /run/systemd/resolve", root=root, resolv_conf="nameserver ::1\n")
        assert outcome.lines() == ["nameserver ::1", "stub.conf"]
        assert outcome.changed == []

    def test_resolver_is_a_link_out(self, room: Bench) -> None:
        """A resolv.conf that links upwards out of the root stays in it."""
        target = room.base / "victim"
        target.write_text("untouched")
        root = room.with_image("escaping", {"etc/resolv.conf": f"-> ../../../../../..{target}"})
        assert room.run("cat /etc/resolv.conf", root=root, resolv_conf="inside\n").output == "inside\n"
        assert target.read_text() == "untouched"

    def test_etc_is_a_file(self, room: Bench) -> None:
        """An image in which /etc is a file is refused in words."""
        room.tree("etc-file", {"bin/": "", "etc": "file"})
        with pytest.raises(ContextError, match="/etc/hosts"):
            room.run("true", root=Tree((str(room.base / "etc-file"),)))

    def test_nothing_stays_mounted(self, room: Bench) -> None:
        """Afterwards the work directory holds no mount and the stage is gone."""
        outcome = room.run("true")
        assert not (outcome.work / "stage").exists()
        assert str(outcome.work) not in Path("/proc/self/mountinfo").read_text()

    def test_device_nodes_of_the_image(self, room: Bench) -> None:
        """Device nodes have no effect in the root, on any rung."""
        assert "nodev" in room.run("grep ' / / ' /proc/self/mountinfo").output


class TestInAContainer:
    """A container around us whose /proc is covered in part, as Docker's is."""

    def test_shared_proc(self, room: Bench) -> None:
        """A fresh /proc is refused there; the step sees ours, covered as ever, and cannot look into our processes."""
        script = (
            "grep -c Seccomp: /proc/self/status; cat /proc/keys | wc -c; echo 1 >/proc/sys/kernel/hostname;"
            "for p in /proc/[0-9]*; do readlink $p/exe; cat $p/environ; done 2>/dev/null | grep -ac -i python"
        )
        step = room.spec(script)
        output = room.base / "shared-proc"

        def body() -> int:
            make_private()
            mount("x", "/proc/fs", "tmpfs")
            with open(output, "wb") as stream:
                return perform(RunJob(step), [stream.fileno()], RootKind.OVERLAY).status

        room.inside(body)
        lines = output.read_text().splitlines()
        assert (lines[:2], lines[-1]) == (["1", "0"], "0")
        assert "Read-only" in output.read_text()


def test_nothing_is_imported_inside(room: Bench) -> None:
    """Between the clone and the exec nothing is imported: the interpreter's library is gone by then."""
    step = room.spec("true")

    def body() -> int:
        us = os.getpid()

        def watch(event: str, arguments: tuple[object, ...]) -> None:
            if event == "import" and os.getpid() != us:
                os.write(2, f"imported {arguments[0]}\n".encode())
                os._exit(77)

        sys.addaudithook(watch)
        return perform(RunJob(step), [1], RootKind.OVERLAY).status

    assert room.inside(body) == 0


class TestWorker:
    def test_by_way_of_the_worker(self, room: Bench) -> None:
        """The worker runs a step: it answers its status, and its faults come as errors."""
        with start_worker(room.base) as worker, open(os.devnull, "wb") as output:
            assert worker.call(RunJob(room.spec("exit 3")), (output.fileno(),)) == Ran(3)
            with pytest.raises(ImageError, match="/absent"):
                worker.call(RunJob(room.spec("true", cwd="/absent")), (output.fileno(),))

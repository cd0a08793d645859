"""What a step may do, asked of the step."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path

import pytest

from builder.errors import MachineError, UsageError
from builder.values.security import Security
from tests.kernel.bench import Bench, compiled

pytestmark = pytest.mark.kernel


class TestAuthority:
    """What a step may do."""

    def test_capabilities(self, room: Bench) -> None:
        """Root has the eleven capabilities, bounding, permitted and effective; inheritable and ambient are empty."""
        words = room.run("grep Cap /proc/self/status").output.split()
        sets = dict(zip(words[::2], words[1::2], strict=True))
        eleven = "00000000800405fb"
        empty = "0" * 16
        assert sets == {"CapInh:": empty, "CapPrm:": eleven, "CapEff:": eleven, "CapBnd:": eleven, "CapAmb:": empty}
        assert int(eleven, 16).bit_count() == 11

    def test_other_user(self, room: Bench) -> None:
        """Another user has its ids and groups and no capability at all."""
        outcome = room.run(
            "id; grep -E 'Cap(Prm|Eff|Inh|Amb)|Groups' /proc/self/status", uid=1000, gid=1001, groups=(1001, 7)
        )
        words = outcome.output.split()
        assert outcome.lines()[0] == "uid=1000 gid=1001 groups=7,1001"
        assert words[words.index("CapInh:") + 1 :: 2] == ["0" * 16] * 4

    def test_root_has_no_groups_of_ours(self, room: Bench) -> None:
        """The builder's own supplementary groups are gone."""
        assert room.run("grep Groups /proc/self/status").output.split() == ["Groups:"]

    def test_no_new_privileges(self, room: Bench) -> None:
        """no_new_privs is as asked, off unless."""
        assert room.run("grep NoNew /proc/self/status").output.split()[1] == "0"
        assert room.run("grep NoNew /proc/self/status", no_new_privileges=True).output.split()[1] == "1"

    def test_filter(self, room: Bench) -> None:
        """A filter is on, for root and for others."""
        assert room.run("grep Seccomp: /proc/self/status").output.split()[1] == "2"
        assert room.run("grep Seccomp: /proc/self/status", uid=5, gid=5).output.split()[1] == "2"

    @pytest.mark.parametrize("attempt", ["mount -t tmpfs x /tmp", "umount /proc/sys", "unshare -m true", "hostname x"])
    def test_ways_out(self, room: Bench, attempt: str) -> None:
        """Mounting, unmounting, new namespaces and renaming the host are refused."""
        outcome = room.run(f"{attempt} && echo done")
        assert "permi" in outcome.output
        assert outcome.status == 1

    def test_insecure(self, room: Bench) -> None:
        """An insecure step has all capabilities of the namespace and no filter."""
        outcome = room.run(
            "grep -E 'CapEff|Seccomp:' /proc/self/status; mount -t tmpfs x /tmp && echo mounted",
            security=Security.INSECURE,
        )
        words = outcome.output.split()
        assert int(words[1], 16).bit_count() >= 38
        assert words[3:] == ["0", "mounted"]

    def test_set_id_programs(self, room: Bench) -> None:
        """A set-id program of the image works for another user, as sudo must."""
        root = room.with_image("set-id", {})
        place = Path(root.lowers[0])
        shutil.copy(compiled(room.base, "probe"), place / "probe")
        (place / "probe").chmod(0o4755)
        assert room.run("/probe", "geteuid", uid=1000, gid=1000, root=root).output == "0\n"
        assert room.run("/probe", "geteuid", uid=1000, gid=1000, root=root, no_new_privileges=True).output == "1000\n"

    def test_limits(self, room: Bench) -> None:
        """Without asking, no core is dumped, 1024 files may be open, and processes are bounded."""
        assert room.run("ulimit -c; ulimit -Sn").lines() == ["0", "1024"]
        assert 0 < int(room.run("ulimit -u").output) <= 32768

    def test_no_core_is_handed_to_a_program(self, room: Bench) -> None:
        """The limit is the byte that keeps a dump from the machine's crash handler too, unless there is one of 0."""
        _, hard = resource.getrlimit(resource.RLIMIT_CORE)
        assert room.run("grep core /proc/self/limits").output.split()[4:6] == [str(min(hard % (1 << 64), 1))] * 2

    def test_asked_limits(self, room: Bench) -> None:
        """Limits are set as asked, soft and hard."""
        limits = (("nofile", 100, 200), ("stack", 1 << 20, 1 << 20), ("core", 0, -1))
        outcome = room.run("ulimit -Sn; ulimit -Hn; ulimit -s; ulimit -Hc", rlimits=limits)
        assert outcome.lines() == ["100", "200", "1024", "unlimited"]

    def test_memory(self, room: Bench) -> None:
        """A bound on memory is one on the address space of each process."""
        outcome = room.run("ulimit -v; dd if=/dev/zero of=/dev/null bs=300M count=1", memory_bytes=100 << 20)
        assert outcome.lines()[0] == str(100 << 10)
        assert outcome.status != 0

    def test_unknown_limit(self, room: Bench) -> None:
        """A limit that does not exist is refused by name."""
        with pytest.raises(UsageError, match="colour"):
            room.run("true", rlimits=(("colour", 1, 1),))

    def test_too_much(self, room: Bench) -> None:
        """A hard limit above ours is refused with what may be had."""
        if os.geteuid() == 0:
            pytest.skip("root may raise it")
        with pytest.raises(MachineError, match="nofile") as caught:
            room.run("true", rlimits=(("nofile", 1 << 29, 1 << 29),))
        assert "the most" in (caught.value.hint or "")


class TestSingleId:
    """The rung on which only our own id exists."""

    def test_runs(self, single: Bench) -> None:
        """A step runs as root there, with its capabilities and its filter."""
        outcome = single.run("id -u; touch /etc/x; grep -E 'CapEff|Seccomp:' /proc/self/status")
        assert outcome.output.split() == ["0", "CapEff:", "00000000800405fb", "Seccomp:", "2"]
        assert outcome.changed == ["etc", "etc/x"]

    def test_other_user(self, single: Bench) -> None:
        """Another user is refused with what gives the range."""
        with pytest.raises(MachineError, match="1000:1000") as caught:
            single.run("id", uid=1000, gid=1000)
        assert "/etc/subuid" in (caught.value.hint or "")

    def test_terminals(self, single: Bench) -> None:
        """Pseudo-terminals exist even without the group tty."""
        assert single.run("test -c /dev/pts/ptmx && test -c /dev/ptmx && echo there").output == "there\n"

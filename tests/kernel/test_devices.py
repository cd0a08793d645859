"""/dev, /proc and /sys: what is there, what is hidden, and images that attack them."""

from __future__ import annotations

import pytest

from builder.errors import ImageError
from builder.values.crossing import NetworkMode
from tests.kernel.bench import Bench

pytestmark = pytest.mark.kernel


class TestSystem:
    def test_masked_files(self, room: Bench) -> None:
        """What tells of the machine's inside is empty; masks of directories cannot be written."""
        files = "cat /proc/interrupts /proc/keys /proc/timer_list /proc/kcore 2>/dev/null | wc -c"
        assert room.run(files + "; ls -A /sys/firmware /proc/acpi 2>/dev/null | grep -v :").output.split() == ["0"]
        assert "Read-only" in room.run("touch /sys/firmware/x").output

    @pytest.mark.parametrize("path", ["/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/sys/kernel/mm/ksm/run"])
    def test_read_only_system(self, room: Bench, path: str) -> None:
        """Nothing of /proc/sys, the system request key and /sys can be written."""
        outcome = room.run(f"echo 1 >{path} && echo written")
        assert "written" not in outcome.output

    @pytest.mark.parametrize("name", ["dev", "proc", "sys"])
    def test_system_directory_is_a_link(self, room: Bench, name: str) -> None:
        """An image whose /dev, /proc or /sys is a link is refused, and nothing is written where it points."""
        outside = room.base / f"outside-{name}"
        outside.mkdir()
        root = room.with_image(f"linked-{name}", {name: f"-> {outside}"})
        with pytest.raises(ImageError, match=f"/{name} of the image"):
            room.run("true", root=root)
        assert list(outside.iterdir()) == []

    @pytest.mark.parametrize("name", ["null", "console", "pts", "shm", "ptmx", "mqueue"])
    def test_device_is_a_link(self, room: Bench, name: str) -> None:
        """What the image has inside /dev does not matter (CVE-2025-31133, CVE-2025-52565)."""
        outside = room.base / f"device-{name}"
        outside.mkdir()
        root = room.with_image(f"device-link-{name}", {f"dev/{name}": f"-> {outside}", "dev/other": "x"})
        outcome = room.run("ls -la /dev; cat /proc/interrupts | wc -c", root=root)
        assert str(outside) not in outcome.output
        assert "other" not in outcome.output
        assert outcome.lines()[-1] == "0"
        assert list(outside.iterdir()) == []

    @pytest.mark.parametrize("network", [NetworkMode.NONE, NetworkMode.HOST])
    def test_control_groups(self, room: Bench, network: NetworkMode) -> None:
        """A step sees its own control group, read-only, and none of others, also where /sys is the machine's."""
        script = "grep ' /sys/fs/cgroup ' /proc/self/mountinfo | tail -n 1; mkdir /sys/fs/cgroup/x || echo no"
        lines = room.run(script, network=network).lines()
        assert lines[-1] == "no"
        assert lines[0].split()[3] == "/"
        assert " - cgroup2 " in lines[0] or " - tmpfs " in lines[0]
        assert "/.." not in room.run("cat /proc/self/cgroup", network=network).output

    def test_systems_of_the_machine(self, room: Bench) -> None:
        """Where /sys is the machine's, what is mounted in it is not to be seen."""
        script = "cd /sys; ls -A kernel/debug kernel/tracing kernel/security fs/bpf fs/pstore 2>&1 | grep -v :"
        assert room.run(script, network=NetworkMode.HOST).output.split() == []
        assert room.run("grep -c securityfs /proc/mounts", network=NetworkMode.HOST).output == "0\n"

    def test_no_devices(self, room: Bench) -> None:
        """Device nodes have no effect in /dev beside those that are mounted there."""
        outcome = room.run(
            "grep -E ' /dev(/shm|/mqueue)? ' /proc/mounts | grep -vc nodev; : >/dev/null && echo written"
        )
        assert outcome.lines() == ["0", "written"]

    def test_propagation(self, room: Bench) -> None:
        """No mount of a step is shared with another namespace, nor receives what is mounted there."""
        assert room.run("grep -cE 'shared:|master:|propagate_from:' /proc/self/mountinfo").output == "0\n"

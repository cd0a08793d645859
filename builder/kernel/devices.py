"""What a step sees as /dev, /proc and /sys, as mounts. Only data; `mounts` executes it.

/dev is a fresh tmpfs on a directory that has to be real, with the host's harmless devices bound into it. /proc and /sys
are mounted by pid 1 of the step, because they show the namespaces of who mounts them.
Sources: OCI runtime-spec, config-linux.md (default devices and file systems); runc's CVE-2025-31133 and -52565.
"""

from __future__ import annotations

from builder.kernel.constants import MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, MOUNT_ATTR_STRICTATIME
from builder.kernel.mounts import (
    INERT,
    NULL,
    Device,
    Directory,
    Link,
    Mask,
    MountOp,
    NewFilesystem,
    ReadOnly,
    SystemTree,
)

DEVICES = (
    NULL,
    Device("zero", 1, 5),
    Device("full", 1, 7),
    Device("random", 1, 8),
    Device("urandom", 1, 9),
    Device("tty", 5, 0),
)

TTY_GROUP = 5  # the group `tty` of every distribution; openpty(3) relies on it

_LINKS = (
    Link("/dev/fd", "/proc/self/fd"),
    Link("/dev/stdin", "/proc/self/fd/0"),
    Link("/dev/stdout", "/proc/self/fd/1"),
    Link("/dev/stderr", "/proc/self/fd/2"),
    Link("/dev/ptmx", "pts/ptmx"),
)

READ_ONLY = tuple(f"/proc/{name}" for name in ("asound", "bus", "fs", "irq", "sys", "sysrq-trigger"))

MASKED = (
    *(
        f"/proc/{name}"
        for name in (
            "acpi",
            "asound",
            "interrupts",
            "kcore",
            "keys",
            "latency_stats",
            "sched_debug",
            "scsi",
            "timer_list",
            "timer_stats",
        )
    ),
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)


def device_operations(*, tty_group: bool) -> tuple[MountOp, ...]:
    """/dev for a step; `tty_group` says that group 5 exists in the user namespace (not on the single-id rung)."""
    terminals = (("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0620"))
    group = (("gid", str(TTY_GROUP)),) if tty_group else ()
    flags = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC
    return (
        # nodev: the devices in it are mounts of their own, and none that is made there shall work.
        NewFilesystem("tmpfs", "/dev", INERT | MOUNT_ATTR_STRICTATIME, (("mode", "755"), ("size", "64m"))),
        *DEVICES,
        *_LINKS,
        Directory("/dev/pts"),
        NewFilesystem("devpts", "/dev/pts", flags, (*terminals, *group)),
        Directory("/dev/shm"),
        NewFilesystem("tmpfs", "/dev/shm", INERT, (("mode", "1777"), ("size", "64m"))),
        Directory("/dev/mqueue"),
    )


PROC = NewFilesystem("proc", "/proc", INERT)
SHARED_PROC = SystemTree("/proc", "/proc", read_only=False)
"""Where a fresh procfs is EPERM, because something covers parts of ours (Docker does): it shows our processes too."""

SYS = NewFilesystem("sysfs", "/sys", INERT | MOUNT_ATTR_RDONLY)
SHARED_SYS = SystemTree("/sys", "/sys")
"""A fresh sysfs is EPERM in a network namespace that belongs to another user namespace: always with --network=host."""

SHARED_SYS_COVERS = tuple(
    Mask(f"/sys/{name}")
    for name in (
        "fs/bpf",
        "fs/fuse/connections",
        "fs/pstore",
        "fs/resctrl",
        "fs/selinux",
        "kernel/config",
        "kernel/debug",
        "kernel/security",
        "kernel/tracing",
    )
)
"""What the machine has mounted in its /sys: empty directories, as in a fresh one."""

CGROUP = NewFilesystem("cgroup2", "/sys/fs/cgroup", INERT | MOUNT_ATTR_RDONLY)
"""The limits that hold for the step, which some programs size themselves by; its own control group is the root."""
NO_CGROUP = Mask("/sys/fs/cgroup")
"""Where that is refused: the machine's own shows the groups of everybody."""

MESSAGE_QUEUES = NewFilesystem("mqueue", "/dev/mqueue", INERT)

WHOLE_PROC: tuple[MountOp, ...] = (
    NewFilesystem("tmpfs", "/dev/mqueue", INERT, (("mode", "700"),)),
    Directory("/dev/mqueue/proc"),
    NewFilesystem("proc", "/dev/mqueue/proc", INERT),
)
"""For --security=nested: a procfs without covers, out of reach below the message queues.

The kernel mounts a procfs in a user namespace only where the mount namespace has one that nothing covers in part
(mount_too_revealing() in fs/namespace.c), and bubblewrap, Bazel and Nix give their sandboxes a /proc.
"""

COVERS: tuple[MountOp, ...] = (
    *(ReadOnly(path) for path in READ_ONLY),
    *(Mask(path) for path in MASKED),
)
"""What a step may not write and not see. --security=insecure leaves it out."""

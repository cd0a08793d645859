"""Which rung of the ladder this machine allows, and what to do where it does not allow enough.

`gather` asks the machine, `decide` and `explain` are pure: every answer can be tested without a machine that gives it.
Entering the namespace is the worker's affair. Sources: user_namespaces(7), newuidmap(1), the kernel's
Documentation/admin-guide/sysctl/user.rst, Ubuntu's "Restricted unprivileged user namespaces".
"""

from __future__ import annotations

import errno
import hashlib
import os
import pwd
import shlex
import shutil
import stat
import subprocess
from enum import Enum
from pathlib import Path

from builder.declare import dataclass
from builder.errors import MachineError
from builder.kernel import syscalls
from builder.kernel.constants import CAP_SYS_ADMIN, PR_GET_NO_NEW_PRIVS
from builder.kernel.idmap import (
    FULL_RANGE,
    IdMap,
    SubRange,
    free_start,
    mapped,
    parse_ranges,
    plan_maps,
    read_map,
    read_ranges,
    usable,
)
from builder.values.crossing import Rung

SUBUID = Path("/etc/subuid")
SUBGID = Path("/etc/subgid")
HELPER_PATH = "/usr/bin:/bin:/usr/local/bin:/usr/sbin:/sbin:/usr/local/sbin:/run/wrappers/bin"
"""Where newuidmap and newgidmap are looked for: never in the caller's PATH."""

_INSTALL = {
    "apt-get": "sudo apt-get install uidmap",
    "dnf": "sudo dnf install shadow-utils",
    "apk": "sudo apk add shadow-uidmap",
    "pacman": "sudo pacman -S shadow",
    "zypper": "sudo zypper install shadow",
}
_INSTALL_ANYWHERE = "sudo apt-get install uidmap (Debian, Ubuntu) or sudo dnf install shadow-utils (Fedora, RHEL)"
_LIMITS = ("user.max_user_namespaces", "user.max_mnt_namespaces", "user.max_pid_namespaces")
_CLONE_SWITCH = "kernel.unprivileged_userns_clone"
_APPARMOR_SWITCH = "kernel.apparmor_restrict_unprivileged_userns"


class Power(Enum):
    """Whether a helper that needs privilege has it."""

    READY = "ready"
    MISSING = "missing"
    PLAIN = "plain"  # neither setuid root nor a file capability
    NOSUID = "nosuid"  # on a file system mounted nosuid


@dataclass(frozen=True, slots=True)
class Helper:
    """newuidmap or newgidmap: its path (its bare name while it is missing), and whether it can do its work."""

    path: str
    power: Power


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the decision depends on. The defaults are those of a well set-up machine."""

    uid: int = 1000
    gid: int = 1000
    user: str = "user"  # "" when the passwd file does not know the uid
    sys_admin: bool = False  # CAP_SYS_ADMIN is effective
    mapped_uids: int = (1 << 32) - 1
    mapped_gids: int = (1 << 32) - 1
    newuidmap: Helper = Helper("/usr/bin/newuidmap", Power.READY)
    newgidmap: Helper = Helper("/usr/bin/newgidmap", Power.READY)
    uid_ranges: tuple[SubRange, ...] = ()
    gid_ranges: tuple[SubRange, ...] = ()
    free_start: int = 100000  # where a new range would begin
    install: str = _INSTALL_ANYWHERE
    sysctls: tuple[tuple[str, int], ...] = ()  # those that this kernel has
    no_new_privs: bool = False
    seccomp: bool = False  # a filter is installed on us
    chroot: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """The rung to take and, below ROOT, the maps to write. `note`: why it is not a better one, "" for the best."""

    rung: Rung
    uid_maps: tuple[IdMap, ...] = ()
    gid_maps: tuple[IdMap, ...] = ()
    note: str = ""

    @property
    def ids(self) -> str:
        """A short name for the ids inside and what they are outside: the rung and a hash of who we are and the maps."""
        maps = [(part.inside, part.outside, part.count) for part in (*self.uid_maps, *self.gid_maps)]
        text = f"{os.geteuid()} {os.getegid()} {maps}"
        return f"{self.rung.value}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def probe(wanted: Rung | None = None) -> Rung:
    """The rung that a worker would take here. Raises MachineError when there is none, or not the one that is wanted."""
    return decide(gather(), wanted).rung


def decide(facts: Facts, wanted: Rung | None = None) -> Choice:
    """The best rung that the facts allow, or the one that is `wanted`. Raises MachineError with what mends it."""
    root = is_root(facts)
    if wanted is Rung.ROOT and not root:
        raise MachineError("this needs to be root with a full range of ids", hint="run it with sudo")
    if root and wanted in (None, Rung.ROOT):
        return Choice(Rung.ROOT)
    _refuse_forbidden(facts)
    if wanted is Rung.SINGLE:
        return single(facts, "")
    obstacle = range_obstacle(facts)
    if obstacle is None:
        return Choice(Rung.RANGE, plan_maps(facts.uid, facts.uid_ranges), plan_maps(facts.gid, facts.gid_ranges))
    why, remedy = obstacle
    if wanted is Rung.RANGE:
        raise MachineError(f"there is no range of ids to use: {why}", hint=remedy)
    return single(facts, f"{why}; for a full range: {remedy}")


def single(facts: Facts, why: str) -> Choice:
    """The rung on which only our own ids are mapped, with a note that says why in one line."""
    note = f"only your own user id is available inside: {why}" if why else ""
    return Choice(Rung.SINGLE, (IdMap(0, facts.uid, 1),), (IdMap(0, facts.gid, 1),), " ".join(note.split()))


def is_root(facts: Facts) -> bool:
    """True for real root, and for root of a user namespace (podman unshare, a container) that has ids enough."""
    return facts.uid == 0 and facts.sys_admin and min(facts.mapped_uids, facts.mapped_gids) >= FULL_RANGE


def _refuse_forbidden(facts: Facts) -> None:
    """Raise for what is switched off for everybody, so that there is no use in trying."""
    sysctls = dict(facts.sysctls)
    for name in _LIMITS:
        if sysctls.get(name) == 0:
            raise MachineError(f"namespaces are switched off here ({name} = 0)", hint=_set(name, 15000))
    if sysctls.get(_CLONE_SWITCH) == 0 and not facts.sys_admin:
        raise MachineError(
            f"user namespaces are switched off for ordinary users ({_CLONE_SWITCH} = 0)", hint=_set(_CLONE_SWITCH, 1)
        )


def _set(name: str, value: int) -> str:
    return f"sudo sysctl -w {name}={value}   (a line `{name}={value}` in /etc/sysctl.d/99-pybuild.conf keeps it)"


def range_obstacle(facts: Facts) -> tuple[str, str] | None:
    """What stands between us and a range, and what removes it; None when nothing is known to."""
    outer = min(facts.mapped_uids, facts.mapped_gids)
    if outer < FULL_RANGE:
        why = f"the user namespace that we are in has only {outer} {'id' if outer == 1 else 'ids'}"
        return why, "run it outside of `unshare -r`, or in a container with a larger range of ids"
    return _helper_obstacle(facts) or _range_missing(facts)


def _helper_obstacle(facts: Facts) -> tuple[str, str] | None:
    helpers = (facts.newuidmap, facts.newgidmap)
    lacking = {power: [helper.path for helper in helpers if helper.power is power] for power in Power}
    if missing := lacking[Power.MISSING]:
        return f"{' and '.join(missing)} {_is(missing)} not installed", facts.install
    if facts.uid == 0:
        return None  # root needs no setuid bit
    if plain := lacking[Power.PLAIN]:
        return f"{' and '.join(plain)} {_is(plain)} not setuid root", f"sudo chmod u+s {' '.join(plain)}"
    if nosuid := lacking[Power.NOSUID]:
        place = os.path.dirname(nosuid[0])
        remedy = f"sudo mount -o remount,suid $(findmnt -n -o TARGET -T {place})"
        return f"{' and '.join(nosuid)} {_is(nosuid)} on a file system mounted nosuid", remedy
    if facts.no_new_privs:
        return (
            "no_new_privs is set, so newuidmap gets no privilege",
            "start the container with --security-opt no-new-privileges=false"
            " (Kubernetes: allowPrivilegeEscalation: true; systemd: NoNewPrivileges=no)",
        )
    if not facts.user:
        return (
            f"uid {facts.uid} has no entry in /etc/passwd, which newuidmap needs",
            f"echo 'builder:x:{facts.uid}:{facts.gid}::/:/bin/sh' | sudo tee -a /etc/passwd",
        )
    return None


def _is(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _range_missing(facts: Facts) -> tuple[str, str] | None:
    """What usermod has to add: only the kind that is short, so that running it twice does no harm."""
    short = []
    for file, own, ranges, option in (
        (SUBUID, facts.uid, facts.uid_ranges, "--add-subuids"),
        (SUBGID, facts.gid, facts.gid_ranges, "--add-subgids"),
    ):
        count = sum(span.count for span in usable(own, ranges))
        if count < FULL_RANGE:
            short.append((f"{file} gives {facts.user} {count or 'no'} ids", option))
    if not short:
        return None
    span = f"{facts.free_start}-{facts.free_start + FULL_RANGE - 1}"
    options = " ".join(f"{option} {span}" for _, option in short)
    why = " and ".join(text for text, _ in short)
    return f"{why} ({FULL_RANGE} are needed)", f"sudo usermod {options} {shlex.quote(facts.user)}"


def helper_failure(facts: Facts, words: str) -> tuple[str, str]:
    """What to say and do when newuidmap or newgidmap failed though nothing that we know of was missing."""
    if facts.mapped_uids < (1 << 32) - 1:
        return words, f"give the container that we are in a larger range of ids (it has {facts.mapped_uids})"
    return words, "start the container that we are in with --cap-add SETUID --cap-add SETGID"


def explain(facts: Facts, call: str, number: int) -> MachineError:
    """Why the kernel refused `call` (unshare, mount, uid_map …) with error `number` to us, and what mends it."""
    name = errno.errorcode.get(number, str(number))
    message = f"a user namespace cannot be entered here: {call} gives {name} ({os.strerror(number)})"
    if is_root(facts):
        message = f"a mount namespace cannot be entered here: {call} gives {name} ({os.strerror(number)})"
    try:
        _refuse_forbidden(facts)
    except MachineError as known:
        return known
    if number == errno.ENOSPC:
        counts = ", ".join(f"{key} = {value}" for key, value in facts.sysctls if key in _LIMITS)
        return MachineError(
            f"there are too many namespaces already ({counts or 'or they are nested more than 32 deep'})",
            hint=_set(_LIMITS[0], 100000),
        )
    if call == "unshare" and number in (errno.EINVAL, errno.ENOSYS):
        return MachineError(f"{message}; this kernel has no user namespaces", hint="use a kernel with CONFIG_USER_NS=y")
    if facts.chroot:
        return MachineError(f"{message}; inside a chroot it is forbidden", hint="run pybuild outside the chroot")
    if dict(facts.sysctls).get(_APPARMOR_SWITCH) == 1:
        return MachineError(
            f"AppArmor keeps programs without a profile from using user namespaces ({_APPARMOR_SWITCH} = 1)",
            hint=f"{_set(_APPARMOR_SWITCH, 0)}; or give the interpreter a profile with the rule `userns,`",
        )
    if facts.seccomp:
        return MachineError(
            f"{message}; this container's seccomp filter forbids it",
            hint="start the container with --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
            " (Kubernetes: securityContext.seccompProfile.type: Unconfined)",
        )
    return MachineError(
        message, hint="a security policy of this machine (SELinux, AppArmor) may forbid it: see `dmesg`"
    )


def gather() -> Facts:
    """Ask the machine. Takes a few milliseconds at most and changes nothing."""
    uid, gid = os.geteuid(), os.getegid()
    user = _user_name(uid)
    uid_ranges, gid_ranges = read_ranges(SUBUID, user, uid), read_ranges(SUBGID, user, uid)
    if not uid_ranges and not gid_ranges:
        uid_ranges, gid_ranges = _asked_ranges(user, uid, "-u"), _asked_ranges(user, uid, "-g")
    found = [name for name in (*_LIMITS, _CLONE_SWITCH, _APPARMOR_SWITCH) if _sysctl(name) is not None]
    return Facts(
        uid=uid,
        gid=gid,
        user=user,
        sys_admin=bool(syscalls.capget().effective >> CAP_SYS_ADMIN & 1),
        mapped_uids=mapped(read_map(Path("/proc/self/uid_map"))),
        mapped_gids=mapped(read_map(Path("/proc/self/gid_map"))),
        newuidmap=_helper("newuidmap"),
        newgidmap=_helper("newgidmap"),
        uid_ranges=uid_ranges,
        gid_ranges=gid_ranges,
        free_start=free_start(SUBUID, SUBGID),
        install=next((_INSTALL[name] for name in _INSTALL if shutil.which(name, path=HELPER_PATH)), _INSTALL_ANYWHERE),
        sysctls=tuple((name, _sysctl(name) or 0) for name in found),
        no_new_privs=bool(syscalls.prctl(PR_GET_NO_NEW_PRIVS)),
        seccomp=_is_filtered(),
        chroot=_is_chroot(),
    )


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def _helper(name: str) -> Helper:
    path = shutil.which(name, path=HELPER_PATH)
    if path is None:
        return Helper(name, Power.MISSING)
    if os.statvfs(path).f_flag & os.ST_NOSUID:
        return Helper(path, Power.NOSUID)
    status = os.stat(path)
    if status.st_uid == 0 and status.st_mode & stat.S_ISUID:
        return Helper(path, Power.READY)
    try:
        has_capability = bool(os.getxattr(path, "security.capability"))
    except OSError:
        has_capability = False
    return Helper(path, Power.READY if has_capability else Power.PLAIN)


def _asked_ranges(user: str, uid: int, option: str) -> tuple[SubRange, ...]:
    """Ranges that come from elsewhere than the files (`subid: sss` in nsswitch.conf), by getsubids(1)."""
    try:
        configured = any(line.startswith("subid:") for line in Path("/etc/nsswitch.conf").read_text().splitlines())
    except (OSError, UnicodeDecodeError):
        return ()
    tool = shutil.which("getsubids", path=HELPER_PATH)
    if not configured or tool is None or not user:
        return ()
    answer = subprocess.run(
        [tool, *(["-g"] if option == "-g" else []), user], capture_output=True, text=True, env={}, check=False
    )
    # Lines read `0: user 100000 65536`.
    rows = (line.split() for line in answer.stdout.splitlines())
    return parse_ranges("\n".join(":".join(row[1:]) for row in rows), user, uid)


def _sysctl(name: str) -> int | None:
    try:
        return int(Path("/proc/sys", *name.split(".")).read_text())
    except (OSError, ValueError):
        return None


def _is_filtered() -> bool:
    try:
        return "\nSeccomp:\t2\n" in Path("/proc/self/status").read_text()
    except OSError:
        return False


def _is_chroot() -> bool:
    """True when our root is no mount point: mountinfo lists only what our root can reach, under paths from there."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
    except OSError:
        return False
    return bool(lines) and not any(line.split()[4] == "/" for line in lines)

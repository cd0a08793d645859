"""What a step's process may do: ids, capabilities, limits, filter. Called by pid 1 of the step, last before its exec.

The order is forced: the filter needs CAP_SYS_ADMIN (or no_new_privs), leaving the bounding set CAP_SETPCAP, the ids
CAP_SETUID and CAP_SETGID. Sources: capabilities(7), credentials(7), getrlimit(2), seccomp(2).
"""

from __future__ import annotations

import errno
import os
import resource

from builder.errors import MachineError, UsageError
from builder.kernel import syscalls
from builder.kernel.constants import CAPABILITIES, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL
from builder.kernel.seccomp import nested_filter, step_filter
from builder.values.crossing import StepSpec
from builder.values.security import Security

# RLIMIT_* of asm-generic/resource.h under docker's names; Python's module lacks some of them.
_LIMITS = {
    "cpu": 0,
    "fsize": 1,
    "data": 2,
    "stack": 3,
    "core": 4,
    "rss": 5,
    "nproc": 6,
    "nofile": 7,
    "memlock": 8,
    "as": 9,
    "locks": 10,
    "sigpending": 11,
    "msgqueue": 12,
    "nice": 13,
    "rtprio": 14,
    "rttime": 15,
}
_ADDRESS_SPACE = _LIMITS["as"]
_MEMORY = (_ADDRESS_SPACE, _LIMITS["data"])
LIMIT_NAMES = frozenset(_LIMITS) - {"as"}
"""What `--ulimit` knows."""

_OPEN_FILES = 1024
_NO_CORE = 1
"""A byte: dumped nowhere. 0 means no file alone: where the kernel hands dumps to a program it does so all the same, and
that writes the variables of who crashed, secrets among them, into the machine's journal (core(5); fs/coredump.c)."""
_PROCESSES = 32768  # enough for any build, and an end to a fork bomb

Limits = dict[int, tuple[int, int]]
"""Soft and hard limit by number; -1 is none."""


def limits_of(step: StepSpec, inherited: Limits) -> Limits:
    """The limits of a step, given the ones that we have ourselves. Raises UsageError for a name that does not exist."""
    _, files = inherited[_LIMITS["nofile"]]
    _, processes = inherited[_LIMITS["nproc"]]
    bound = _PROCESSES if processes < 0 else min(_PROCESSES, processes)
    _, core = inherited[_LIMITS["core"]]
    core = _NO_CORE if core < 0 else min(_NO_CORE, core)
    limits: Limits = {
        _LIMITS["core"]: (core, core),
        _LIMITS["nofile"]: (_OPEN_FILES if files < 0 else min(_OPEN_FILES, files), files),
        _LIMITS["nproc"]: (bound, bound),
    }
    for name, soft, hard in step.rlimits:
        if name not in LIMIT_NAMES:
            raise UsageError(f"there is no ulimit {name!r}", hint="known are " + ", ".join(sorted(LIMIT_NAMES)))
        limits[_LIMITS[name]] = (soft, hard)
    if step.memory_bytes:
        limits[_ADDRESS_SPACE] = (step.memory_bytes, step.memory_bytes)
    return limits


def early(limits: Limits) -> Limits:
    """Those that may need a capability to set."""
    return {number: limit for number, limit in limits.items() if number not in _MEMORY}


def late(limits: Limits) -> Limits:
    """Those that could leave this interpreter without memory: set when nothing else is left to do."""
    return {number: limit for number, limit in limits.items() if number in _MEMORY}


def inherited_limits() -> Limits:
    """The limits of this process."""
    return {number: resource.getrlimit(number) for number in _LIMITS.values()}


def set_limits(limits: Limits) -> None:
    """Set limits of this process. Raises MachineError for a hard limit above what this user may have."""
    for number, (soft, hard) in limits.items():
        try:
            resource.setrlimit(number, (soft, hard))
        except (ValueError, OSError) as error:
            name = next(name for name, known in _LIMITS.items() if known == number)
            most = resource.getrlimit(number)[1]
            raise MachineError(
                f"cannot set the limit {name} to {soft}:{hard}: {error}",
                hint=f"the most that this user may have is {most}; /etc/security/limits.conf or systemd raise it",
            ) from error


def confine(step: StepSpec, machine: str) -> None:
    """Give up everything that the step is not to have. Raises MachineError; nothing privileged works afterwards."""
    insecure = step.security is Security.INSECURE
    kept = 0 if insecure else mask_of(step.capabilities)
    if not insecure:
        _drop_bounding_set(kept)
    syscalls.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    _set_groups(step)
    if step.no_new_privileges:
        syscalls.set_no_new_privs()
    if not insecure:
        _install_filter(step, machine)
    _set_ids(step)
    # A change from uid 0 to another has emptied the effective and permitted sets already (capabilities(7)).
    if step.uid != 0:
        syscalls.capset(0, 0, 0)
    elif insecure:
        held = syscalls.capget()
        syscalls.capset(held.effective, held.permitted, 0)
    else:
        syscalls.capset(kept, kept, 0)


def mask_of(names: tuple[str, ...]) -> int:
    """Capabilities by their names as the kernel's mask."""
    return sum(1 << CAPABILITIES[name] for name in names)


def _drop_bounding_set(kept: int) -> None:
    for capability in range(64):
        if kept >> capability & 1:
            continue
        try:
            syscalls.cap_drop_bound(capability)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return  # the kernel knows no more
            raise


def _install_filter(step: StepSpec, machine: str) -> None:
    build = nested_filter if step.security is Security.NESTED else step_filter
    try:
        syscalls.seccomp_filter(build(machine))
    except OSError as error:
        raise MachineError(
            f"the system call filter cannot be installed: {error}",
            hint="the kernel needs CONFIG_SECCOMP_FILTER",
        ) from error


def _set_groups(step: StepSpec) -> None:
    try:
        os.setgroups(step.groups)
    except OSError as error:
        # Where only one id is mapped, the kernel lets nobody drop groups (user_namespaces(7)): we keep ours, which the
        # host gave us anyway. Other groups do not exist there.
        if error.errno != errno.EPERM or any(group != 0 for group in step.groups):
            raise _needs_range(step, error) from error


def _set_ids(step: StepSpec) -> None:
    try:
        os.setresgid(step.gid, step.gid, step.gid)
        os.setresuid(step.uid, step.uid, step.uid)
    except OSError as error:
        raise _needs_range(step, error) from error


def _needs_range(step: StepSpec, error: OSError) -> MachineError:
    groups = "".join(f",{group}" for group in step.groups if group != step.gid)
    return MachineError(
        f"the step cannot run as {step.uid}:{step.gid}{groups}: {error.strerror}",
        hint="USER needs an id range that holds these numbers, in /etc/subuid and /etc/subgid: "
        "as root, `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 NAME`",
    )

"""Door 2: a RUN step in a room of its own. What the room is made of is data in `devices` and `stepmounts`.

    job's process (uid 0 of the worker's namespace)         step (pid 1 of its namespaces)
      │  own mount namespace, private                         │
      │  stage: trees, files, caches on a tmpfs               │
      │  root: overlay │ fuse-overlayfs │ copy                │
      │  /dev, hosts, resolv.conf, the step's mounts          │
      │  a relay for each ssh agent, a process outside        │
      │  clone(mount, pid, ipc, uts, cgroup, net?) ─────────► │ /proc, /sys and their covers; pivot_root
      │                                                       │ ids, capabilities, limits, filter
      │ ◄───────── report: closed by exec, or an error ────── │ exec
      │ ◄───────── wait: its status ───────────────────────── │ its end is the end of all in its pid namespace
      │  upper is given its final form

The command itself is pid 1, as with runc and BuildKit: were a process of ours pid 1, the step could find our program,
memory and environment in /proc/1. So what pid 1 means in those holds here: orphans are its children, and signals that
it does not handle do not end it (pid_namespaces(7)). After the clone nothing is imported, and everything that may fail
is reported over a pipe that exec closes. Nothing here decides what a step is.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
from types import TracebackType
from typing import NoReturn

from builder.declare import dataclass
from builder.errors import BY_NAME, ImageError, MachineError, PybuildError
from builder.kernel import devices, mounts, network, privileges, program, relay, rootfs, stepmounts, syscalls
from builder.kernel.beneath import mount_id
from builder.kernel.constants import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUTS,
    MNT_DETACH,
)
from builder.kernel.descriptors import close_all_but
from builder.values.crossing import Ran, RootKind, RunJob, StepSpec, Tree
from builder.values.security import Security

_NAMESPACES = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP
_REFUSALS = (errno.EPERM, errno.EACCES, errno.ENODEV, errno.ENOENT)
_REPORT_BYTES = 1 << 16
_LONGEST_MESSAGE = 4000  # so that a report fits into a pipe, whatever its characters are escaped to
_MACHINE = os.uname().machine


def perform(job: RunJob, fds: list[int], root_kind: RootKind, copying: rootfs.Copying | None = None) -> Ran:
    """Run a step; `fds[0]` takes its output. `copying` (the module tree.copyup) is needed for RootKind.COPY.

    The calling process is in a mount namespace of its own afterwards; if nothing was raised, it can do another step.
    Raises ContextError for mounts that cannot be, ImageError for a root that cannot be entered, MachineError and
    StoreError for what the machine refuses.
    """
    step = job.step
    try:
        syscalls.unshare(CLONE_NEWNS)
        mounts.make_private()
        stage = rootfs.Stage.create(step.work)
    except OSError as error:
        raise mounts.refusal(error, "cannot make room for a step") from error
    try:
        return Ran(_Room(step, stage, root_kind, copying, []).run(fds))
    except OSError as error:
        raise mounts.refusal(error, "cannot prepare a step") from error
    finally:
        stage.dismantle()  # with all that is mounted in it; helpers of FUSE end by that


@dataclass(frozen=True, slots=True)
class _Room:
    """A step with where it is put together; `trees` are the stacks that its mounts show."""

    step: StepSpec
    stage: rootfs.Stage
    root_kind: RootKind
    copying: rootfs.Copying | None
    trees: list[tuple[tuple[Tree, stepmounts.Sharing], str]]

    def run(self, fds: list[int]) -> int:
        with relay.serving(stepmounts.doors_of(self.step, self.stage)):
            return self._run(fds)

    def _run(self, fds: list[int]) -> int:
        staged = stepmounts.stage_all(self.step, fds, self.stage, self._stack_tree)
        layers = rootfs.Layers(self.step.root.lowers, self.step.upper, self.step.work)
        root = rootfs.assemble(self.root_kind, layers, self.stage, stepmounts.targets_of(staged), self.copying)
        operations = stepmounts.outer_operations(staged, tty_group=_is_mapped_group(devices.TTY_GROUP))
        with mounts.owned(os.open(root.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as fd:
            made = [*root.made, *mounts.execute(fd, operations)]
            ours = mount_id(fd)
        status = _run_inside(self.step, root.path, fds)
        root.finish([point for point in made if point.mount_id == ours])
        return status

    def _stack_tree(self, tree: Tree, sharing: stepmounts.Sharing) -> str:
        if sharing is stepmounts.Sharing.SHARED:
            for known, path in self.trees:
                if known == (tree, sharing):
                    return path
        number = len(self.trees)
        path = self.stage.tree(number)
        os.mkdir(path, 0o755)
        work = f"{self.step.work}/tree-{number}"
        layers = rootfs.Layers(tree.lowers, work + "/upper", work)
        rootfs.assemble_plain(self.root_kind, layers, path, self.copying)
        self.trees.append(((tree, sharing), path))
        return path


def _is_mapped_group(gid: int) -> bool:
    with open("/proc/self/gid_map", "rb") as table:
        rows = [[int(word) for word in line.split()] for line in table]
    return any(first <= gid < first + count for first, _, count in rows)


@dataclass(frozen=True, slots=True)
class _Wires:
    """What the step's process takes along: its output, /dev/null, where errors go, who must be alive, and where the
    proxy's listener goes.
    """

    output: int
    null: int
    report: int
    parent: int  # a pidfd
    proxy: int  # -1 without one


def _run_inside(step: StepSpec, root: str, fds: list[int]) -> int:
    """Start the step's pid 1, wait for it, and give its status as the shell has it. Raises what it reports."""
    command = program.program_of(step.argv, step.env)
    limits = privileges.limits_of(step, privileges.inherited_limits())
    flags = _NAMESPACES | network.namespace_flags(step.network)
    proxy = fds[step.proxy_fd] if step.proxy_fd >= 0 else -1
    reader, writer = os.pipe2(os.O_CLOEXEC)
    with (
        mounts.owned(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)) as null,
        mounts.owned(syscalls.pidfd_open(os.getpid())) as us,
    ):
        pid = syscalls.clone_process(flags)
        if pid == 0:
            _be_step(step, root, _Wires(fds[0], null, writer, us, proxy), _Prepared(command, limits))
        os.close(writer)
    with open(reader, "rb") as stream:
        report = stream.read(_REPORT_BYTES)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if report:
        raise _read_report(report)
    return code if code >= 0 else 128 - code


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What was worked out before the clone."""

    command: program.Program
    limits: privileges.Limits


def _be_step(step: StepSpec, root: str, wires: _Wires, prepared: _Prepared) -> NoReturn:
    """The life of the step's pid 1, up to its exec. Never returns: the stack above belongs to the parent."""
    status = 1
    try:
        network.enter(step, wires.proxy)
        _furnish(step, root)
        _settle(step, wires)
        privileges.set_limits(privileges.early(prepared.limits))
        privileges.confine(step, _MACHINE)
        privileges.set_limits(privileges.late(prepared.limits))
        _die_with(wires.parent)
        status, words = program.execute(prepared.command)
        _say(words)
    except BaseException as error:
        _report(wires.report, error)
    finally:
        os._exit(status)


def _furnish(step: StepSpec, root: str) -> None:
    """Mount what shows our namespaces, then make `root` the only root there is."""
    os.chdir(root)
    with mounts.owned(os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as fd:
        has_own_proc = _mount_or(fd, devices.PROC, devices.SHARED_PROC)
        has_own_sys = _mount_or(fd, devices.SYS, devices.SHARED_SYS)
        if step.security is Security.NESTED and has_own_proc and not _may_be_real_root():
            mounts.execute(fd, devices.WHOLE_PROC)
        mounts.execute(fd, (devices.MESSAGE_QUEUES,))
        if step.security is not Security.INSECURE:
            _mount_or(fd, devices.CGROUP, devices.NO_CGROUP)
            mounts.execute(fd, (*devices.COVERS, *(() if has_own_sys else devices.SHARED_SYS_COVERS)))
    # With the same directory twice the old root is stacked on the new one, and its detaching uncovers it: no
    # directory has to be made for it in the image (pivot_root(2), NOTES).
    syscalls.pivot_root(".", ".")
    syscalls.umount2(".", MNT_DETACH)
    os.chdir("/")


def _mount_or(root: int, wanted: mounts.NewFilesystem, instead: mounts.MountOp) -> bool:
    """Mount what is wanted, or else something instead where that is refused or unknown; whether it was as wanted."""
    try:
        mounts.execute(root, (wanted,))
        return True
    except MachineError as error:
        cause = error.__cause__
        if not isinstance(cause, OSError) or cause.errno not in _REFUSALS:
            raise
        mounts.execute(root, (instead,))
        return False


def _may_be_real_root() -> bool:
    """Whether root of our user namespace is the machine's own: then files of /proc belong to it, as nowhere else."""
    with open("/proc/self/uid_map", "rb") as table:
        return any(int(line.split()[1]) == 0 for line in table)


def _settle(step: StepSpec, wires: _Wires) -> None:
    """A session, descriptors, a name and a directory of the step's own."""
    for number in range(1, signal.NSIG):
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            syscalls.default_action(number)  # the interpreter ignores SIGPIPE; whoever started us, any other
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    syscalls.sethostname(step.hostname)
    os.setsid()
    _leave_keyring()
    os.dup2(wires.null, 0)
    os.dup2(wires.output, 1)
    os.dup2(wires.output, 2)
    _close_others(wires.report, wires.parent)
    os.umask(0o022)
    try:
        os.chdir(step.cwd)
    except OSError as error:
        raise ImageError(f"the working directory {step.cwd!r} cannot be entered: {error.strerror}") from error
    if not os.getcwd().startswith("/"):  # "(unreachable)…", getcwd(3)
        raise MachineError(f"the working directory {step.cwd!r} is outside the step's root")


def _close_others(*kept: int) -> None:
    """Close all descriptors from 3 on but these, which an exec closes: the report's end is how the parent knows.

    Closed now, not by the exec: that looks the program up before it closes anything, so that an image's link to
    /proc/self/fd/7/../bin/tool could name programs of the host by a directory of ours (CVE-2024-21626).
    """
    close_all_but(*kept)
    for fd in kept:
        os.set_inheritable(fd, False)


def _leave_keyring() -> None:
    try:
        syscalls.keyctl_join_session()
    except OSError as error:
        # A kernel without keys, a filter around us, or a full quota. The step's own filter refuses all key calls.
        if error.errno not in (errno.ENOSYS, errno.EPERM, errno.EDQUOT):
            raise


def _die_with(parent: int) -> None:
    """End when the parent ends. Set last, since a change of ids clears it; getppid() is 0 in our own pid namespace."""
    syscalls.set_pdeathsig(signal.SIGKILL)
    watch = select.poll()
    watch.register(parent, select.POLLIN)
    if watch.poll(0):
        os._exit(1)
    os.close(parent)


def _say(words: str) -> None:
    data = f"pybuild: {words}\n".encode("utf-8", "replace")
    try:
        os.write(2, data)
    except OSError:
        pass  # nobody listens; the status tells it too


def _report(pipe: int, error: BaseException) -> None:
    """Send an error to the parent. The interpreter's own ways to print one would read files of the image."""
    if isinstance(error, PybuildError):
        document = {"kind": type(error).__name__, "message": error.message[:_LONGEST_MESSAGE], "hint": error.hint}
    elif isinstance(error, OSError):
        document = {"kind": "MachineError", "message": f"cannot enter the step's sandbox: {error}", "hint": None}
    else:
        document = {
            "kind": "bug",
            "message": f"{type(error).__name__}: {error}{_places(error.__traceback__)}",
            "hint": None,
        }
    os.write(pipe, json.dumps(document).encode())


def _places(trace: TracebackType | None) -> str:
    words = ""
    while trace is not None:
        code = trace.tb_frame.f_code
        words += f"\n  in {code.co_name} ({os.path.basename(code.co_filename)}:{trace.tb_lineno})"
        trace = trace.tb_next
    return words


def _read_report(report: bytes) -> Exception:
    document = json.loads(report)
    kind = BY_NAME.get(document["kind"])
    if kind is None:
        return RuntimeError(document["message"])
    return kind(document["message"], hint=document["hint"])

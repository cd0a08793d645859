"""Run: a RUN step over the snapshots of its stack, its output to people, its changes to a layer."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from builder.declare import replace
from builder.errors import StepFailed, UsageError
from builder.stages.commit import keep_upper, upper_commit
from builder.stages.hands import Hands
from builder.stages.mounts import Mounted, mounted
from builder.stages.unpack import tree_of
from builder.stages.users import account_of
from builder.store.files import NO_SPACE_HINT
from builder.tree.accounts import Account
from builder.values.crossing import FileMount, NetworkMode, Ran, RunJob, StepMount, StepSpec, Tree
from builder.values.event import StepId, StepOutput
from builder.values.image import Layer
from builder.values.security import OWN_NETWORK
from builder.values.stack import Stack
from builder.values.step import RunStep

if TYPE_CHECKING:
    from builder.stages.network import StepNetwork

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
HOSTNAME = "buildkitsandbox"
_TAIL_LINES = 12
_TAIL_BYTES = 16 << 10
_FULL_BYTES = 1 << 20
_LAST_OUTPUT_S = 5.0  # the step is over; what is left of its output is in the pipe


def run_step(step: RunStep, step_id: StepId, stack: Stack, built: Mapping[int, Stack], hands: Hands) -> Layer | None:
    """Run the command and commit what it changed. Raises StepFailed at the step's place."""
    from builder.stages.network import connected, prepare  # a cached build gets by without

    prepare(step, hands)
    tree = tree_of(stack, hands)
    account = account_of(step.user, stack, hands.layers, step.span)
    scratch = hands.store.snapshots.scratch()
    try:
        with mounted(step, built, hands) as mounts, connected(step, step_id, hands) as network:
            upper = scratch / "fs"
            spec = _spec(step, tree, account, (upper, scratch / "work"), mounts, hands)
            spec = _networked(spec, step, network, hands)
            if network.proxy is not None:
                spec = replace(spec, proxy_fd=mounts.add_descriptor(network.proxy))
            commit = upper_commit(upper, tree, hands)
            output = _Output(step_id, hands)
            ran = output.collect(RunJob(spec, commit), mounts.fds)
        if ran.committed is None:
            raise _failure(step, ran.status, output, hands)
        return keep_upper(commit, ran.committed, stack, hands)
    finally:
        hands.store.snapshots.discard(scratch)


class _Output:
    """A step's output on its way to people; the last lines are kept for the error message."""

    def __init__(self, step_id: StepId, hands: Hands) -> None:
        self._step_id = step_id
        self._hands = hands
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._dropped = False

    def collect(self, job: RunJob, fds: tuple[int, ...]) -> Ran:
        """Run the step and return what came of it once its output has ended."""
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        reader = threading.Thread(target=self._read, args=(read_end,), daemon=True)
        reader.start()
        try:
            ran = self._hands.door.call(job, Ran, (write_end, *fds))
        finally:
            os.close(write_end)
        # Only now: when we are stopped the step lives on until the door is shut, and its output with it.
        reader.join(timeout=_LAST_OUTPUT_S)
        return ran

    def _read(self, fd: int) -> None:
        with os.fdopen(fd, "rb", buffering=0) as pipe:
            while data := pipe.read(64 << 10):
                self._hands.emit(StepOutput(self._step_id, data))
                self._tail.append(data)
                self._tail_bytes += len(data)
                while self._tail_bytes - len(self._tail[0]) >= _TAIL_BYTES:
                    self._tail_bytes -= len(self._tail.popleft())
                    self._dropped = True

    def tail(self) -> tuple[str, ...]:
        """The last lines that are whole: a piece of one could hold a piece of a secret, which no mask knows."""
        data = b"".join(self._tail)
        cut = len(data) > _TAIL_BYTES or self._dropped
        lines = data[-_TAIL_BYTES:].replace(b"\r", b"\n").rstrip(b"\n").split(b"\n")[1 if cut else 0 :]
        return tuple(line.decode("utf-8", "surrogateescape") for line in lines[-_TAIL_LINES:] if data)


def _spec(
    step: RunStep,
    tree: Tree,
    account: Account,
    places: tuple[Path, Path],
    mounts: Mounted,
    hands: Hands,
) -> StepSpec:
    request = hands.request
    scripts = _script_mounts(step, mounts, account)
    return StepSpec(
        argv=step.argv,
        env=_environment(step, account, mounts),
        cwd=step.cwd,
        uid=account.uid,
        gid=account.gid,
        # With its own group among them, as runc has it: else giving that one up, by a setgid program, would gain what
        # a file denies to it (CVE-2022-36109).
        groups=tuple(dict.fromkeys((account.gid, *account.groups))),
        root=tree,
        upper=str(places[0]),
        work=str(places[1]),
        hostname=step.hostname or HOSTNAME,
        mounts=(*mounts.mounts, *scripts),
        rlimits=tuple((limit.name, limit.soft, limit.hard) for limit in request.ulimits),
        memory_bytes=request.memory_bytes,
        no_new_privileges=request.privileges.no_new_privileges,
        security=step.security,
    )


def _capabilities(step: RunStep, network: NetworkMode, hands: Hands) -> tuple[str, ...]:
    """The step's capabilities. Raises UsageError for those over a network that is the machine's."""
    names = hands.request.privileges.capabilities
    astray = [name for name in names if name in OWN_NETWORK]
    if astray and network is NetworkMode.HOST:
        raise UsageError(
            f"--cap-add {astray[0]}: this step shares the network of the machine",
            span=step.span,
            hint="it works in another network: --network auto, none or proxy, or RUN --network=none",
        )
    return names


def _networked(spec: StepSpec, step: RunStep, network: StepNetwork, hands: Hands) -> StepSpec:
    return replace(
        spec,
        env=_with(spec.env, network.env),
        capabilities=_capabilities(step, network.mode, hands),
        network=network.mode,
        namespace=network.namespace,
        hosts=_hosts(spec.hostname, hands.request.add_hosts, network),
        resolv_conf=network.resolv_conf,
    )


def _with(env: tuple[tuple[str, str], ...], more: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    names = {name for name, _ in more}
    return (*(pair for pair in env if pair[0] not in names), *more)


def _script_mounts(step: RunStep, mounts: Mounted, account: Account) -> tuple[StepMount, ...]:
    return tuple(
        FileMount(mounts.add_file(script.content), f"/dev/pipes/{script.name}", 0o555, account.uid, account.gid)
        for script in step.scripts
    )


def _environment(step: RunStep, account: Account, mounts: Mounted) -> tuple[tuple[str, str], ...]:
    """What the command sees: the image's and ARGs' variables, and the few that every command expects."""
    names = {name for name, _ in step.env}
    defaults = (("PATH", DEFAULT_PATH), ("HOME", account.home or "/"), ("HOSTNAME", step.hostname or HOSTNAME))
    env = [pair for pair in (*defaults, *step.hidden_env) if pair[0] not in names]
    return (*env, *step.env, *mounts.env)


def _hosts(hostname: str, extra: tuple[tuple[str, str], ...], network: StepNetwork) -> str:
    """The step's own names, then --add-host, then what its network knows: on the host's its names hold as well."""
    lines = ["127.0.0.1\tlocalhost " + hostname, "::1\tlocalhost ip6-localhost ip6-loopback"]
    lines += [f"{address}\t{name}" for name, address in extra]
    lines += network.hosts
    return "\n".join(dict.fromkeys(lines)) + "\n"


def _failure(step: RunStep, status: int, output: _Output, hands: Hands) -> StepFailed:
    text = f"the command ended with exit code {status}"
    hint = None
    if status > 128:
        text = f"the command was ended by signal {status - 128} (exit code {status})"
        hint = "signal 9 often means that there was not enough memory" if status == 137 else None
    elif status == 127:
        hint = "127: the program was not found in the image; check PATH, the shell, and the base's architecture"
    elif status == 126:
        hint = "126: the program was found, but it cannot be executed"
    if hint is None and _is_full(hands.store.root):
        hint = f"there is no room left on the disk of the store ({hands.store.root}): {NO_SPACE_HINT}"
    return StepFailed(text, span=step.span, hint=hint, command=" ".join(step.argv), status=status, tail=output.tail())


def _is_full(directory: Path) -> bool:
    facts = os.statvfs(directory)
    return facts.f_bavail * facts.f_frsize < _FULL_BYTES

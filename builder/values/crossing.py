"""Every message that crosses into or out of the namespace. Two doors, drawn here; the channel only carries.

    conductor                          worker                             step
       │  Serve │ Exec ─────────────────► │   unshare                       │
       │  Unshared │ Refused ◄─────────── │   (on rung ROOT these two       │
       │  (writes the maps) Mapped ─────► │    are left out)                │
       │  Hello(protocol, rung) ◄──────── │   maps are written, mounts work │
       │  UnpackJob │ RunJob │            │                                 │
       │  RemoveJob │ NetworkJob ───────► │  one child a job                │
       │        (descriptors beside)      │  RunJob.step: StepSpec ───────► │ mounts, pivot_root, ids, caps, exec
       │                                  │ ◄── closed pipe = exec'd, or a Fault
       │                                  │  RunJob.commit: CommitSpec      │
       │  Done(job, result) │ Fault ◄──── │                                 │
       │  Rest (no step follows) ───────► │                                 │

A message travels as one JSON object tagged with its class's name; tuples are lists. Paths of the host are text
(surrogateescape for names that are not UTF-8). A descriptor is named by its index in the message's list of descriptors.
When the channel closes, the worker and all it started end.
"""

from __future__ import annotations

from builder.declare import dataclass, field
from builder.values.ladder import NetworkMode as NetworkMode  # whoever reads messages finds them here
from builder.values.ladder import RootKind as RootKind
from builder.values.ladder import Rung as Rung
from builder.values.limits import Limits
from builder.values.security import DEFAULT_CAPABILITIES, Security

PROTOCOL = 6
"""Raised whenever a message changes; both sides compare."""
FIRST = 0
"""The number of the request that comes with Serve; those that are sent later have other ones."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A file system as a stack of snapshot directories of the host, uppermost first; empty for scratch."""

    lowers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TreeMount:
    """`source` (a path inside `tree`) shown at `target`; what is written to a writable one is thrown away."""

    tree: Tree
    source: str
    target: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class CacheMount:
    """A directory of the store that keeps what steps write; made with these ids and mode when it is missing.

    `seed` names the tree and path that a new cache starts as a copy of.
    """

    directory: str
    target: str
    read_only: bool = False
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    seed: Tree | None = None
    seed_source: str = "/"


@dataclass(frozen=True, slots=True)
class TmpfsMount:
    """A fresh tmpfs; `size_bytes` 0 means the kernel's default."""

    target: str
    size_bytes: int = 0
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class FileMount:
    """A file from memory: the bytes of descriptor number `fd` of the message, read to its end."""

    fd: int
    target: str
    mode: int = 0o400
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class SocketMount:
    """A Unix socket of the host (an ssh agent's) shown at `target`."""

    source: str
    target: str
    mode: int = 0o600
    uid: int = 0
    gid: int = 0


StepMount = TreeMount | CacheMount | TmpfsMount | FileMount | SocketMount


@dataclass(frozen=True, slots=True)
class NetworkPlace:
    """A network namespace: where it is opened, and the inode that it must have."""

    path: str
    inode: int


@dataclass(frozen=True, slots=True)
class StepSpec:
    """All that a RUN step needs to know. Names of users are already numbers; nothing is looked up inside."""

    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    cwd: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    root: Tree
    upper: str  # receives the changes, in overlay's form (whiteouts, user.overlay.opaque)
    work: str  # overlay's work directory, and room for whatever else is mounted; on the file system of `upper`
    network: NetworkMode = NetworkMode.HOST
    namespace: NetworkPlace | None = None  # of DEFAULT
    proxy_fd: int = -1  # of PROXY: the descriptor (a socket) that takes the proxy's listener
    hostname: str = "buildkitsandbox"
    hosts: str = ""  # what /etc/hosts shows
    resolv_conf: str = ""  # what /etc/resolv.conf shows
    mounts: tuple[StepMount, ...] = ()
    rlimits: tuple[
        tuple[str, int, int], ...
    ] = ()  # name as in `ulimit` of docker (nofile, core …), soft, hard; -1 is no limit
    memory_bytes: int = 0  # 0: no limit
    capabilities: tuple[str, ...] = DEFAULT_CAPABILITIES  # of uid 0, and the most that any program can get
    no_new_privileges: bool = False
    security: Security = Security.SANDBOX  # INSECURE: all capabilities whatever the field says, no filter, no masks


@dataclass(frozen=True, slots=True)
class UnpackJob:
    """Make a snapshot of one layer: `target` (does not exist yet) becomes its directory, over `lowers`.

    The layer's uncompressed bytes are hashed on the way and must be `diff_id`. When `index` is not empty the layer's
    index is written there.
    """

    blob: str
    media_type: str
    diff_id: str
    lowers: tuple[str, ...]
    target: str
    index: str = ""
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class CommitSpec:
    """Pack what `upper` changes over `lowers` as a layer into the new file `blob`, with its index in `index`.

    `max_mtime_ns` (when not -1) is the latest modification time that is written; later ones are clamped to it. What
    is `wanted` (bytes as hex) is looked for in the layer's tar.
    """

    upper: str
    lowers: tuple[str, ...]
    blob: str
    index: str
    compression: str  # gzip, zstd or none
    level: int = -1
    max_mtime_ns: int = -1
    wanted: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class RunJob:
    """Run a step, and if it ends with status 0 commit what it changed.

    Descriptor 0 of the message takes its standard output and error; FileMount.fd count from 0 too.
    """

    step: StepSpec
    commit: CommitSpec | None = None


@dataclass(frozen=True, slots=True)
class RemoveJob:
    """Remove trees, whoever owns what is in them."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NetworkJob:
    """Make a network namespace for the steps and connect it with the outside by a program found in `places`.

    `forwarded` are ports of this machine's loopback that lead there from the step's: those of the caller's proxies.
    With `resolver` the first server of this machine's resolv.conf, were it on the loopback, answers on 10.0.2.3 too.
    """

    forwarded: tuple[int, ...] = ()
    resolver: bool = False
    places: str = "/usr/bin:/bin:/usr/local/bin:/usr/sbin:/sbin:/usr/local/sbin:/run/wrappers/bin"


Job = UnpackJob | RunJob | RemoveJob | NetworkJob


@dataclass(frozen=True, slots=True)
class Serve:
    """The conductor's first message: enter the namespace on this rung and do jobs; `directory` will hold the roots.

    `first` is begun before the worker is ready for others, and answered after its Hello, as the request FIRST.
    """

    rung: Rung
    directory: str
    first: NetworkJob | None = None


@dataclass(frozen=True, slots=True)
class Exec:
    """The first message instead of Serve: enter the namespace and become this command. A closed channel = exec'd."""

    rung: Rung
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Unshared:
    """The namespaces are made; the worker waits until its maps are written."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """The maps are written."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The kernel refused `call` with `errno` on the way into the namespace; the worker ends."""

    call: str
    errno: int


@dataclass(frozen=True, slots=True)
class Hello:
    """The worker stands, on this rung, and roots are put together in this way."""

    protocol: int
    rung: Rung
    root_kind: RootKind


@dataclass(frozen=True, slots=True)
class Unpacked:
    """How many entries a layer has; `devices` of them are device nodes, which were left out.

    `room_bytes` is what its files and directories take on the disk.
    """

    entries: int
    devices: int = 0
    room_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Committed:
    """A packed layer; with `entries` 0 nothing had changed and no blob is to be kept.

    `found` are the numbers of what was wanted and is in the tar, each with its first place there (bytes).
    """

    diff_id: str
    digest: str
    size: int
    entries: int
    found: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Ran:
    """`status` as the shell has it: 0 to 255, or 128 + n after signal n. `committed` is there if a commit was made."""

    status: int
    committed: Committed | None = None


@dataclass(frozen=True, slots=True)
class Removed:
    paths: int


@dataclass(frozen=True, slots=True)
class Networked:
    """The program that connects `namespace`. Both are empty where none could; `failures` says what went wrong."""

    helper: str
    namespace: NetworkPlace | None = None
    failures: str = ""


Result = Unpacked | Ran | Removed | Networked


@dataclass(frozen=True, slots=True)
class Request:
    """A job with its number."""

    number: int
    job: Job


@dataclass(frozen=True, slots=True)
class Rest:
    """No step follows: what is kept for steps may end. Other jobs may come. Without an answer."""


@dataclass(frozen=True, slots=True)
class Done:
    """The answer to a request that worked."""

    number: int
    result: Result


@dataclass(frozen=True, slots=True)
class Fault:
    """The answer to one that failed: a PybuildError (`kind`: a key of errors.BY_NAME), or a bug with its traceback."""

    number: int
    kind: str
    message: str
    hint: str = ""
    traceback: str = ""


Message = Serve | Exec | Unshared | Mapped | Refused | Hello | Request | Rest | Done | Fault

"""The options of a build, as one table. click's command is made from it, and so is the help; it imports no click, so
that a plain build line can be read from it without that cost. How a value is read is not said here (see `request`).
"""

from __future__ import annotations

from enum import StrEnum

from builder.declare import dataclass


class Group(StrEnum):
    """The headings of the help, in their order."""

    INPUT = "Input"
    RESULT = "Result"
    STEPS = "Steps"
    DISPLAY = "Display"
    CONNECTION = "Registries"
    OTHER = "Other"


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its names (the long one last), and for the help a word for its value; no such word makes a flag."""

    names: tuple[str, ...]
    group: Group
    help: str
    value: str = ""
    several: bool = False

    @property
    def key(self) -> str:
        """The field of `BuildOptions` that holds it."""
        return self.names[-1].lstrip("-").replace("-", "_")

    @property
    def title(self) -> str:
        """How errors call it: `-t/--tag`."""
        return "/".join(self.names)


LIMIT = Option(("--limit",), Group.CONNECTION, "how much is taken in, such as layer=50g", "NAME=VALUE", True)

CONNECTION: tuple[Option, ...] = (
    Option(("--creds",), Group.CONNECTION, "log in so, instead of with stored logins", "USER[:PASSWORD]"),
    Option(("--authfile",), Group.CONNECTION, "the file of logins, instead of all others", "FILE"),
    Option(("--cert-dir",), Group.CONNECTION, "CAs (*.crt) and client certificates to use", "DIR"),
    Option(("--insecure-registry",), Group.CONNECTION, "plain http or any certificate for it", "HOST[:PORT]", True),
    LIMIT,
)
"""What every command that talks to registries can be told (read by `connection`, and the last by `limits`)."""

ROOT = Option(("--root",), Group.OTHER, "the store (default: see `pybuild config`)", "DIR")

OPTIONS: tuple[Option, ...] = (
    Option(("-f", "--file"), Group.INPUT, "the Buildfile; - is standard input", "PATH"),
    Option(("--build-arg",), Group.INPUT, "value of an ARG, or NAME from the environment", "NAME[=VALUE]", True),
    Option(("--build-context",), Group.INPUT, "a directory or image, for FROM and --from", "NAME=DIR", True),
    Option(("--target",), Group.INPUT, "the stage to build (default: the last)", "STAGE"),
    Option(("--platform",), Group.INPUT, "OS/ARCH[/VARIANT] (default: this machine's)", "PLATFORM"),
    Option(("--pull",), Group.INPUT, "ask the registry even for bases that are here"),
    Option(("--no-cache",), Group.INPUT, "run every step again"),
    Option(("--check",), Group.INPUT, "only run the build checks; 1 when they find anything"),
    Option(("--call",), Group.INPUT, "build, or check: the same as --check", "METHOD"),
    Option(("-t", "--tag"), Group.RESULT, "name of the image", "NAME[:TAG]", True),
    Option(("--label",), Group.RESULT, "label of the image", "NAME=VALUE", True),
    Option(("--annotation",), Group.RESULT, "annotation of the image's manifest", "NAME=VALUE", True),
    Option(("-o", "--output"), Group.RESULT, "DIR, -, or type=oci|docker|local|tar|image,dest=...", "OUTPUT", True),
    Option(("--push",), Group.RESULT, "send the image to the registries of its names"),
    Option(("--load",), Group.RESULT, "keep the image in the store (always so)"),
    Option(("--iidfile",), Group.RESULT, "write the image id there", "FILE"),
    Option(("--metadata-file",), Group.RESULT, "write digests and names there, as JSON", "FILE"),
    Option(("--network",), Group.STEPS, "auto (default), none, host or proxy", "MODE"),
    Option(("--allow-host",), Group.STEPS, "with proxy: HOST[:PORT] or *.DOMAIN alone", "PATTERN", True),
    Option(("--add-host",), Group.STEPS, "a line for /etc/hosts", "HOST:IP", True),
    Option(("--secret",), Group.STEPS, "id=ID,src=FILE or id=ID,env=NAME", "SECRET", True),
    Option(("--ssh",), Group.STEPS, "an agent: default, or ID=SOCKET", "AGENT", True),
    Option(("--ulimit",), Group.STEPS, "NAME=SOFT[:HARD], such as nofile=1024", "LIMIT", True),
    Option(("-m", "--memory"), Group.STEPS, "memory limit of a step, such as 512m or 2g", "SIZE"),
    Option(("--jobs",), Group.STEPS, "stages built at a time (0: no bound)", "NUMBER"),
    Option(("--security",), Group.STEPS, "sandbox, or nested: steps may make namespaces", "MODE"),
    Option(("--cap-add",), Group.STEPS, "a capability more for steps", "CAP", True),
    Option(("--cap-drop",), Group.STEPS, "a capability less for steps, or ALL", "CAP", True),
    Option(("--no-new-privileges",), Group.STEPS, "no set-id program gains rights in a step"),
    Option(("--allow",), Group.STEPS, "network.host, security.insecure or .nested", "RIGHT", True),
    Option(("--progress",), Group.DISPLAY, "plain, or auto: a live view on a terminal", "HOW"),
    Option(("-q", "--quiet"), Group.DISPLAY, "no progress; print nothing but the digest"),
    *CONNECTION,
    ROOT,
)


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """The options of a build as written: a field for each row of the table, and the context."""

    context: str | None = None
    file: str | None = None
    build_arg: tuple[str, ...] = ()
    build_context: tuple[str, ...] = ()
    target: str | None = None
    platform: str | None = None
    pull: bool = False
    no_cache: bool = False
    check: bool = False
    call: str | None = None
    tag: tuple[str, ...] = ()
    label: tuple[str, ...] = ()
    annotation: tuple[str, ...] = ()
    output: tuple[str, ...] = ()
    push: bool = False
    load: bool = False
    iidfile: str | None = None
    metadata_file: str | None = None
    network: str | None = None
    allow_host: tuple[str, ...] = ()
    add_host: tuple[str, ...] = ()
    secret: tuple[str, ...] = ()
    ssh: tuple[str, ...] = ()
    ulimit: tuple[str, ...] = ()
    memory: str | None = None
    jobs: str | None = None
    security: str | None = None
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    no_new_privileges: bool = False
    allow: tuple[str, ...] = ()
    progress: str | None = None
    quiet: bool = False
    creds: str | None = None
    authfile: str | None = None
    cert_dir: str | None = None
    insecure_registry: tuple[str, ...] = ()
    limit: tuple[str, ...] = ()
    root: str | None = None

"""The options of a build as written, with who called → a BuildRequest. Reads standard input for `-f -`, the
secrets and nothing else; what a Buildfile or a context holds is the pipeline's to find out.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from builder.commands import arguments, fields
from builder.commands.caller import Caller
from builder.commands.connection import Connection, access_of
from builder.commands.options import BuildOptions
from builder.commands.settings import settings_of
from builder.errors import BuildfileError, ContextError, UsageError
from builder.pattern import pattern
from builder.source import SourceText
from builder.values.compression import Compression
from builder.values.elsewhere import Elsewhere, StreamContext, UrlContext, source_of
from builder.values.limits import Limits
from builder.values.repository import Repository
from builder.values.request import BuildRequest, Secret, SshAgent
from builder.values.security import Privileges
from builder.values.settings import Settings

if TYPE_CHECKING:
    from builder.values.hosts import HostPattern
    from builder.values.output import Annotation, Output
    from builder.values.settings import Settings

STDIN_LIMIT_BYTES = 16 * 1024 * 1024
"""More than this on standard input is not a Buildfile that somebody wrote."""

_URL = pattern(r"(?:https?|git|ssh|ftp|file)://|git@|github\.com/", re.IGNORECASE)
_CONTEXT_HINT = "`pybuild .` builds the directory you are in; `pybuild --help` lists options and commands"


def request_of(options: BuildOptions, caller: Caller) -> BuildRequest:
    """What the command line asks for. Raises UsageError, ContextError, or BuildfileError for text that is not one."""
    environment = caller.environment
    build_args = arguments.read_build_args(options.build_arg, environment)
    given = {name for name, _ in build_args}
    elsewhere = _elsewhere(options, caller)
    settings = settings_of(caller)
    outputs = _outputs(options, caller, settings.compression.value)
    return BuildRequest(
        context=_context(options.context) if elsewhere is None else Path(options.context or ""),
        elsewhere=elsewhere,
        buildfile=_buildfile(options.file, caller),
        tags=tuple(dict.fromkeys(arguments.read_tag(word) for word in options.tag)),
        build_args=build_args,
        build_contexts=_build_contexts(options.build_context),
        labels=arguments.read_pairs("--label", options.label),
        target=_target(options.target),
        platform=arguments.read_platform(options.platform),
        network=settings.network.value if options.network is None else arguments.read_network(options.network),
        no_cache=options.no_cache,
        pull=options.pull,
        outputs=outputs,
        annotations=_annotations(options.annotation),
        secrets=_secrets(options.secret, caller),
        ssh=_agents(options.ssh, caller),
        allow=arguments.read_allow(options.allow),
        allow_hosts=_allowed_hosts(options, settings),
        add_hosts=tuple(arguments.read_add_host(word) for word in options.add_host),
        ulimits=tuple(arguments.read_ulimit(word) for word in options.ulimit),
        memory_bytes=arguments.read_memory(options.memory),
        jobs=settings.jobs.value if options.jobs is None else arguments.read_jobs(options.jobs),
        proxies=tuple(pair for pair in arguments.proxies_of(environment) if pair[0] not in given),
        access=access_of(_connection(options), caller, _pushed_to(outputs, options.tag)),
        compression=settings.compression.value,
        compression_level=settings.compression_level.value,
        store_limit_bytes=settings.limit_bytes.value,
        privileges=_privileges(options),
        limits=_limits(options, settings),
    )


def _connection(options: BuildOptions) -> Connection:
    return Connection(options.creds, options.authfile, options.cert_dir, options.insecure_registry)


def _context(text: str | None) -> Path:
    if text is None:
        raise UsageError("the build context is missing", hint=_CONTEXT_HINT)
    if not text:
        raise UsageError("the build context is an empty word", hint=_CONTEXT_HINT)
    path = Path(text)
    if _URL.match(text) and not path.exists():
        raise UsageError(
            f"a context from such a URL ({text}) is not supported",
            hint="https://.../x.tar.gz and https://.../x.git#REF:DIRECTORY are; else fetch it and name the directory",
        )
    try:
        if path.is_dir():
            if os.access(path, os.R_OK | os.X_OK):
                return path
            raise ContextError(
                f"the build context {text} cannot be read: Permission denied", hint="make it readable for you"
            )
        reason = "is not a directory" if path.exists() else "does not exist"
    except (OSError, ValueError) as error:
        reason = f"cannot be looked at: {(error.strerror if isinstance(error, OSError) else None) or error}"
    raise ContextError(f"the build context {text} {reason}", hint=_CONTEXT_HINT)


def _elsewhere(options: BuildOptions, caller: Caller) -> Elsewhere | None:
    """Where a context comes from that is no directory: `-`, a git URL, an http URL. What exists as a path is one."""
    text = options.context
    if text == "-":
        if options.file == "-":
            raise UsageError(
                "-f - and the context - both read standard input",
                hint="a Buildfile alone is built with: pybuild - <FILE",
            )
        return StreamContext(caller.stdin.fileno())
    if not text or not _URL.match(text) or Path(text).exists():
        return None
    return _source("the build context", text)


def _source(what: str, text: str) -> Repository | UrlContext | None:
    try:
        return source_of(text)
    except ValueError as error:
        raise UsageError(f"{what} {text[:200]}: {error}", hint="a git URL is written URL#REF:DIRECTORY") from None


def _buildfile(text: str | None, caller: Caller) -> Path | SourceText | None:
    if text is None:
        return None
    if not text:
        raise UsageError("-f/--file: the path is empty", hint="it is written -f PATH, or -f - for standard input")
    if text != "-":
        return Path(text)
    data = caller.stdin.read(STDIN_LIMIT_BYTES + 1)
    if len(data) > STDIN_LIMIT_BYTES:
        raise BuildfileError(f"standard input is larger than {STDIN_LIMIT_BYTES >> 20} MiB: that is no Buildfile")
    if not data.strip() or b"\0" in data:
        what = "is not text (it holds a NUL byte)" if data.strip() else "is empty"
        raise BuildfileError(f"standard input {what}", hint="-f - reads a Buildfile from it, such as -f - <Buildfile")
    try:
        return SourceText("-", data.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BuildfileError(
            f"standard input is not text in UTF-8 (line {line})", hint="-f - reads a Buildfile, not an archive"
        ) from None


def _build_contexts(words: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    contexts = arguments.read_build_contexts(words)
    for name, value in contexts:
        if (
            _URL.match(value)
            and not value.lower().startswith("file://")
            and _source(f"--build-context {name}", value) is None
        ):
            raise UsageError(
                f"--build-context {name}: a context from such a URL is not supported",
                hint="fetch it (git clone, curl) and name the directory",
            )
    return contexts


def _target(text: str | None) -> str | None:
    if text is not None and not text.strip():
        raise UsageError("--target: the name is empty", hint="it is written --target STAGE")
    return text


# Most builds have no outputs: what reads them is imported by those that do.


def _outputs(options: BuildOptions, caller: Caller, compression: Compression) -> tuple[Output, ...]:
    if not options.output and not options.push:
        return ()
    from builder.commands.outputs import outputs_of, require_levels

    outputs = outputs_of(options, caller)
    require_levels(outputs, compression)
    return outputs


def _pushed_to(outputs: tuple[Output, ...], tags: tuple[str, ...]) -> tuple[str, ...]:
    if not outputs:
        return ()
    from builder.commands.outputs import pushed_to

    return pushed_to(outputs, tags)


def _allowed_hosts(options: BuildOptions, settings: Settings) -> tuple[HostPattern, ...]:
    if not options.allow_host:
        return ()
    from builder.commands.hosts import read_allowed_hosts

    network = settings.network.value if options.network is None else arguments.read_network(options.network)
    return read_allowed_hosts(options.allow_host, network)


def _annotations(words: tuple[str, ...]) -> tuple[Annotation, ...]:
    if not words:
        return ()
    from builder.commands.annotations import read_annotations

    return read_annotations(words)


def _privileges(options: BuildOptions) -> Privileges:
    if not (options.security or options.cap_add or options.cap_drop or options.no_new_privileges):
        return Privileges()
    from builder.commands.privileges import read_privileges

    return read_privileges(options)


def _limits(options: BuildOptions, settings: Settings) -> Limits:
    if not options.limit:
        return settings.limits
    from builder.commands.limits import limits_of

    return limits_of(options.limit, settings)


def _secrets(words: tuple[str, ...], caller: Caller) -> tuple[Secret, ...]:
    secrets = [fields.read_secret(word, caller.environment) for word in words]
    return tuple({secret.id: secret for secret in secrets}.values())


def _agents(words: tuple[str, ...], caller: Caller) -> tuple[SshAgent, ...]:
    agents = [fields.read_ssh(word, caller.environment) for word in words]
    return tuple({agent.id: agent for agent in agents}.values())

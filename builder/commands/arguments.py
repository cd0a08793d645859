"""One word of the command line → one value, for the options whose value is a single word. Bad words raise UsageError
with the option's name and how it is written; commas and `key=value` fields are read in `fields`. No effects.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from builder.errors import UsageError
from builder.pattern import pattern
from builder.values.ladder import NetworkMode
from builder.values.platform import Platform
from builder.values.reference import Reference
from builder.values.request import Ulimit

if TYPE_CHECKING:
    from builder.values.output import MediaTypes

_NAME = pattern(r"[A-Za-z_][A-Za-z0-9_.-]*\Z")
_HOST = pattern(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})\Z")
_SIZE = pattern(r"([0-9]{1,18}(?:\.[0-9]{1,6})?) ?([kmgtp]?)(?:i?b)?\Z", re.IGNORECASE)
_LIMIT = pattern(r"-1\Z|[0-9]{1,18}\Z")
_JOBS = pattern(r"[0-9]{1,4}\Z")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_ULIMITS = (
    *("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice"),
    *("nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack"),
)
"""The names that docker takes (go-units, ulimit.go)."""
_RIGHTS = ("network.host", "security.insecure", "security.nested")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")


def bad(option: str, what: str, written: str) -> UsageError:
    """The error for a malformed value: which option, what is wrong, and how it is written."""
    return UsageError(f"{option}: {what}", hint=f"it is written {written}")


def read_tag(text: str) -> Reference:
    """`-t`: a name that the image gets. A digest cannot be chosen, so none is allowed."""
    try:
        reference = Reference.parse(text)
    except ValueError as error:
        raise bad("-t/--tag", str(error) if text else "the name is empty", "-t NAME[:TAG], such as app:1") from None
    if reference.digest is not None:
        raise bad("-t/--tag", f"{text!r} has a digest, which only the build can find", "-t NAME[:TAG], such as app:1")
    return reference


def read_build_args(words: tuple[str, ...], environment: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """`--build-arg`: the last value of a name counts; `NAME` alone comes from the environment, or is dropped there."""
    values: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not _NAME.match(name):
            # The value may be a password that slid to the wrong side: it is never repeated.
            what = f"{name!r} is not a name of an ARG" if equals and name else "the name is missing or malformed"
            raise bad(
                "--build-arg", what, "--build-arg NAME=VALUE, or --build-arg NAME to take it from the environment"
            )
        if equals:
            values[name] = value
        elif name in environment:
            values[name] = environment[name]
    return tuple(values.items())


def read_pairs(option: str, words: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """`--label NAME=VALUE`: the last value of a name counts; without `=` it is empty, as docker has it."""
    values: dict[str, str] = {}
    for word in words:
        name, _, value = word.partition("=")
        if not name.strip():
            raise bad(option, f"{word!r} has no name", f"{option} NAME=VALUE")
        values[name] = value
    return tuple(values.items())


def read_build_contexts(words: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """`--build-context NAME=VALUE`, with both sides there; the last value of a name counts."""
    values: dict[str, str] = {}
    for word in words:
        name, _, value = word.partition("=")
        if not name.strip() or not value:
            raise bad("--build-context", f"{word!r} lacks its name or its value", "--build-context NAME=DIRECTORY")
        values[name] = value
    return tuple(values.items())


def read_network(text: str | None) -> NetworkMode:
    """`--network auto|none|host|proxy`; `default` is `auto`."""
    if text is None:
        return NetworkMode.DEFAULT
    try:
        return NetworkMode(text)
    except ValueError:
        raise bad("--network", f"{text!r} is not supported", "--network auto, none, host or proxy") from None


def read_platform(text: str | None) -> Platform | None:
    """`--platform`: one platform, or None for this machine's."""
    if text is None or text == "local":
        return None
    if "," in text:
        raise UsageError("--platform: several platforms in one build are not supported", hint="build one at a time")
    try:
        return Platform.parse(text)
    except ValueError as error:
        raise bad("--platform", str(error), "--platform OS/ARCH[/VARIANT], such as linux/arm64") from None


def read_add_host(text: str) -> tuple[str, str]:
    """`--add-host HOST:IP` (or `HOST=IP`); an IPv6 address may stand in brackets."""
    import ipaddress

    host, separator, address = text.partition("=" if "=" in text else ":")
    written = "--add-host HOST:IP"
    if address == "host-gateway":
        raise UsageError(
            "--add-host: host-gateway is not supported: there is no bridge between steps and this machine",
            hint="name an address; with --network host this machine is 127.0.0.1",
        )
    if not separator or not _HOST.match(host):
        raise bad("--add-host", f"{text!r} has no host name and address", written)
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    try:
        return host, str(ipaddress.ip_address(address))
    except ValueError:
        raise bad("--add-host", f"{address!r} in {text!r} is not an IP address", written) from None


def read_ulimit(text: str) -> Ulimit:
    """`--ulimit NAME=SOFT[:HARD]`; -1 is no limit, and the soft limit is not above the hard one."""
    written = "--ulimit NAME=SOFT[:HARD], such as nofile=1024:4096"
    name, equals, limits = text.partition("=")
    soft_text, colon, hard_text = limits.partition(":")
    hard_text = hard_text if colon else soft_text
    if not equals or not _LIMIT.match(soft_text) or not _LIMIT.match(hard_text):
        raise bad("--ulimit", f"{text!r} is not a limit", written)
    if name not in _ULIMITS:
        raise bad("--ulimit", f"there is no limit {name!r} (there are {', '.join(_ULIMITS)})", written)
    soft, hard = int(soft_text), int(hard_text)
    if hard != -1 and (soft == -1 or soft > hard):
        raise bad("--ulimit", f"in {text!r} the soft limit is above the hard one", written)
    return Ulimit(name, soft, hard)


def read_memory(text: str | None) -> int:
    """`--memory SIZE` in bytes, with docker's units, which are powers of 1024; 0 where the option is not given."""
    if text is None:
        return 0
    match = _SIZE.match(text)
    whole, _, part = match[1].partition(".") if match else ("0", "", "")
    unit: int = 1024 ** _POWERS[match[2].lower()] if match else 1
    scale: int = 10 ** len(part)
    size_bytes = int(whole + part) * unit // scale
    if not 0 < size_bytes < 1 << 63:
        raise bad("--memory", f"{text!r} is not a size", "--memory NUMBER[k|m|g], such as 512m")
    return size_bytes


def read_jobs(text: str) -> int:
    """`--jobs NUMBER`, 0 for no bound, as podman has it."""
    if not _JOBS.match(text):
        raise bad("--jobs", f"{text[:100]!r} is not a number of stages", "--jobs NUMBER, such as 4")
    return int(text)


def read_allow(words: tuple[str, ...]) -> tuple[str, ...]:
    """`--allow`: rights that a Buildfile may use, each once."""
    for word in words:
        if word not in _RIGHTS:
            raise bad("--allow", f"{word!r} cannot be allowed", "--allow " + " or --allow ".join(_RIGHTS))
    return tuple(dict.fromkeys(words))


def proxies_of(environment: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The proxy variables that are set, in either case, under the names they have."""
    names = [name for upper in _PROXIES for name in (upper, upper.lower())]
    return tuple((name, environment[name]) for name in names if environment.get(name))


def read_media_types(text: str | None) -> MediaTypes | None:
    """`--format oci|docker` or podman's `oci-archive`; None where nobody asked. Raises UsageError."""
    if text is None:
        return None
    from builder.values.output import MediaTypes

    try:
        return MediaTypes(text.removesuffix("-archive"))
    except ValueError:
        raise bad("--format", f"{text!r} is not supported", "--format docker or --format oci") from None

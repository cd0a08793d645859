"""The network of a RUN: which one it gets, and the names, addresses and variables that go with it.

`auto` (DEFAULT) is one namespace for all steps of a build, which the door has made while the base is unpacked; where a
machine has no program for that, steps are on its own network. What the program is, is in no step's key.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from builder.declare import dataclass
from builder.stages.door import Door
from builder.stages.hands import Hands
from builder.values.crossing import NetworkJob, NetworkMode, NetworkPlace
from builder.values.event import StepId
from builder.values.hosts import Address
from builder.values.step import RunStep

RESOLVER = "10.0.2.3"
"""Who answers for names in the build's namespace: kernel.usernet has the program ask the host's servers there."""
_HOST_FILE_CHARS = 1 << 16


@dataclass(frozen=True, slots=True)
class StepNetwork:
    """A step's network, resolved: never DEFAULT without a namespace. `hosts` are lines for its /etc/hosts."""

    mode: NetworkMode
    resolv_conf: str = ""
    hosts: tuple[str, ...] = ()
    namespace: NetworkPlace | None = None
    proxy: int | None = None  # of PROXY: the descriptor that takes its listener
    env: tuple[tuple[str, str], ...] = ()  # variables that come before all others


def prepare(step: RunStep, hands: Hands) -> None:
    """Have the build's namespace made, if this step wants it, while other things are done."""
    if step.network == NetworkMode.DEFAULT:
        hands.door.prepare_network(_job(hands))


@contextmanager
def connected(step: RunStep, step_id: StepId, hands: Hands) -> Iterator[StepNetwork]:
    """The step's network for as long as it runs. Raises MachineError, OSError."""
    match NetworkMode(step.network):
        case NetworkMode.NONE:
            yield StepNetwork(NetworkMode.NONE, _of_the_host("/etc/resolv.conf"))
        case NetworkMode.HOST:
            yield _of_host()
        case NetworkMode.DEFAULT:
            yield _of_build(hands.door, _job(hands))
        case NetworkMode.PROXY:
            from builder.stages import gate

            with gate.gated(step_id, hands) as proxy:
                yield StepNetwork(NetworkMode.PROXY, gate.NO_NAMES, proxy=proxy, env=gate.variables(hands.request))


def _of_host() -> StepNetwork:
    lines = _of_the_host("/etc/hosts").splitlines()
    known = tuple(line for line in lines if line.strip() and line[0] != "#")
    return StepNetwork(NetworkMode.HOST, _of_the_host("/etc/resolv.conf"), known)


def _of_build(door: Door, job: NetworkJob) -> StepNetwork:
    place = door.network(job).namespace
    if place is None:
        return _of_host()
    return StepNetwork(NetworkMode.DEFAULT, resolvers(_of_the_host("/etc/resolv.conf")), (), place)


def _job(hands: Hands) -> NetworkJob:
    urls = [value for name, value in (*hands.request.build_args, *hands.request.proxies) if "proxy" in name.lower()]
    ports = sorted({port for url in urls if (port := _loopback_port(url)) is not None})
    return NetworkJob(tuple(ports), needs_resolver(_of_the_host("/etc/resolv.conf")))


def _loopback_port(url: str) -> int | None:
    """The port of a proxy that listens on this machine's loopback; None for any other."""
    try:
        parts = urlsplit(url if "//" in url else f"//{url}")
        port = parts.port or {"https": 443}.get(parts.scheme, 80)
        host = parts.hostname or ""
        return port if host == "localhost" or ipaddress.ip_address(host).is_loopback else None
    except ValueError:
        return None


def resolvers(host: str) -> str:
    """The host's resolv.conf for a namespace where its loopback is not: a resolver there is asked through RESOLVER.

    So is then the first IPv4 server of the file, which the programs have answer there. Servers on a link of the host's
    (`fe80::1%eth0`) cannot be had; where nothing is left RESOLVER alone remains.
    """
    found = _servers(host)
    servers = [str(server) for server in found if not _is_own(server)]
    if needs_resolver(host):
        first = next((str(server) for server in found if server.version == 4), "")
        servers = [RESOLVER, *(server for server in servers if server != first)]
    rest = [" ".join(words) for words in _lines(host) if words[0] in ("search", "domain", "options", "sortlist")]
    return "\n".join([*(f"nameserver {server}" for server in dict.fromkeys(servers)), *rest]) + "\n"


def needs_resolver(host: str) -> bool:
    """Whether the host's resolv.conf names a server on its own loopback, or none that a step could ask."""
    found = _servers(host)
    return any(map(_is_own, found)) or not found


def _lines(text: str) -> list[list[str]]:
    return [words for line in text.splitlines() if (words := line.split())]


def _servers(text: str) -> list[Address]:
    """The servers that a resolv.conf names, without those on a link."""
    found: list[Address] = []
    for words in _lines(text):
        if words[0] == "nameserver" and len(words) > 1:
            with suppress(ValueError):
                found.append(ipaddress.ip_address(words[1]))
    return [address for address in found if not address.is_link_local]


def _is_own(address: Address) -> bool:
    return address.is_loopback or address.is_unspecified


def _of_the_host(path: str) -> str:
    """A file of the host that says how its network is reached; empty where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(_HOST_FILE_CHARS)
    except OSError:
        return ""

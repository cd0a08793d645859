"""Patterns of hosts (`--allow-host`) and which addresses nobody is led to by a mere name. Pure.

A name of somebody else's may lead to any address (DNS rebinding), so what a pattern says of names does not count for
addresses that are this machine's own, its links', or a cloud's metadata service: those have to be named themselves.

Sources: IANA's special-purpose address registries (RFC 6890); the metadata services' documentation of AWS, Alibaba
Cloud, Azure and Oracle Cloud.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from builder.declare import dataclass

Address = IPv4Address | IPv6Address

_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\Z")
_SHORT = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\Z")
_LONGEST = 253
_LOCAL = "localhost"
_METADATA = frozenset(
    map(ip_address, ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254"))
)  # those that are not link-local anyway
_WRAPPED = ip_network("64:ff9b::/96")  # NAT64, RFC 6052: its last 32 bits are an IPv4 address
_NOBODYS = (ip_network("fec0::/10"), ip_network("::/8"))  # site-local; IPv4 in forms that only old translators know


@dataclass(frozen=True, slots=True)
class HostPattern:
    """A host, `*.` and a domain for all hosts below it, or an address; with `port` 0 on any port."""

    host: str
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> HostPattern:
        """`HOST`, `*.DOMAIN`, `ADDRESS`, each with `:PORT`; IPv6 in brackets. Raises ValueError that says why not."""
        host, port = _split(text)
        address = address_of(host)
        if address is not None:
            return cls(str(address), port)
        host = host.lower().removesuffix(".")
        if not host.isascii():
            raise ValueError("names that are not ASCII are written as they are looked up: xn--…")
        if len(host) > _LONGEST or not _NAME.match(host.removeprefix("*.")):
            raise ValueError("it is neither a host, nor *. and a domain, nor an address")
        if _SHORT.match(host):
            raise ValueError("an address is written whole, with four numbers")  # `127.1`: compared as such it is none
        return cls(host, port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.port else host

    def matches(self, host: str, port: int) -> bool:
        """Whether this host (as `canonical` gives it) is meant."""
        if self.port not in (0, port):
            return False
        if self.host.startswith("*."):
            return host.endswith(self.host[1:]) and address_of(host) is None
        return host == self.host

    def names(self, address: Address, port: int) -> bool:
        """Whether this address itself is meant; `localhost` means the loopback's."""
        if self.port not in (0, port):
            return False
        return self.host == str(address) or (self.host == _LOCAL and address.is_loopback)


def _split(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")) or text.endswith("]"):
        host, port = text, ""
    elif not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 1 << 16):
        raise ValueError("its port is no number from 1 to 65535")
    if host.startswith("[") != host.endswith("]"):
        raise ValueError("its brackets do not match")
    return host.removeprefix("[").removesuffix("]"), int(port or 0)


def canonical(host: str) -> str:
    """A host as it is compared: lower case, without the last dot or brackets, addresses in their shortest form."""
    host = host.removeprefix("[").removesuffix("]").lower().removesuffix(".")
    address = address_of(host)
    return host if address is None else str(address)


def address_of(host: str) -> Address | None:
    """The address that a text is, with what IPv6 wraps taken out of it; None for a name."""
    try:
        return unwrapped(ip_address(host.partition("%")[0]))
    except ValueError:
        return None


def unwrapped(address: Address) -> Address:
    """The IPv4 address inside a mapped, NAT64 or 6to4 one: where it leads is what counts."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _WRAPPED:
            return IPv4Address(int(address) & 0xFFFFFFFF)
        if address.sixtofour is not None:
            return address.sixtofour
    return address


def is_ordinary(address: Address) -> bool:
    """Whether a name may lead there: not this machine, no link, no metadata service, nobody in particular.

    Private networks are ordinary: a company's mirrors are there.
    """
    return not (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or (isinstance(address, IPv4Address) and (address.is_reserved or int(address) >> 24 == 0))
        or (isinstance(address, IPv6Address) and any(address in each for each in _NOBODYS))
        or address in _METADATA
    )


@dataclass(frozen=True, slots=True)
class HostRules:
    """Whom a step may talk to. Without patterns: every name, and every address that is ordinary."""

    patterns: tuple[HostPattern, ...] = ()

    def admits(self, host: str, port: int) -> bool:
        """Whether a host may be asked for by this name. It is canonical."""
        return not self.patterns or any(pattern.matches(host, port) for pattern in self.patterns)

    def admits_address(self, address: Address, port: int) -> bool:
        """Whether a name that is admitted may lead to this address."""
        return is_ordinary(address) or any(pattern.names(address, port) for pattern in self.patterns)

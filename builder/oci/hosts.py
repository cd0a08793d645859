"""Rules about hosts: what loopback is, where plain http is allowed, what shares an origin, which proxy serves whom.

Pure, and in one place, because each of these rules decides who may see a credential or change what arrives.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from builder.pattern import pattern

Origin = tuple[str, str, int]
"""Scheme, host and port: what shares them is one party."""

NO_PROXIES: Mapping[str, str] = MappingProxyType({})
_DEFAULT_PORTS = {"http": 80, "https": 443}
_DOCKER_HUB = ("docker.io", "registry-1.docker.io")
# Letters beyond ASCII are for the names of ADD's URLs; `origin` turns them into ASCII.
_SERVER = pattern(r"(?:\w(?:[\w.-]*[\w.])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?\Z")


def is_loopback(host: str) -> bool:
    """Whether a host (without port) is this machine by its very name: localhost, 127.0.0.0/8 or ::1.

    Names are not looked up: a name that resolves to 127.0.0.1 today may resolve elsewhere tomorrow.
    """
    host = host.strip("[]").lower()
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def registry_url(registry: str) -> str:
    """Where a reference's registry is reached by https."""
    return f"https://{_DOCKER_HUB[1] if registry == _DOCKER_HUB[0] else registry}"


def may_be_plain(host: Origin, insecure: Iterable[str]) -> bool:
    """Whether plain http may be spoken to a server: on loopback, or where somebody named it as insecure."""
    return is_loopback(host[1]) or bool(set(names_of(host)) & set(insecure))


def names_of(host: Origin) -> tuple[str, ...]:
    """How people write a server: HOST:PORT, and HOST alone where the port is the usual one of http or https."""
    _, name, port = host
    name = f"[{name}]" if ":" in name else name
    return (f"{name}:{port}", name) if port in _DEFAULT_PORTS.values() else (f"{name}:{port}",)


def may_see_login(registry: str, realm: str, insecure: Iterable[str]) -> bool:
    """Whether a login for `registry` may be sent to the token service `realm` that its challenge names.

    Anybody on the way can change what is not under a certificate that we verified, so a challenge from there may only
    name the registry itself, loopback where the registry is there too, or a server somebody named as insecure.
    """
    service, asked, named = origin(realm), origin(registry), tuple(insecure)
    if service == asked:
        return service[0] == "https" or may_be_plain(service, named)
    verified = asked[0] == "https" and not set(names_of(asked)) & set(named)
    if verified and service[0] == "https":
        return True
    if is_loopback(asked[1]) and is_loopback(service[1]):
        return True
    return bool(set(names_of(service)) & set(named))


def origin(url: str) -> Origin:
    """Scheme, host and port of a URL; what shares them is one party. Raises ValueError for what is no such URL.

    Strict, because two readers of one URL must not find two hosts in it: of `https://b\\@a/` Python's urlsplit says a,
    and others connect to b. A login for a would go to b. The host is as it is looked up: letters beyond ASCII may be
    other spellings of these (IDNA), and 127.0.0.1 in wide digits is 127.0.0.1.
    """
    parts = urlsplit(url)
    host, port = parts.hostname, parts.port
    server = parts.netloc.rpartition("@")[2]
    if parts.scheme not in _DEFAULT_PORTS or not host or not _SERVER.match(server) or _is_ambiguous(url, parts.netloc):
        raise ValueError(f"not an http or https URL: {url[:200]!r}")
    return parts.scheme, host.lower() if host.isascii() else _ascii(host), port or _DEFAULT_PORTS[parts.scheme]


def _ascii(host: str) -> str:
    name = host.encode("idna").decode("ascii").lower()
    if not _SERVER.match(name):
        raise ValueError(f"no name of a host: {host[:200]!r}")
    return name


def _is_ambiguous(url: str, netloc: str) -> bool:
    """Whether a URL holds control characters, which some readers drop, or what ends the server's name for some only."""
    return "\\" in netloc or netloc.count("@") > 1 or any(letter < " " or letter == "\x7f" for letter in url)


def may_lead_to(source: str, target: str) -> bool:
    """Whether a redirect is followed: never from https to http, nor from elsewhere to this machine or its own link.

    A stranger's server could otherwise make us talk to services of this machine, or in plain text.
    """
    source_scheme, source_host, _ = origin(source)
    scheme, host, _ = origin(target)
    if _is_near(host):
        return is_loopback(source_host) or (source_host == host and (scheme == "https" or source_scheme == "http"))
    return scheme == "https" or source_scheme == "http"


def _is_near(host: str) -> bool:
    """Whether a host may well be this machine or one on its own link (where clouds tell machines their secrets),
    however its address is spelt: 127.1, 2130706433, 0.0.0.0, ::ffff:127.0.0.1, localhost. and x.localhost.
    """
    name = host.strip("[]").lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        import socket  # only for this, and every build imports this module

        try:
            address = ipaddress.ip_address(socket.inet_aton(name))  # looks nothing up
        except (OSError, ValueError):
            return False
    inner = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    address = inner or address
    return address.is_loopback or address.is_unspecified or address.is_link_local


def may_give_token(registry: str, realm: str, insecure: Iterable[str] = ()) -> bool:
    """Whether a challenge's token service is asked at all: by https, or on the registry itself, or where somebody named
    its host as insecure; loopback's only for a registry on loopback.
    """
    scheme, host, _ = origin(realm)
    if _is_near(host) and origin(realm) != origin(registry):
        return is_loopback(origin(registry)[1])
    return scheme == "https" or origin(realm) == origin(registry) or may_be_plain(origin(realm), insecure)


def proxies_for(url: str, proxies: Mapping[str, str]) -> dict[str, str]:
    """The proxy for a URL by its scheme; loopback and what `no_proxy` names are reached directly.

    The mapping's keys may be spelt `https`, `https_proxy` or `HTTPS_PROXY`. Raises ValueError for what is no proxy
    that we can use, without its words: it may hold a password.
    """
    named = {key.lower().removesuffix("_proxy"): value for key, value in proxies.items() if value}
    scheme, host, port = origin(url)
    proxy = named.get(scheme) or named.get("all")
    if not proxy or is_loopback(host) or _is_exempt(host, port, named.get("no", "")):
        return {}
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    try:
        proxy_origin(proxy)
    except ValueError:
        raise ValueError("not an http or https proxy") from None
    return {scheme: proxy}


def proxy_origin(url: str) -> Origin:
    """The origin of a proxy, whose password may hold `@` and backslashes as they are. Raises ValueError."""
    parts = urlsplit(url)
    if parts.port == 0 or any(letter < " " for letter in url):
        raise ValueError("no port, or not a URL")
    return origin(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}")


def _is_exempt(host: str, port: int, no_proxy: str) -> bool:
    return any(_matches(host, port, rule.strip().lower()) for rule in no_proxy.split(",") if rule.strip())


def _matches(host: str, port: int, rule: str) -> bool:
    """One rule of no_proxy, as curl and Go read it: `*`, a domain with all below it, an address or a network."""
    if rule == "*":
        return True
    name, colon, rule_port = rule.rpartition(":")
    if colon and rule_port.isdigit() and (":" not in name or name.endswith("]")):  # else part of an IPv6 address
        if int(rule_port) != port:
            return False
        rule = name
    if rule.startswith("["):
        rule = rule.strip("[]")
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(rule, strict=False)
    except ValueError:
        pass
    rule = rule.removeprefix("*").removeprefix(".")
    if not rule.isascii():
        try:
            rule = _ascii(rule)
        except ValueError:
            return False
    return host == rule or host.endswith("." + rule)

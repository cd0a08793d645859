"""Connections of the proxy to where a step wants to go: a name looked up once, its addresses judged, one of them taken.

What was judged is what is connected to: a name that leads elsewhere a moment later leads nobody there. Where the
surrounding machine itself has a proxy, that one is asked for the connection, and its look-up is what counts; then only
addresses that the step names itself can be judged.
"""

from __future__ import annotations

import base64
import socket
import time
from collections.abc import Callable
from ipaddress import IPv4Address, ip_address
from urllib.parse import unquote, urlsplit

from builder.declare import dataclass
from builder.values.hosts import Address, HostRules, address_of, unwrapped

_CONNECT_S = 20.0
_ADDRESSES_S = 60.0  # for all the addresses of a name together
_ANSWER_S = 60.0  # for another proxy's whole answer
_ANSWER_BYTES = 64 << 10
_LOCAL_NAMES = ("localhost", "metadata", "metadata.google.internal")

Route = Callable[[str, str, int], str]
"""For a scheme, host and port: the URL of the proxy to ask, or nothing for the direct way. Raises ValueError."""


class Refused(Exception):
    """A connection that is not made because it is not allowed; says why, for people."""


class Unreachable(Exception):
    """A connection that could not be made; says why, for people."""


@dataclass(frozen=True, slots=True)
class Dialled:
    """A connection, and what has to be said to another proxy on it: nothing where `proxy` is empty."""

    socket: socket.socket
    proxy: str = ""
    authorization: bytes = b""  # the value of Proxy-Authorization


@dataclass(frozen=True, slots=True)
class Dialler:
    """Makes connections by these rules; `route` says through whom."""

    rules: HostRules
    route: Route

    def connect(self, scheme: str, host: str, port: int) -> Dialled:
        """A connection to a canonical host, or to the proxy in front of it. Raises Refused, Unreachable."""
        if not self.rules.admits(host, port):
            raise Refused("it is not among the hosts of --allow-host")
        self._judge_words(host, port)
        try:
            proxy = self.route(scheme, host, port)
        except ValueError as error:
            raise Unreachable(f"this machine's own proxy cannot be used: {error}") from None
        if not proxy:
            return Dialled(self._direct(host, port))
        return _to_proxy(proxy)

    def tunnel(self, host: str, port: int) -> socket.socket:
        """A connection that reaches the host itself, through the other proxy where there is one."""
        dialled = self.connect("https", host, port)
        if dialled.proxy:
            try:
                _ask(dialled, host, port)
            except BaseException:
                dialled.socket.close()
                raise
        return dialled.socket

    def _judge_words(self, host: str, port: int) -> None:
        address = _written(host)
        if address is not None:
            if not self.rules.admits_address(address, port):
                raise Refused(_own(host, port))
        elif host in _LOCAL_NAMES or host.endswith(".localhost"):
            local = ip_address("127.0.0.1" if "localhost" in host else "169.254.169.254")
            if not self.rules.admits_address(local, port):
                raise Refused(_own(str(local), port))

    def _direct(self, host: str, port: int) -> socket.socket:
        refused = ""
        failure = "no address"
        deadline = time.monotonic() + _ADDRESSES_S
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Unreachable(f"the name cannot be looked up: {getattr(error, 'strerror', None) or error}") from None
        for family, kind, protocol, _, place in found:
            text = str(place[0])
            address = unwrapped(ip_address(text.partition("%")[0]))
            if not self.rules.admits_address(address, port):
                refused = refused or str(address)
                continue
            if time.monotonic() > deadline:
                failure = "it took too long"
                break
            try:
                return _connected(family, kind, protocol, place)
            except OSError as error:
                failure = error.strerror or str(error)
        if refused:
            raise Refused(_own(refused, port))
        raise Unreachable(failure)


def _written(host: str) -> Address | None:
    """The address that a text is, also in the forms that only the C library knows: `127.1`, `0x7f000001` (inet(3))."""
    address = address_of(host)
    if address is None and host[:1].isdigit():
        try:
            return IPv4Address(socket.inet_aton(host))
        except (OSError, UnicodeError):
            return None
    return address


def _own(address: str, port: int) -> str:
    shown = f"[{address}]" if ":" in address else address
    return f"{address} is this machine's own, or a metadata service; say --allow-host {shown}:{port} if it is meant"


def _connected(family: int, kind: int, protocol: int, place: tuple[object, ...]) -> socket.socket:
    end = socket.socket(family, kind, protocol)
    try:
        end.settimeout(_CONNECT_S)
        end.connect(place)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        end.close()
        raise
    return end


def _to_proxy(url: str) -> Dialled:
    """A connection to the proxy of the surrounding machine, which may be anywhere: its user has named it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "http":
        raise Unreachable(f"the proxy {host} is spoken to by {parts.scheme}: only http proxies can be passed through")
    try:
        end = socket.create_connection((host, parts.port or 80), _CONNECT_S)
    except OSError as error:
        raise Unreachable(f"the proxy {host} cannot be reached: {error.strerror or error}") from None
    end.settimeout(_ANSWER_S)
    login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}" if parts.username else ""
    return Dialled(end, host, b"Basic " + base64.b64encode(login.encode()) if login else b"")


def _ask(dialled: Dialled, host: str, port: int) -> None:
    """Ask another proxy for a tunnel. Raises Unreachable with its status."""
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {where} HTTP/1.1".encode(), f"Host: {where}".encode()]
    if dialled.authorization:
        lines.append(b"Proxy-Authorization: " + dialled.authorization)
    try:
        dialled.socket.sendall(b"\r\n".join([*lines, b"", b""]))
        answer = _answer(dialled)
    except OSError as error:
        raise Unreachable(f"the proxy {dialled.proxy} gives no answer: {error.strerror or error}") from None
    status = answer.split(b"\r\n", 1)[0].split(b" ")
    if len(status) < 2 or not status[1].isdigit() or not 200 <= int(status[1]) < 300:
        text = b" ".join(status[1:]).decode("ascii", "replace")[:100]
        raise Unreachable(f"the proxy {dialled.proxy} refuses: {text}")


def _answer(dialled: Dialled) -> bytes:
    """The head of its answer. Raises Unreachable, OSError; TimeoutError where it is not there as a whole in time."""
    deadline = time.monotonic() + _ANSWER_S
    answer = bytearray()
    while not answer.endswith(b"\r\n\r\n"):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("it took too long")
        dialled.socket.settimeout(left)
        # One byte at a time: what follows the head is the tunnel's already.
        byte = dialled.socket.recv(1)
        if not byte or len(answer) > _ANSWER_BYTES:
            raise Unreachable(f"the proxy {dialled.proxy} gives no answer")
        answer += byte
    return bytes(answer)

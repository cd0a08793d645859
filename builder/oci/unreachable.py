"""What to say when a server cannot be talked to: the chain of library exceptions becomes one cause and one hint."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from builder.errors import ImageError


def is_passing(error: BaseException | None) -> bool:
    """Whether trying again soon may help: not when a name does not exist, nobody listens, or TLS disagrees."""
    return not any(
        isinstance(cause, (socket.gaierror, ConnectionRefusedError, ssl.SSLError)) for cause in _chain(error)
    )


_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "UNEXPECTED_EOF")

_TUNNEL = re.compile(r"Tunnel connection failed: ([0-9]{3})\b")
_PROXIES = "check HTTP_PROXY, HTTPS_PROXY and NO_PROXY"

# By OpenSSL's X509_V_ERR_…: naming a CA would not help.
_CLOCK = "whoever keeps the server must renew it; or this machine's clock is wrong"
_OTHER_NAME = "use a name that the certificate is for, or have it made for this one (as a subjectAltName)"
_CERTIFICATE_HINTS = {9: _CLOCK, 10: _CLOCK, 62: _OTHER_NAME, 64: _OTHER_NAME}

_WANTS_CERTIFICATE = ("ALERT_BAD_CERTIFICATE", "CERTIFICATE_REQUIRED", "ALERT_UNKNOWN_CA")


def means_tls(error: BaseException | None) -> bool | None:
    """Whether a failed handshake was one with a server that speaks TLS; None where that server did not say anything."""
    causes = tuple(_chain(error))
    kinds = {kind.__name__ for cause in causes for kind in type(cause).__mro__}
    if kinds & {"ProxyError", "gaierror", "ConnectionRefusedError", "NewConnectionError", "ConnectTimeout"}:
        return None
    if "SSLError" in kinds and not kinds & {"SSLEOFError", "SSLZeroReturnError"}:  # it only hung up
        return not any(sign in str(cause) for cause in causes for sign in _NO_TLS)
    return False


def is_refused(error: BaseException | None) -> bool:
    """Whether nobody listens there (now)."""
    return any(isinstance(cause, ConnectionRefusedError) for cause in _chain(error))


def unreachable(url: str, error: BaseException | None) -> ImageError:
    """The ImageError for a request that got no answer, or no whole one."""
    host = urlsplit(url).netloc.rpartition("@")[2]
    message, hint = _explained(host, urlsplit(url).scheme, tuple(_chain(error)))
    return ImageError(message, hint=hint)


def _explained(host: str, scheme: str, causes: tuple[BaseException, ...]) -> tuple[str, str]:
    kinds = {kind.__name__ for cause in causes for kind in type(cause).__mro__}
    if "ProxyError" in kinds:
        answer = next((found for cause in causes if (found := _TUNNEL.search(str(cause)))), None)
        if answer is not None:
            hint = "write the login of the proxy as http://USER:PASSWORD@HOST:PORT" if answer[1] == "407" else _PROXIES
            return f"the proxy for {host} does not let us through ({answer[1]})", hint
        return f"the proxy for {host} does not answer", _PROXIES
    if "gaierror" in kinds or "NameResolutionError" in kinds:
        return f"host {host} was not found", "check the name's spelling and this machine's network and DNS"
    if "ConnectionRefusedError" in kinds:
        return f"{host} refuses the connection", "is the server running? is the port right?"
    if "SSLError" in kinds:
        return _tls(host, scheme, causes)
    if kinds & {"ConnectTimeoutError", "ConnectTimeout", "ReadTimeoutError", "ReadTimeout", "TimeoutError"}:
        return f"{host} does not answer in time", "is the server running? is a firewall or proxy in the way?"
    return f"the connection to {host} broke: {_last(causes)}", "try again; check the network and the server's log"


def _tls(host: str, scheme: str, causes: tuple[BaseException, ...]) -> tuple[str, str]:
    text = " ".join(str(cause) for cause in causes)
    if scheme == "https" and ("WRONG_VERSION_NUMBER" in text or "RECORD_LAYER_FAILURE" in text):
        return (
            f"{host} does not speak https",
            f"plain http is only spoken on loopback, and where it is asked for: --insecure-registry {host}",
        )
    if any(sign in text for sign in _WANTS_CERTIFICATE):
        return (
            f"{host} wants a client certificate that it knows",
            f"put NAME.cert and NAME.key into a folder for --cert-dir, or into certs.d/{host}",
        )
    verify = next((cause for cause in causes if isinstance(cause, ssl.SSLCertVerificationError)), None)
    if verify is not None:
        return (
            f"the certificate of {host} is not trusted: {verify.verify_message}",
            _CERTIFICATE_HINTS.get(getattr(verify, "verify_code", 0))
            or f"name its CA with --cert-dir, in certs.d/{host}, or install it on this machine",
        )
    return f"no secure connection to {host}: {_last(causes)}", "check the server's TLS set-up"


def _last(causes: tuple[BaseException, ...]) -> str:
    text = str(causes[-1]) if causes else ""
    return " ".join(text.split())[:200] or "no reason given"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and what it came from, outermost first: causes, contexts, and those that libraries hide in args."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        at = waiting.pop(0)
        if at is None or id(at) in seen:
            continue
        seen.add(id(at))
        yield at
        hidden = [value for value in (*at.args, getattr(at, "reason", None)) if isinstance(value, BaseException)]
        waiting += [*hidden, at.__cause__, at.__context__]

"""What is said when a server cannot be talked to."""

from __future__ import annotations

import re
import socket
import ssl

import pytest

from builder.oci.unreachable import is_passing, is_refused, means_tls, unreachable


def chained(outer: BaseException, inner: BaseException) -> BaseException:
    """`outer`, raised from `inner`."""
    outer.__cause__ = inner
    return outer


CERTIFICATE = ssl.SSLCertVerificationError(1, "certificate verify failed")
CERTIFICATE.verify_message = "self-signed certificate"


OLD = ssl.SSLCertVerificationError(1, "certificate verify failed")
OLD.verify_message, OLD.verify_code = "certificate has expired", 10


class ProxyError(OSError):
    """Called as urllib3's is."""


@pytest.mark.parametrize(
    ("error", "words", "hint"),
    [
        (socket.gaierror(-2, "Name or service not known"), "host reg:5000 was not found", "spelling"),
        (ConnectionRefusedError(111, "refused"), "reg:5000 refuses the connection", "is the server running?"),
        (TimeoutError("timed out"), "reg:5000 does not answer in time", "is the server running?"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong"), "reg:5000 does not speak https", "--insecure-registry"),
        (ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] x"), "wants a client certificate", "--cert-dir"),
        (CERTIFICATE, "certificate of reg:5000 is not trusted: self-signed certificate", "CA"),
        (OLD, "certificate of reg:5000 is not trusted: certificate has expired", "clock"),
        (ProxyError("x", OSError("Tunnel connection failed: 407 Who?")), r"does not let us through \(407\)", "USER"),
        (ProxyError("x", OSError("Tunnel connection failed: 403 No")), r"does not let us through \(403\)", "NO_PROXY"),
        (ProxyError("x", OSError("refused")), "the proxy for reg:5000 does not answer", "HTTPS_PROXY"),
        (ssl.SSLError(1, "handshake\nfailure"), "no secure connection to reg:5000: .*handshake failure", "TLS"),
        (ConnectionResetError(104, "reset by peer"), "the connection to reg:5000 broke: .*reset by peer", "again"),
    ],
)
def test_each_cause_has_its_sentence(error: BaseException, words: str, hint: str) -> None:
    """The cause is found however deep libraries hide it, and the password of a URL is not shown."""
    wrapped = chained(RuntimeError("outer"), RuntimeError("Max retries", chained(ValueError("inner"), error)))
    for seen in (error, wrapped):
        said = unreachable("https://me:secret@reg:5000/v2/", seen)
        assert re.search(words, said.message), said.message
        assert hint in (said.hint or "")
        assert "\n" not in said.message
        assert "secret" not in said.message


def test_only_what_may_pass_is_tried_again() -> None:
    """A name that does not exist, a closed port and a bad certificate will be the same in a second."""
    assert is_passing(ConnectionResetError())
    assert is_passing(TimeoutError())
    assert not is_passing(chained(OSError(), socket.gaierror()))
    assert not is_passing(chained(OSError(), ConnectionRefusedError()))
    assert not is_passing(chained(OSError(), CERTIFICATE))


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (CERTIFICATE, True),
        (ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] x"), True),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong"), False),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), False),
        (ConnectionResetError(104, "reset"), False),
        (ConnectionRefusedError(111, "refused"), None),
        (socket.gaierror(-2, "unknown"), None),
    ],
)
def test_a_failed_handshake_tells_who_is_there(error: BaseException, answer: bool | None) -> None:
    """Who refuses our certificate, or shows a bad one, speaks TLS; who answers in another language does not."""
    assert means_tls(chained(RuntimeError("outer"), error)) is answer


def test_a_refused_connection_is_known_as_such() -> None:
    """However deep it is hidden."""
    assert is_refused(chained(OSError(), ConnectionRefusedError()))
    assert not is_refused(chained(OSError(), ConnectionResetError()))

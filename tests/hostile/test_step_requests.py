"""What steps send to their proxy, directly and with another proxy behind it: nobody is reached who may not be."""

from __future__ import annotations

import re
import socket
import threading
from contextlib import suppress

import pytest

from tests.hostile.step_requests import CASES, StepRequest
from tests.kernel.processes import until
from tests.kernel.served import proxied, read_head, rest_of, server

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_HOST = re.compile(rb"\r\nHost: ([^\r]+)\r\n", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\nContent-Length: ([0-9]+)\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\nTransfer-Encoding: chunked\r\n", re.IGNORECASE)
_ABOUT_BODIES = re.compile(rb"(?:content-length|transfer-encoding)", re.IGNORECASE)


class Heard:
    """All bytes of each connection to a server that answers a request, and then listens on until it is hung up on."""

    def __init__(self) -> None:
        self.connections: list[bytes] = []
        self.begun = 0
        self._lock = threading.Lock()

    def answer(self, end: socket.socket) -> None:
        data = b""
        with self._lock:
            self.begun += 1
        with suppress(OSError):
            data = read_head(end)
            data += _body(data, end)
            end.sendall(_OK)
            data += rest_of(end)
        with self._lock:
            self.connections.append(data)

    @property
    def complete(self) -> list[bytes]:
        """Those with a whole request; of others the server has heard that it is not whole."""
        return [data for data in self.connections if faults(data, b"") != ["incomplete"]]


def _body(head: bytes, end: socket.socket) -> bytes:
    data = b""
    if match := _LENGTH.search(head):
        while len(data) < int(match[1]) and (piece := end.recv(int(match[1]) - len(data))):
            data += piece
    elif _CHUNKED.search(head):
        while not data.endswith(b"0\r\n\r\n") and not re.search(rb"\r\n0\r\n(?:[^\r\n]+\r\n)*\r\n\Z", data):
            piece = end.recv(1)
            if not piece:
                break
            data += piece
    return data


def faults(data: bytes, host: bytes) -> list[str]:
    """What is wrong with what came on one connection, where one request for `host` is to come and nothing else."""
    head, blank, body = data.partition(b"\r\n\r\n")
    head += b"\r\n"
    about = _ABOUT_BODIES.findall(head)
    chunked, length = _CHUNKED.search(head), _LENGTH.search(head)
    if not blank or (length and len(body) < int(length[1])) or (chunked and not body.endswith(b"\r\n\r\n")):
        return ["incomplete"]
    found = []
    if _HOST.findall(head) != [host]:
        found.append(f"hosts {_HOST.findall(head)}")
    if len(about) > 1 or (about and not (chunked or length)):
        found.append(f"it says {about} of its body")
    if not chunked and len(body) != (int(length[1]) if length else 0):
        found.append("something rides behind the request")
    if re.search(rb"(?<!\r)\n|\r(?!\n)|\0", head) or b"\r\nConnection: close\r\n" not in head:
        found.append("its head can be read in two ways")
    return found


def _answered(data: bytes) -> tuple[int, ...]:
    return tuple(int(status) for status in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", data))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("behind", ["directly", "another proxy"])
def test_a_step_says(case: StepRequest, behind: str) -> None:
    """The evil server hears nothing, the good one what was judged, and the step is answered."""
    good, evil = Heard(), Heard()
    with server(good.answer) as one, server(evil.answer) as other:
        hosts = (f"127.0.0.1:{one}", f"127.0.0.1:{other}")
        route = f"http://{hosts[0]}" if behind == "another proxy" else ""
        data = case.data.replace(b"@GOOD@", hosts[0].encode()).replace(b"@EVIL@", hosts[1].encode())
        with proxied(hosts[0], "good.test", "*.good.test", route=lambda *_: route) as step:
            end = step.connect()
            with suppress(OSError):
                end.sendall(data.replace(b"@PORT@", b"%d" % one))
                end.shutdown(socket.SHUT_WR)
            got = rest_of(end)
            until(lambda: good.begun == len(good.connections))
        problems = [fault for heard in good.complete for fault in faults(heard, hosts[0].encode())]
    assert not problems and not evil.connections
    assert _answered(got) == case.statuses and len(good.complete) == case.heard

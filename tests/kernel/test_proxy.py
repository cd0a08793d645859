"""The proxy of a step as a whole: its listener, its bounds, what it notes."""

from __future__ import annotations

import resource
import socket
import threading
import time

import pytest

from builder.kernel import proxy
from builder.kernel.dial import Dialler
from builder.kernel.proxy import StepProxy
from builder.values.hosts import HostRules
from tests.kernel.processes import until
from tests.kernel.served import answering, proxied, rest_of, server


def test_a_step_that_passes_nothing_out() -> None:
    """Where the step fails before it has a listener the proxy ends all the same, at once."""
    begun = time.monotonic()
    with StepProxy(Dialler(HostRules(), lambda *_: ""), lambda _: None) as made:
        assert made.contacts().kept == ()
    assert time.monotonic() - begun < 1.0
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == "proxy"])


def test_many_at_once() -> None:
    """More connections than there are threads for wait, and all are served."""
    with server(answering(b"fine")) as port, proxied("127.0.0.1") as step:
        got: list[bytes] = []
        threads = [
            threading.Thread(target=lambda: got.append(step.get(f"http://127.0.0.1:{port}/")))
            for _ in range(proxy.MOST_CONNECTIONS + 40)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(got) == len(threads) and all(one.endswith(b"fine") for one in got)
        assert step.proxy.contacts().kept[0].count == len(threads)


def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who opens many and says nothing gets no more threads than there may be."""
    monkeypatch.setattr(proxy, "MOST_CONNECTIONS", 4)
    with proxied() as step:
        ends = [step.connect() for _ in range(12)]
        until(lambda: len(step.proxy._threads) >= 5)
        time.sleep(0.1)
        assert len(step.proxy._threads) == 5  # and the one that accepts
        assert len(ends) == 12


def test_a_share_of_the_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where few files may be open a step gets fewer connections: the build needs some too."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 64))
    with proxied() as step:
        for _ in range(12):
            step.connect()
        until(lambda: len(step.proxy._threads) >= 5)
        time.sleep(0.1)
        assert len(step.proxy._threads) == 5


def test_a_connection_that_cannot_be_taken() -> None:
    """Where there is no descriptor for it just now it waits, and is served when there is."""
    with server(answering(b"fine")) as port, proxied("127.0.0.1") as step:
        first = step.get(f"http://127.0.0.1:{port}/")
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        end = step.connect()
        end.sendall(f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\nConnection: close\r\n".encode())
        until(lambda: len(step.proxy._open) >= 2)
        other = socket.socket()
        resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
        try:
            other.connect(step.address)
            time.sleep(0.3)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        with other:
            other.settimeout(10)
            other.sendall(f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\nConnection: close\r\n\r\n".encode())
            assert first.endswith(b"fine") and rest_of(other).endswith(b"fine")


def test_what_was_asked_for_at_the_end_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that ends before its connection is there does not get around the record."""
    monkeypatch.setattr(proxy, "_END_S", 0.1)
    asked, over = threading.Event(), threading.Event()

    def look_up(*_: object, **__: object) -> list[object]:
        asked.set()
        over.wait(10)
        return []

    with proxied() as step:
        end = step.connect()
        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        end.sendall(b"CONNECT slow.test:443 HTTP/1.1\r\n\r\n")
        assert asked.wait(10)
        step.proxy.__exit__(None, None, None)
        (contact,) = step.proxy.contacts().kept
        over.set()
    assert (contact.host, contact.failure) == ("slow.test", "the step ended first")


def test_contacts_are_bounded_in_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long paths take no more memory than there is for all."""
    monkeypatch.setattr(proxy, "MOST_CONTACT_CHARS", 1000)
    with proxied("good.test") as step:
        for name in "abc":
            step.get(f"http://{name}.test/{'x' * 600}")
        contacts = step.proxy.contacts()
    assert [contact.host for contact in contacts.kept] == ["a.test"] and contacts.more == 2


def test_contacts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is more than can be kept is counted."""
    monkeypatch.setattr(proxy, "MOST_CONTACTS", 2)
    with proxied("good.test") as step:
        for name in "aabcc":
            assert b"403" in step.get(f"http://{name}.test/")
        contacts = step.proxy.contacts()
    assert [(contact.host, contact.count) for contact in contacts.kept] == [("a.test", 2), ("b.test", 1)]
    assert contacts.more == 2 and [told.host for told in step.told] == ["a.test", "b.test"]


def test_the_listener_is_ours_alone() -> None:
    """The descriptor that was passed out is inherited by no program that we start."""
    with proxied() as step:
        step.connect()
        until(lambda: bool(step.proxy._open))
        assert not any(end.get_inheritable() for end in step.proxy._open)
        assert all(isinstance(end, socket.socket) for end in step.proxy._open)

"""The proxy of a step as a whole: its listener, its bounds, what it notes."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from builder.kernel import proxy
from builder.kernel.dial import Dialler
from builder.kernel.proxy import StepProxy
from builder.values.hosts import HostRules
from tests.kernel.processes import until
from tests.kernel.served import answering, proxied, server


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

"""The relay between a step's socket and an agent's: bytes as they were, many at once, and nothing left at its end."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from builder.kernel.relay import BACKLOG, Door, serving
from tests.kernel.agents import agent, read_all
from tests.kernel.processes import children, is_alive, until

_BIG = bytes(range(256)) * (16 << 10)  # 4 MiB, far more than all buffers on the way


@contextlib.contextmanager
def _relayed(target: Path) -> Iterator[Path]:
    """A socket that is relayed to `target`."""
    place = target.with_name("door")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(place))
    listener.listen(BACKLOG)
    with serving((Door(listener, os.open(target, os.O_PATH)),)):
        yield place


def _connect(place: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(place))
    connection.settimeout(20)
    return connection


def _ask(place: Path, words: bytes) -> bytes:
    with _connect(place) as connection:
        connection.sendall(words)
        connection.shutdown(socket.SHUT_WR)
        return read_all(connection)


def test_words_and_answer(tmp_path: Path) -> None:
    """What is said arrives, the end of it too, and the answer comes back."""
    with agent(tmp_path / "agent", lambda words: b"heard " + words) as target, _relayed(target) as place:
        assert _ask(place, b"sign this") == b"heard sign this"


def test_much(tmp_path: Path) -> None:
    """Words and answers of any size pass unchanged."""

    def answer(words: bytes) -> bytes:
        return hashlib.sha256(words).digest() + _BIG

    with agent(tmp_path / "agent", answer) as target, _relayed(target) as place:
        assert _ask(place, _BIG) == answer(_BIG)


def test_many(tmp_path: Path) -> None:
    """Connections do not wait for each other, even more of them than the agent's backlog has room for."""
    together = threading.Barrier(24, timeout=20)

    def answer(words: bytes) -> bytes:
        together.wait()  # until all are here
        return words[::-1] + _BIG[: 1 << 18]

    with agent(tmp_path / "agent", answer) as target, _relayed(target) as place, ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda number: _ask(place, b"word %d" % number), range(24)))
    assert answers == [(b"word %d" % number)[::-1] + _BIG[: 1 << 18] for number in range(24)]


def test_one_after_another(tmp_path: Path) -> None:
    """More connections than can be open at once are no concern when they end."""
    with agent(tmp_path / "agent", lambda words: words) as target, _relayed(target) as place:
        assert [_ask(place, b"%d" % number) for number in range(200)] == [b"%d" % number for number in range(200)]


def test_who_leaves_early(tmp_path: Path) -> None:
    """Connections that are dropped without hearing the answer take no room: others are served after them."""
    released = threading.Event()

    def answer(words: bytes) -> bytes:
        if words == b"slow":
            released.wait(20)
        return words

    with agent(tmp_path / "agent", answer) as target, _relayed(target) as place:
        for _ in range(100):
            with _connect(place) as connection:
                connection.sendall(b"slow")
        assert _ask(place, b"quick") == b"quick"
        released.set()


def test_a_silent_agent_costs_nothing(tmp_path: Path) -> None:
    """While nobody says anything the relay sleeps, also when one side has ended its half."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "agent"))
        listener.listen()
        with _relayed(tmp_path / "agent") as place, _connect(place) as connection:
            connection.shutdown(socket.SHUT_WR)
            time.sleep(0.1)
            [relay] = children()
            before = _used(relay)
            time.sleep(0.3)
            assert _used(relay) - before <= 2


def _used(pid: int) -> int:
    """The processor time of a process, in hundredths of a second (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_an_agent_that_is_gone(tmp_path: Path) -> None:
    """Where nobody listens any more, a connection ends at once and the relay lives on."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "agent"))
    with _relayed(tmp_path / "agent") as place:
        for _ in range(3):
            with _connect(place) as connection:
                assert connection.recv(1) == b""


def test_its_end(tmp_path: Path) -> None:
    """After the `with` there is no relay, open connections are cut, and nothing of it is open here."""
    before = sorted(os.listdir("/proc/self/fd"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "agent"))
        listener.listen()
        with _relayed(tmp_path / "agent") as place:
            connection = _connect(place)
            listener.accept()[0].close()  # it is at work
            assert len(children()) == 1
        assert children() == []
        with connection:
            assert connection.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            _connect(place)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_its_descriptors(tmp_path: Path) -> None:
    """Of what is open here it keeps the standard three and its own two."""
    with socket.socket(socket.AF_UNIX) as listener, open(tmp_path / "file", "w"):
        listener.bind(str(tmp_path / "agent"))
        listener.listen()
        with _relayed(tmp_path / "agent") as place, _connect(place):
            working, _ = listener.accept()
            [relay] = children()
            names = [os.readlink(f"/proc/{relay}/fd/{fd}") for fd in os.listdir(f"/proc/{relay}/fd")]
            working.close()
    assert str(tmp_path / "file") not in names
    assert len(names) <= 3 + 2 + 2


def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    """A relay does not outlive the process that started it, however that ends."""
    with agent(tmp_path / "agent", lambda words: words) as target:
        reader, writer = os.pipe()
        parent = os.fork()
        if parent == 0:
            with _relayed(target):
                os.write(writer, b"%d" % children()[0])
                os._exit(0)
        os.close(writer)
        with open(reader, "rb") as stream:
            relay = int(stream.read())
        os.waitpid(parent, 0)
        until(lambda: not is_alive(relay))

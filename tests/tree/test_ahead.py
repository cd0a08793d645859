"""Streams that are read ahead."""

from __future__ import annotations

import io
import threading

import pytest

from builder.errors import ImageError
from builder.tree.ahead import Ahead


class _Counted:
    """An endless stream that counts what was taken from it."""

    def __init__(self) -> None:
        self.count = 0
        self.threads: set[int] = set()

    def read(self, count: int, /) -> bytes:
        self.count += count
        self.threads.add(threading.get_ident())
        return bytes(count)


class _Failing:
    """A stream that breaks after its first bytes."""

    def __init__(self) -> None:
        self._left = [b"good"]

    def read(self, _: int, /) -> bytes:
        if self._left:
            return self._left.pop()
        raise ImageError("it is damaged")


def test_the_bytes_are_the_same() -> None:
    """What comes out is what the stream has, in pieces no longer than was asked for, and then nothing more."""
    data = bytes(range(256)) * 5000
    with Ahead(io.BytesIO(data)) as ahead:
        pieces = [ahead.read(100_000)]
        while pieces[-1]:
            pieces.append(ahead.read(100_000))
        assert max(map(len, pieces)) <= 100_000 and b"".join(pieces) == data
        assert ahead.read(1) == b""


def test_another_thread_reads() -> None:
    """The stream is read on another thread, and only so far ahead that memory does not grow."""
    stream = _Counted()
    with Ahead(stream) as ahead:
        ahead.read(1)
    assert stream.threads and threading.get_ident() not in stream.threads
    assert stream.count <= 32 << 20


def test_what_is_left_can_be_let_go() -> None:
    """After a drain the stream has been read to its end."""
    stream = io.BytesIO(bytes(10 << 20))
    with Ahead(stream) as ahead:
        assert ahead.read(10) == bytes(10)
        ahead.drain()
        assert ahead.read(10) == b""
    assert stream.tell() == 10 << 20


def test_errors_come_where_they_belong() -> None:
    """The bytes before an error are given, then the error is raised, again whenever more is asked for."""
    with Ahead(_Failing()) as ahead:
        assert ahead.read(100) == b"good"
        for _ in range(2):
            with pytest.raises(ImageError, match="it is damaged"):
                ahead.read(1)


def test_who_stops_early_waits_for_nothing() -> None:
    """Leaving before the end ends the thread, also one that waits for room."""
    before = threading.active_count()
    with pytest.raises(KeyError), Ahead(_Counted()):
        raise KeyError
    assert threading.active_count() == before

"""Carries the messages of values/crossing.py over a Unix socket, with descriptors beside. Nothing here acts on them.

On the wire a message is 8 bytes (its length and its number of descriptors, both big-endian) and then one JSON object.
The descriptors travel with the first byte (SCM_RIGHTS, unix(7)). A stream and not a sequence of packets, because a
packet must fit the socket's buffer and a message may be longer.
"""

from __future__ import annotations

import array
import json
import os
import socket
import struct
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, cast

from builder.declare import is_declared, types_of
from builder.values import crossing

if TYPE_CHECKING:
    from builder.values.crossing import Message

MAX_DESCRIPTORS = 253
"""SCM_MAX_FD of include/net/scm.h: more in one message are refused by the kernel."""

MAX_BYTES = 256 << 20
"""No message comes near; a length beyond it means that the two sides do not speak the same language."""

_HEADER = struct.Struct("!II")
_INT_BYTES = array.array("i").itemsize

_TAG = "@"
_KINDS = {name: kind for name, kind in vars(crossing).items() if isinstance(kind, type) and is_declared(kind)}
_ENUMS = {name: kind for name, kind in vars(crossing).items() if isinstance(kind, type) and issubclass(kind, StrEnum)}
_FIELDS = {name: tuple(types_of(kind)) for name, kind in _KINDS.items()}
# A StrEnum's member becomes a plain string in JSON. These fields, by their declared type, are made members again.
_MEMBERS = {
    name: {field: _ENUMS[written] for field, written in types_of(kind).items() if written in _ENUMS}
    for name, kind in _KINDS.items()
}


class ChannelClosed(Exception):
    """The other side is gone, perhaps in the middle of a message."""


def encode(message: Message) -> bytes:
    """The message as JSON: dataclasses as objects tagged with their class's name, tuples as lists."""
    return json.dumps(message, default=_tagged, separators=(",", ":")).encode("ascii")


def decode(data: bytes) -> Message:
    """The message that `encode` wrote. Raises ValueError for anything else."""
    try:
        value = json.loads(data, object_hook=_untagged)
    except (TypeError, KeyError) as error:
        raise ValueError(f"not a message: {error}") from error
    if type(value).__name__ not in _KINDS:
        raise ValueError(f"not a message: {data[:80]!r}")
    return cast("Message", value)


def _tagged(value: object) -> dict[str, object]:
    name = type(value).__name__
    if _KINDS.get(name) is not type(value):
        raise TypeError(f"{name} is not of values/crossing.py")
    return {_TAG: name} | {field: getattr(value, field) for field in _FIELDS[name]}


def _untagged(pairs: dict[str, object]) -> object:
    name = cast(str, pairs.pop(_TAG))
    values = {key: _frozen(value) for key, value in pairs.items()}
    for key, kind in _MEMBERS[name].items():
        values[key] = kind(cast(str, values[key]))
    return _KINDS[name](**values)


def _frozen(value: object) -> object:
    """Lists become tuples, all the way down; messages nest a handful of levels."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


class Channel:
    """One end of the socket. Not thread-safe: whoever has threads puts a lock around `send`."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Two connected ends; both close on exec."""
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        return cls(one), cls(other)

    @classmethod
    def of(cls, fd: int) -> Channel:
        """The end that we were started with as descriptor `fd`; takes it over, and it closes on exec from now on."""
        os.set_inheritable(fd, False)
        return cls(socket.socket(fileno=fd))

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, message: Message, fds: Sequence[int] = ()) -> None:
        """Send the whole message with copies of `fds`. Raises ChannelClosed when nobody reads any more."""
        self.send_encoded(encode(message), fds)

    def send_encoded(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """Send what `encode` gave."""
        if len(fds) > MAX_DESCRIPTORS or len(data) > MAX_BYTES:
            raise ValueError(f"a message of {len(data)} bytes with {len(fds)} descriptors is too large")
        beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        header = _HEADER.pack(len(data), len(fds))
        try:
            sent = self._socket.sendmsg([header, data], beside, socket.MSG_NOSIGNAL)
            # What the kernel took is at least one byte, and the descriptors went with it.
            if sent < len(header) + len(data):
                self._socket.sendall((header + data)[sent:], socket.MSG_NOSIGNAL)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise ChannelClosed from error

    def receive(self) -> tuple[Message, list[int]]:
        """Wait for the next message; its descriptors (which close on exec) are the caller's to close.

        Raises ChannelClosed at the end, ValueError when what comes is not a message.
        """
        fds: list[int] = []
        try:
            length, count = _HEADER.unpack(self._header(fds))
            if length > MAX_BYTES or count != len(fds):
                raise ValueError(f"a message of {length} bytes with {count} descriptors came with {len(fds)}")
            return decode(self._body(length)), fds
        except BaseException as error:
            for fd in fds:
                os.close(fd)
            if isinstance(error, ConnectionResetError):
                raise ChannelClosed from error
            raise

    def _header(self, fds: list[int]) -> bytes:
        """The header's bytes; what descriptors come with it are added to `fds`."""
        header = b""
        while missing := _HEADER.size - len(header):
            room = socket.CMSG_SPACE(MAX_DESCRIPTORS * _INT_BYTES)
            data, beside, _, _ = self._socket.recvmsg(missing, room, socket.MSG_CMSG_CLOEXEC)
            for level, kind, payload in beside:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    numbers = array.array("i")
                    numbers.frombytes(payload[: len(payload) - len(payload) % _INT_BYTES])
                    fds.extend(numbers)
            if not data:
                raise ChannelClosed
            header += data
        return header

    def _body(self, length: int) -> bytes:
        body = bytearray(length)
        view = memoryview(body)
        while view:
            count = self._socket.recv_into(view)
            if not count:
                raise ChannelClosed
            view = view[count:]
        return bytes(body)

    def shut(self) -> None:
        """End the conversation for both sides and for every process that has this end; the descriptor stays open."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the other side was faster

    def close(self) -> None:
        self._socket.close()

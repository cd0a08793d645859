"""The channel: messages and descriptors come out as they went in."""

from __future__ import annotations

import os
import socket
import threading
from dataclasses import fields, is_dataclass
from enum import StrEnum
from typing import get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.kernel.channel import MAX_DESCRIPTORS, Channel, ChannelClosed, decode, encode
from builder.values import crossing
from builder.values.crossing import Fault, Message, Removed, RemoveJob, Request, RootKind, Rung, Serve, Unshared

# Lone surrogates are how names that are not UTF-8 travel.
st.register_type_strategy(str, st.text(st.characters(exclude_categories=()), max_size=8))


def _values_of(kind: type[object]) -> st.SearchStrategy[object]:
    return st.builds(kind, **{name: st.from_type(hint) for name, hint in get_type_hints(kind).items()})


for _kind in vars(crossing).values():
    if isinstance(_kind, type) and is_dataclass(_kind):
        st.register_type_strategy(_kind, _values_of)


@settings(max_examples=150)
@given(st.from_type(Message))  # type: ignore[arg-type]  # a union is a type to hypothesis
def test_every_message_is_read_back_as_it_was_written(message: Message) -> None:
    """What `decode` reads is equal to what `encode` was given, for every kind of message."""
    assert decode(encode(message)) == message


def test_fields_that_hold_enums_are_declared_plainly() -> None:
    """An enum is only ever a field's whole type: the codec restores members by that."""
    enums = {name for name, kind in vars(crossing).items() if isinstance(kind, type) and issubclass(kind, StrEnum)}
    for kind in vars(crossing).values():
        if isinstance(kind, type) and is_dataclass(kind):
            for field in fields(kind):
                assert str(field.type) in enums or not any(name in str(field.type) for name in enums), field


def test_an_enum_arrives_as_a_member() -> None:
    """A rung is a Rung again on the other side, not a string that looks like one."""
    message = decode(encode(crossing.Hello(1, Rung.SINGLE, RootKind.FUSE)))
    assert isinstance(message, crossing.Hello)
    assert type(message.rung) is Rung
    assert type(message.root_kind) is RootKind


def test_a_name_that_is_not_utf_8_crosses_unchanged() -> None:
    """Host paths keep their bytes."""
    path = os.fsdecode(b'/a/\xff\xfe\n"\\')
    message = decode(encode(Request(1, RemoveJob((path,)))))
    assert isinstance(message, Request)
    assert isinstance(message.job, RemoveJob)
    assert os.fsencode(message.job.paths[0]) == b'/a/\xff\xfe\n"\\'


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[1]",
        b'"Hello"',
        b'{"@":"Nobody"}',
        b'{"@":"Hello"}',
        b'{"@":"Removed","paths":1,"more":2}',
        b'{"@":"Hello","protocol":1,"rung":"ladder","root_kind":"copy"}',
        b"\xff",
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    """Unknown tags, missing, surplus and wrong fields raise ValueError."""
    with pytest.raises(ValueError):
        decode(data)


def test_only_values_of_the_crossing_cross() -> None:
    """An object of another module is not encoded by accident."""
    with pytest.raises(TypeError, match="SourceText"):
        from builder.source import SourceText

        encode(Request(1, SourceText("a", "b")))  # type: ignore[arg-type]


def test_a_message_longer_than_the_socket_buffer_arrives_whole() -> None:
    """Sixteen megabytes of paths and a descriptor cross in one message."""
    here, there = Channel.pair()
    message = Request(7, RemoveJob(tuple("x" * 1000 for _ in range(16_000))))
    readable, writable = os.pipe()
    sender = threading.Thread(target=here.send, args=(message, [writable]))
    sender.start()
    received, fds = there.receive()
    sender.join()
    assert received == message
    os.close(writable)
    os.write(fds[0], b"same pipe")
    assert os.read(readable, 100) == b"same pipe"
    for fd in (readable, *fds):
        os.close(fd)


def test_descriptors_stay_with_their_message() -> None:
    """Messages that lie in the socket together keep their own descriptors, in order."""
    here, there = Channel.pair()
    pipes = [os.pipe() for _ in range(4)]
    here.send(Request(1, RemoveJob(())), [pipes[0][1]])
    here.send(Request(2, RemoveJob(())))
    here.send(Request(3, RemoveJob(())), [pipes[1][1], pipes[2][1], pipes[3][1]])
    got = [there.receive() for _ in range(3)]
    assert [len(fds) for _, fds in got] == [1, 0, 3]
    for number, fd in enumerate(fd for _, fds in got for fd in fds):
        os.write(fd, b"%d" % number)
        assert not os.get_inheritable(fd)
        os.close(fd)
    for number, (readable, writable) in enumerate(pipes):
        assert os.read(readable, 9) == b"%d" % number
        os.close(readable)
        os.close(writable)


def test_as_many_descriptors_as_the_kernel_takes() -> None:
    """253 descriptors pass, one more is refused before anything is sent."""
    here, there = Channel.pair()
    here.send(Unshared(), [0] * MAX_DESCRIPTORS)
    _, fds = there.receive()
    assert len(fds) == MAX_DESCRIPTORS
    for fd in fds:
        os.close(fd)
    with pytest.raises(ValueError, match="descriptors"):
        here.send(Unshared(), [0] * (MAX_DESCRIPTORS + 1))


def test_the_end_of_the_other_side_is_noticed() -> None:
    """Reading from and writing to a closed channel raise ChannelClosed; no SIGPIPE, no OSError."""
    here, there = Channel.pair()
    there.close()
    with pytest.raises(ChannelClosed):
        here.receive()
    with pytest.raises(ChannelClosed):
        here.send(Unshared())


@pytest.mark.parametrize("cut", [1, 7, 8, 20])
def test_a_message_cut_short_is_a_closed_channel(cut: int) -> None:
    """When the other side dies in the middle of a message, in its header or body, its descriptors are not kept."""
    one, other = socket.socketpair()
    body = encode(Serve(Rung.ROOT, "/x"))
    whole = len(body).to_bytes(4, "big") + (1).to_bytes(4, "big") + body
    socket.send_fds(one, [whole[:cut]], [0])
    one.close()
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ChannelClosed):
        Channel(other).receive()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_header_from_a_stranger_is_refused() -> None:
    """A length or a count that cannot be raises ValueError and allocates nothing."""
    one, other = socket.socketpair()
    one.sendall(b"GET / HTTP/1.1\r\n")
    with pytest.raises(ValueError, match="bytes with"):
        Channel(other).receive()


def test_shut_ends_the_conversation_for_everybody() -> None:
    """After `shut` the other side reads the end, although a copy of the descriptor is still open somewhere."""
    here, there = Channel.pair()
    copy = os.dup(here.fileno())
    here.shut()
    with pytest.raises(ChannelClosed):
        there.receive()
    here.shut()
    os.close(copy)


def test_a_fault_carries_its_words() -> None:
    """Messages, hints and tracebacks with line ends and any script cross unchanged."""
    fault = Fault(3, "MachineError", "no „range“\n", "sudo usermod …", "Traceback\n  …")
    here, there = Channel.pair()
    here.send(fault)
    here.send(crossing.Done(4, Removed(2)))
    assert there.receive() == (fault, [])
    assert there.receive() == (crossing.Done(4, Removed(2)), [])

"""The network of a step: the host's, none, the build's own, or none but the way to our proxy.

NONE and PROXY are namespaces that die with the step, with the loopback up; in PROXY the step's process makes the
proxy's listener before it becomes the command, and passes it out. DEFAULT is a namespace that all steps of a build
share (`usernet` makes it); HOST shares ours.

Sources: network_namespaces(7), netdevice(7), unix(7).
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct

from builder.errors import MachineError
from builder.kernel import syscalls
from builder.kernel.constants import CLONE_NEWNET
from builder.values.crossing import NetworkMode, NetworkPlace, StepSpec

PROXY_PORT = 3128
"""Where a step finds the proxy, on its own 127.0.0.1. Nobody else can have it: the namespace is new."""

_PROXY_BACKLOG = 512
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1
_INTERFACE_REQUEST = struct.Struct("16sH22x")  # struct ifreq: name, flags


def namespace_flags(mode: NetworkMode) -> int:
    """What clone(2) has to be asked for."""
    return CLONE_NEWNET if mode in (NetworkMode.NONE, NetworkMode.PROXY) else 0


def enter(step: StepSpec, proxy: int) -> None:
    """Be in the step's network; for its process, after the clone. `proxy` is the socket that takes the listener.

    Raises OSError, MachineError for a namespace that is gone, ValueError for DEFAULT without one.
    """
    match step.network:
        case NetworkMode.HOST:
            return
        case NetworkMode.DEFAULT:
            if step.namespace is None:
                raise ValueError("the default network was not resolved")
            _join(step.namespace)
        case NetworkMode.NONE:
            bring_up_loopback()
        case NetworkMode.PROXY:
            bring_up_loopback()
            _pass_listener(proxy)


def _join(place: NetworkPlace) -> None:
    try:
        fd = os.open(place.path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _lost() from error
    try:
        if os.fstat(fd).st_ino != place.inode:  # the keeper is gone, and its number is another's: perhaps the host's
            raise _lost()
        syscalls.setns(fd, CLONE_NEWNET)
    finally:
        os.close(fd)


def _lost() -> MachineError:
    return MachineError("the network of the steps went away", hint="was a process killed? Build again")


def _pass_listener(proxy: int) -> None:
    with socket.socket(fileno=os.dup(proxy)) as outside, socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", PROXY_PORT))
        listener.listen(_PROXY_BACKLOG)
        socket.send_fds(outside, [b"!"], [listener.fileno()])


def bring_up_loopback() -> None:
    """Bring `lo` up in the network namespace that we are in; it gets its addresses by that. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as any_socket:
        answer = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, _INTERFACE_REQUEST.pack(b"lo", 0))
        name, flags = _INTERFACE_REQUEST.unpack(answer)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, _INTERFACE_REQUEST.pack(name, flags | _IFF_UP))

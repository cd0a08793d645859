"""The network of a step. HOST shares ours; NONE is a network namespace of its own in which only the loopback is up.

Sources: network_namespaces(7), netdevice(7).
"""

from __future__ import annotations

import fcntl
import socket
import struct

from builder.kernel.constants import CLONE_NEWNET
from builder.values.crossing import NetworkMode

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1
_INTERFACE_REQUEST = struct.Struct("16sH22x")  # struct ifreq: name, flags


def namespace_flags(mode: NetworkMode) -> int:
    """What clone(2) has to be asked for. DEFAULT must have been resolved before: ValueError."""
    match mode:
        case NetworkMode.NONE:
            return CLONE_NEWNET
        case NetworkMode.HOST:
            return 0
        case NetworkMode.DEFAULT:
            raise ValueError("the default network was not resolved")


def bring_up_loopback() -> None:
    """Bring `lo` up in the network namespace that we are in; it gets its addresses by that. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as any_socket:
        answer = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, _INTERFACE_REQUEST.pack(b"lo", 0))
        name, flags = _INTERFACE_REQUEST.unpack(answer)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, _INTERFACE_REQUEST.pack(name, flags | _IFF_UP))

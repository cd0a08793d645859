"""A network namespace for the steps of a build, and the program that connects it: pasta or slirp4netns.

    job's process                keeper                          helper
      │ fork ──────────────────► │ unshare(net), lo up
      │ ◄───── its number ────── │ gives up its capabilities, waits for ever
      │ spawn ────────────────────────────────────────────────► │ enters by /proc/NUMBER/ns/net, makes an interface
      │ ◄───── ready ────────────────────────────────────────── │ carries packets
      │ ends: the worker's pid 1 is the parent of both from now on

One for all steps of a build, because a helper needs some 50 ms to be ready. Nothing has to end them: they are in the
worker's pid namespace, whose end is theirs. Neither program is trusted to work: one that fails, or is not ready in
time, gives way to the next, and after the last it is said why. Steps find the namespace by the keeper's number and
know it by its inode, so that a number that was given to another process leads nowhere.

Sources: pasta(1), slirp4netns(1), network_namespaces(7), ptrace(2) on who may open /proc/N/ns.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from typing import NoReturn

from builder.declare import dataclass
from builder.kernel import syscalls
from builder.kernel.constants import CLONE_NEWNET, CLOSE_RANGE_LAST, PR_SET_DUMPABLE
from builder.kernel.network import bring_up_loopback
from builder.values.crossing import Networked, NetworkJob, NetworkPlace

ADDRESS, GATEWAY, RESOLVER = "10.0.2.100", "10.0.2.2", "10.0.2.3"
"""What a step sees, the same with either program: its own address, the way out, and who answers for names."""
_PREFIX_BITS = 24
_INTERFACE = "eth0"
_MTU = 65520
_TUN = "/dev/net/tun"
_READY_S = 5.0
_WORDS_BYTES = 2000
_ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"}


class _Failed(Exception):
    """A helper did not get ready; says why, for people."""


def perform(job: NetworkJob) -> Networked:
    """Make the namespace and connect it; `helper` is empty in the answer where nothing could. Raises OSError."""
    found = [(helper, path) for helper in _HELPERS if (path := _find(helper.name, job.places)) is not None]
    usable = [(helper, path) for helper, path in found if helper.forwards or not job.forwarded]
    why = _obstacle(bool(found), bool(usable))
    if why:
        return Networked("", failures=why)
    keeper = _start_keeper()
    failures = []
    for helper, path in usable:
        try:
            helper.start(path, keeper.place.path, job)
        except (_Failed, OSError) as error:
            failures.append(f"{helper.name}: {error}")
        else:
            return Networked(helper.name, keeper.place, "; ".join(failures))
    os.kill(keeper.pid, signal.SIGKILL)
    return Networked("", failures="; ".join(failures))


def _obstacle(installed: bool, usable: bool) -> str:
    if not installed:
        return "neither pasta nor slirp4netns is installed"
    if not usable:
        return "the proxy is on this machine's loopback, which slirp4netns cannot lead to and pasta is not installed"
    try:
        os.close(os.open(_TUN, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"{_TUN} cannot be opened: {error.strerror}"
    return ""


def _find(name: str, places: str) -> str | None:
    paths = (os.path.join(place, name) for place in places.split(":") if place)
    return next((path for path in paths if os.access(path, os.X_OK) and os.path.isfile(path)), None)


@dataclass(frozen=True, slots=True)
class _Keeper:
    """The process that keeps the namespace: its number here, and where the namespace is found."""

    pid: int
    place: NetworkPlace


def _start_keeper() -> _Keeper:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        _be_keeper(writer)
    os.close(writer)
    with open(reader, "rb") as stream:
        words = stream.read(_WORDS_BYTES).decode(errors="replace").split(maxsplit=2)
    if len(words) != 2:
        os.waitpid(pid, 0)
        raise OSError(f"no network namespace can be made: {' '.join(words[1:])}")
    return _Keeper(pid, NetworkPlace(f"/proc/{words[0]}/ns/net", int(words[1])))


def _be_keeper(report: int) -> NoReturn:
    """The life of the keeper. Never returns: the stack above belongs to the parent."""
    try:
        _close_all_but(report)
        try:
            syscalls.unshare(CLONE_NEWNET)
            bring_up_loopback()
            _skip_address_detection()
            # pasta has given up CAP_SYS_PTRACE when it opens our namespace: it may only where we have no more than it.
            syscalls.capset(0, 0, 0)
            syscalls.prctl(PR_SET_DUMPABLE, 1)
            # /proc is the outer one and has another number for us than getpid().
            words = f"{os.readlink('/proc/self')} {os.stat('/proc/self/ns/net').st_ino}"
        except OSError as error:
            words = f"- - {error}"
        os.write(report, words.encode())
        os.close(report)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        while "-" not in words:
            signal.pause()
    finally:
        os._exit(1)


def _skip_address_detection() -> None:
    """Nobody else is on this link: an IPv6 address shall be usable at once (RFC 4862, 5.4)."""
    for which in ("all", "default"):
        try:
            with open(f"/proc/sys/net/ipv6/conf/{which}/accept_dad", "w", encoding="ascii") as file:
                file.write("0")
        except OSError:
            pass  # no IPv6, or /proc is read-only: then it takes a second


def _close_all_but(kept: int) -> None:
    if kept > 3:
        syscalls.close_range(3, kept - 1)
    syscalls.close_range(max(kept + 1, 3), CLOSE_RANGE_LAST)


def _pasta(path: str, namespace: str, job: NetworkJob) -> None:
    """Start pasta; it goes into the background when it is ready. Nothing of this machine's loopback is mapped but the
    ports that were asked for.
    """
    ports = ",".join(map(str, job.forwarded)) or "none"
    words = ["--config-net", "--netns-only", "--netns", namespace, "--no-netns-quit", "--quiet", "--no-map-gw"]
    words += ["-I", _INTERFACE, "-a", ADDRESS, "-n", str(_PREFIX_BITS), "-g", GATEWAY]
    # Not unless it is needed: what that server answers who asked it itself comes from RESOLVER too, and is not heard.
    words += ["--dns-forward", RESOLVER] if job.resolver else []
    words += ["-t", "none", "-u", "none", "-T", ports, "-U", "none"]
    log = os.memfd_create("pasta")
    try:
        pid = _spawn(path, ["pasta", *words], log)
        with open(syscalls.pidfd_open(pid), "rb", buffering=0) as life:
            is_over = _is_readable(life.fileno())
        if not is_over:
            os.kill(pid, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if not is_over:
            raise _Failed(f"was not ready within {_READY_S:.0f} s")
        if status:
            raise _Failed(_last_words(log) or f"ended with status {status}")
    finally:
        os.close(log)


def _slirp(path: str, namespace: str, _: NetworkJob) -> None:
    """Start slirp4netns; it tells by a pipe when it is ready."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    log = os.memfd_create("slirp4netns")
    try:
        os.set_inheritable(writer, True)
        words = ["--configure", f"--mtu={_MTU}", "--disable-host-loopback", "--enable-sandbox", "--enable-seccomp"]
        words += [f"--cidr={GATEWAY.rpartition('.')[0]}.0/{_PREFIX_BITS}", f"--ready-fd={writer}", "--netns-type=path"]
        pid = _spawn(path, ["slirp4netns", *words, namespace, _INTERFACE], log)
        os.close(writer)
        writer = -1
        in_time = _is_readable(reader)
        if not in_time or not os.read(reader, 1):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise _Failed(_last_words(log) if in_time else f"was not ready within {_READY_S:.0f} s")
    finally:
        for fd in (reader, writer, log):
            if fd >= 0:
                os.close(fd)


@dataclass(frozen=True, slots=True)
class _Helper:
    """A program that connects a namespace, and whether it can lead to ports of this machine's loopback."""

    name: str
    forwards: bool
    start: Callable[[str, str, NetworkJob], None]


_HELPERS = (_Helper("pasta", True, _pasta), _Helper("slirp4netns", False, _slirp))


def _spawn(path: str, argv: list[str], log: int) -> int:
    opened = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDWR, 0),
        (os.POSIX_SPAWN_DUP2, 0, 1),
        (os.POSIX_SPAWN_DUP2, log, 2),
    ]
    ignored = [signal.SIGPIPE, signal.SIGXFSZ]  # by the interpreter
    return os.posix_spawn(path, argv, _ENVIRONMENT, file_actions=opened, setsigdef=ignored, setsid=True)


def _is_readable(fd: int) -> bool:
    watch = select.poll()
    watch.register(fd, select.POLLIN)
    return bool(watch.poll(_READY_S * 1000))


def _last_words(log: int) -> str:
    """The last line of its own; pasta complains about syslog beside each."""
    size = os.fstat(log).st_size
    text = os.pread(log, _WORDS_BYTES, max(0, size - _WORDS_BYTES)).decode(errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip() and "to syslog" not in line]
    return lines[-1] if lines else ""

"""The proxy that is a step's only way out with `--network=proxy`: http requests and CONNECT, each judged and counted.

    step (its own empty network)            conductor's threads (the host's network)
      │ listens on 127.0.0.1, passes the listener out ──────► │ takes it
      │ CONNECT host:443, GET http://host/path ─────────────► │ by the rules: dial, or 403
      │ ◄───────────────────── answers, bytes ──────────────► │ a contact is noted when it is over

A thread accepts and one serves each connection. Requests are read strictly (`proxyhead`), one to a connection of the
server's, so that each is seen; a tunnel is bytes both ways. Everything that a step can make us hold is bounded:
connections, heads, waiting. At the end of the step all of it is closed, and what it talked to is known.
"""

from __future__ import annotations

import errno
import os
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType

from builder.declare import replace
from builder.kernel.conversation import Conversation
from builder.kernel.dial import Dialler
from builder.values.contact import Contact, Contacts

MOST_CONNECTIONS = 128
"""More wait in the backlog; also those that need more than a share of our descriptors."""
MOST_CONTACTS = 1000
"""More are counted and not kept."""
MOST_CONTACT_CHARS = 1 << 20
"""So are those whose words are longer than this, all together."""
_SHARE = 16  # of our descriptors, for connections that need two each: several steps run at once, and a build has files
_END_S = 2.0
_SHORT_S = 0.1

Told = Callable[[Contact], None]
"""Is told of each refusal, on a thread of the proxy's."""


class StepProxy:
    """The proxy of one step. `fd` is the socket that takes the listener; use it with `with`."""

    def __init__(self, dialler: Dialler, told: Told) -> None:
        self._dialler = dialler
        self._told = told
        self._ours, self._steps = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._room = threading.BoundedSemaphore(max(1, min(MOST_CONNECTIONS, files // _SHARE)))
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._talks: set[Conversation] = set()
        self._over = False
        self._contacts: dict[object, Contact] = {}
        self._contact_chars = 0
        self._more = 0

    @property
    def fd(self) -> int:
        """What the step's process sends the listener through."""
        return self._steps.fileno()

    def contacts(self) -> Contacts:
        """What the step talked to so far; all of it once the `with` has ended."""
        with self._lock:
            return Contacts(tuple(self._contacts.values()), self._more)

    def __enter__(self) -> StepProxy:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close all that is open; what threads hang in a look-up of a name are left to end by themselves."""
        with self._lock:
            self._over = True
            ends, threads = set(self._open), set(self._threads)
        for end in (self._ours, *ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        until = time.monotonic() + _END_S
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        with self._lock:
            asked = [talk.asked for talk in self._talks]
        for contact in filter(None, asked):
            self._note(replace(contact, failure="the step ended first"))
        self._ours.close()
        self._steps.close()

    def _start(self, run: Callable[..., None], *words: object) -> None:
        thread = threading.Thread(target=run, args=words, name="proxy", daemon=True)
        with self._lock:
            thread.start()
            self._threads.add(thread)

    @contextmanager
    def _held(self, end: socket.socket) -> Iterator[socket.socket]:
        """A socket that the end of the step shuts."""
        with end:
            with self._lock:
                if self._over:
                    raise OSError("the step is over")
                self._open.add(end)
            try:
                yield end
            finally:
                with self._lock:
                    self._open.discard(end)

    def _accept(self) -> None:
        try:
            _, fds, _, _ = socket.recv_fds(self._ours, 1, 1)
        except OSError:
            return
        if not fds:
            return
        os.set_inheritable(fds[0], False)  # recv_fds of Python 3.11 does not heed MSG_CMSG_CLOEXEC
        with suppress(OSError), self._held(socket.socket(fileno=fds[0])) as listener:
            while True:
                self._room.acquire()
                client = self._next(listener)
                try:
                    self._start(self._serve, client)
                except RuntimeError:  # no more threads for this user: the step is answered by a closed connection
                    client.close()
                    self._room.release()

    def _next(self, listener: socket.socket) -> socket.socket:
        """The next connection. Raises OSError when the step is over, and for nothing else."""
        while True:
            try:
                return listener.accept()[0]
            except OSError as error:
                if self._over or error.errno in (errno.EINVAL, errno.EBADF):  # it was shut
                    raise
                time.sleep(_SHORT_S)  # no more descriptors or memory just now, or a client that was gone again

    def _serve(self, client: socket.socket) -> None:
        talk = Conversation(client, self._dialler, self._note, self._held)
        with self._lock:
            self._talks.add(talk)
        try:
            with self._held(client):
                talk.run()
        except OSError:
            pass
        finally:
            self._room.release()
            with self._lock:
                self._talks.discard(talk)
                self._threads.discard(threading.current_thread())

    def _note(self, contact: Contact) -> None:
        with self._lock:
            known = self._contacts.get(contact.key)
            has_room = known is not None or self._has_room(contact)
            if has_room:
                self._contacts[contact.key] = contact if known is None else known.plus(contact)
            else:
                self._more += 1
        if contact.refusal and known is None and has_room:
            self._told(contact)

    def _has_room(self, contact: Contact) -> bool:
        self._contact_chars += len(contact.path)
        return len(self._contacts) < MOST_CONTACTS and self._contact_chars <= MOST_CONTACT_CHARS

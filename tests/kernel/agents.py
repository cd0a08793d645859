"""A fake ssh agent: hears a connection out, and answers with what it was told to make of it."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def agent(path: Path, answer: Callable[[bytes], bytes]) -> Iterator[Path]:
    """An agent at `path` while the `with` lasts, with a thread for each connection."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):  # who asked may be gone
                self.request.sendall(answer(read_all(self.request)))

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True
        request_queue_size = 2

    with Server(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield path
        finally:
            server.shutdown()
            thread.join()


def read_all(connection: socket.socket) -> bytes:
    """All that comes until the other side has said that it is all."""
    parts = []
    while data := connection.recv(1 << 16):
        parts.append(data)
    return b"".join(parts)

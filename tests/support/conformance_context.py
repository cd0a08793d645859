"""The context of a conformance case: its files on disk, and its web server."""

from __future__ import annotations

import http.server
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.tars import content_of

DEFAULT_MTIME = 1600000000


def lay_out(directory: Path, entries: Mapping[str, Any]) -> None:
    """Make the entries of a context on disk. Modes and times of directories come last."""
    late: list[tuple[Path, int, int]] = []
    for name, entry in entries.items():
        path = directory / name
        row: Mapping[str, Any] = entry if isinstance(entry, Mapping) else {}
        if entry == "delete":
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        mode, mtime = int(row.get("mode", "0644"), 8), int(row.get("mtime", DEFAULT_MTIME))
        if entry is None or name.endswith("/") or row.get("dir"):
            path.mkdir(exist_ok=True)
            late.append((path, int(row.get("mode", "0755"), 8), mtime))
        elif "symlink" in row:
            path.symlink_to(row["symlink"])
        elif "hardlink" in row:
            os.link(directory / row["hardlink"], path)
        elif "fifo" in row:
            os.mkfifo(path)
        elif "socket" in row:
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(str(path))
        else:
            data = content_of(entry)
            path.unlink(missing_ok=True)
            path.write_bytes(data)
            path.chmod(mode)
            os.utime(path, (mtime, mtime))
    for path, mode, mtime in late:
        path.chmod(mode)
        os.utime(path, (mtime, mtime))


class Server(http.server.ThreadingHTTPServer):
    """A web server of a case's `http` entries."""

    files: Mapping[str, Any]

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        entry = self.server.files.get(self.path.partition("?")[0])
        row = entry if isinstance(entry, Mapping) else {}
        data = content_of(entry)
        self.send_response(404 if entry is None else int(row.get("status", 200)))
        for name, value in row.get("headers", {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
        """Stay quiet."""


@contextmanager
def served(files: Mapping[str, Any]) -> Iterator[Server]:
    """A running web server on loopback."""
    server = Server(("127.0.0.1", 0), _Handler)
    server.files = files
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()

"""A guestbook in memory: GET shows what was written, POST adds a line."""

import html
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LINES: list[str] = []
LIMIT_BYTES = 1000


class Guestbook(BaseHTTPRequestHandler):
    """One page."""

    def do_GET(self) -> None:
        """Show all lines."""
        rows = "".join(f"<li>{html.escape(line)}</li>" for line in LINES)
        page = f"<!doctype html><title>Guestbook</title><ul>{rows}</ul>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def do_POST(self) -> None:
        """Add a line."""
        size = min(int(self.headers.get("Content-Length", 0)), LIMIT_BYTES)
        LINES.append(self.rfile.read(size).decode("utf-8", "replace"))
        self.send_response(303)
        self.send_header("Location", "/")
        self.end_headers()


if __name__ == "__main__":
    ThreadingHTTPServer(("", int(os.environ.get("PORT", "8080"))), Guestbook).serve_forever()

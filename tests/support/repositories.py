"""Git repositories for tests, served for real on loopback: by `git daemon`, or as plain files over http."""

from __future__ import annotations

import functools
import http.server
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.com",
    "GIT_AUTHOR_DATE": "1600000000 +0000",
    "GIT_COMMITTER_DATE": "1600000000 +0000",
}


@dataclass(frozen=True)
class Working:
    """A repository somebody works in."""

    path: Path

    @classmethod
    def new(cls, path: Path) -> Working:
        """An empty repository with the branch main."""
        path.mkdir(parents=True)
        made = cls(path)
        made.git("init", "--quiet", "-b", "main")
        return made

    def git(self, *words: str) -> str:
        """Run git in it; what it says."""
        done = subprocess.run(
            ["git", "-c", "protocol.file.allow=always", *words],
            cwd=self.path,
            env=_ENVIRONMENT,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def commit(self, **files: str | None) -> str:
        """Write files (`__` in a name is `/`, `_dot_` a dot; None removes), commit them; the commit's id."""
        for name, content in files.items():
            path = self.path / name.replace("__", "/").replace("_dot_", ".")
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return self.commit_all()

    def commit_all(self) -> str:
        """Commit everything as it is; the commit's id."""
        self.git("add", "--all", "--force")
        self.git("commit", "--quiet", "--allow-empty", "-m", "x")
        return self.git("rev-parse", "HEAD")

    def publish(self, bare: Path) -> None:
        """Make (or bring up to date) a bare copy that can be served in both ways."""
        if not bare.exists():
            self.git("clone", "--quiet", "--bare", ".", str(bare))
        self.git("push", "--quiet", "--mirror", str(bare))
        Working(bare).git("update-server-info")
        (bare / "git-daemon-export-ok").touch()


@contextmanager
def daemon(directory: Path) -> Iterator[str]:
    """`git daemon` for all below a directory; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["git", "daemon", "--reuseaddr", "--listen=127.0.0.1", f"--port={port}", f"--base-path={directory}"]
    process = subprocess.Popen([*words, "--export-all"], env=_ENVIRONMENT, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        yield f"git://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def plain_http(directory: Path) -> Iterator[str]:
    """The files of a directory over http, all that git's oldest protocol needs; its address."""
    handler = functools.partial(_Quiet, directory=os.fspath(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()

"""What the tests of the stages share: a place to build in, and a small base with a shell."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stages.builds import Bench, base, row
from tests.support.bases import BUSYBOX, applets


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """An empty context and no store yet."""
    return Bench(tmp_path)


@pytest.fixture(scope="session")
def busybox(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A base with a shell and two users, as FROM names it."""
    rows = [
        *(row(path) for path in ("bin", "etc", "root", "home")),
        row("tmp", mode="1777"),
        row("home/app", uid=1000, gid=1000),
        row("etc/passwd", "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n"),
        row("etc/group", "root:x:0:\napp:x:1000:\nextra:x:1007:app\n"),
        {"path": "bin/busybox", "type": "file", "mode": "0755", "data": BUSYBOX.read_bytes()},
        *({"path": f"bin/{name}", "type": "symlink", "to": "busybox"} for name in applets()),
    ]
    return base(tmp_path_factory.mktemp("base") / "busybox", [rows], config={"Env": ["PATH=/bin"]})

"""What the tests of the whole command share: bases, a registry with them, a command with its own store."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.registry import push, running_registry
from tests.support.bases import write_bases
from tests.support.command import Pybuild
from tests.support.conformance import FOLDER

_MINIMAL = {
    "busybox": [
        {
            "platform": "linux/amd64",
            "config": {"Env": ["PATH=/bin:/usr/bin:/sbin:/usr/sbin"], "Cmd": ["sh"]},
            "layers": [
                {
                    "media_type": "application/vnd.oci.image.layer.v1.tar+gzip",
                    "entries": [
                        *({"path": path, "type": "dir", "mode": "0755"} for path in ("bin", "etc", "home", "root")),
                        {"path": "tmp", "type": "dir", "mode": "1777"},
                        {
                            "path": "etc/passwd",
                            "type": "file",
                            "mode": "0644",
                            "content": "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n",
                        },
                        {"path": "etc/group", "type": "file", "mode": "0644", "content": "root:x:0:\napp:x:1000:\n"},
                        {"path": "home/app", "type": "dir", "mode": "0755", "uid": 1000, "gid": 1000},
                        {"path": "bin/busybox", "type": "file", "mode": "0755", "content_from": "busybox"},
                        {"path": "bin/APPLET", "type": "symlink", "to": "busybox", "for_each_applet_of": "busybox"},
                    ],
                }
            ],
        }
    ]
}


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of base images as OCI layouts, `busybox` among them."""
    directory = tmp_path_factory.mktemp("bases")
    path = FOLDER / "bases.json"
    write_bases(json.loads(path.read_text()) if path.exists() else _MINIMAL, directory)
    return directory


@pytest.fixture(scope="session")
def busybox(bases: Path) -> str:
    """A small base with a shell, as FROM names it."""
    return f"oci:{bases / 'busybox'}:latest"


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory, bases: Path) -> Iterator[str]:
    """The address of a real registry that has the bases."""
    with running_registry(tmp_path_factory.mktemp("registry")) as address:
        push(f"oci:{bases / 'busybox'}:latest", f"{address}/busybox:latest")
        yield address


@pytest.fixture(scope="session")
def debian(tmp_path_factory: pytest.TempPathFactory, registry: str) -> str:
    """A minimal Debian, made by mmdebstrap as this ordinary user, in the registry."""
    if shutil.which("mmdebstrap") is None:
        pytest.skip("mmdebstrap is not installed")
    room = tmp_path_factory.mktemp("debian")
    tar = room / "debian.tar"
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", "bookworm", str(tar)], check=True, timeout=240, cwd=room
    )
    # Through the tool itself: a tar becomes an image, which skopeo brings to the registry.
    pybuild = Pybuild(room, room / "store")
    env = 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nCMD ["bash"]\n'
    pybuild.write("Buildfile", f"FROM rootfs:{tar}\n{env}")
    pybuild.run("-o", f"type=oci,dest={room / 'layout'}", "-t", "debian:test", ".")
    push(f"oci:{room / 'layout'}:test", f"{registry}/debian:test")
    shutil.rmtree(room / "store")
    tar.unlink()
    return f"{registry}/debian:test"


@pytest.fixture
def pybuild(tmp_path: Path) -> Iterator[Pybuild]:
    """The command, started in an empty directory, with an empty store."""
    room = tmp_path / "room"
    room.mkdir()
    command = Pybuild(room, tmp_path / "store")
    yield command
    if any(command.store.glob("pybuild/snapshots/*")):  # files of sub-ids, which pytest could not remove
        command.run("unshare", "rm", "-rf", str(command.store), status=None)

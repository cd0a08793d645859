"""What fuse-overlayfs leaves behind, turned into overlay's form. How a step runs on it is in test_rootfs."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from builder.errors import MachineError
from builder.kernel import fuse
from builder.kernel.constants import MS_RDONLY
from builder.kernel.syscalls import mount
from tests.kernel.inside import in_namespace


@pytest.mark.kernel
def test_normalise(tmp_path: Path) -> None:
    """Its files for removed names become whiteouts, its opaque marks an xattr; its xattrs and marks are gone."""
    upper = tmp_path / "upper"
    (upper / "d" / "e").mkdir(parents=True)
    (upper / "d" / ".wh..wh..opq").write_text("")
    (upper / "d" / ".wh.gone").write_text("")
    (upper / "d" / "kept").write_text("x")
    os.setxattr(upper / "d" / "kept", "user.fuseoverlayfs.origin", b"x")
    os.setxattr(upper / "d" / "kept", "user.mine", b"x")
    os.utime(upper / "d", ns=(5, 6))

    in_namespace(lambda: fuse.normalise(str(upper)))

    assert sorted(os.listdir(upper / "d")) == ["e", "gone", "kept"]
    gone = (upper / "d" / "gone").lstat()
    assert stat.S_ISCHR(gone.st_mode) and gone.st_rdev == 0
    assert os.getxattr(upper / "d", "user.overlay.opaque") == b"y"
    assert os.listxattr(upper / "d" / "kept") == ["user.mine"]
    assert (upper / "d").stat().st_mtime_ns == 6


@pytest.mark.kernel
def test_refused(tmp_path: Path) -> None:
    """When the program does not mount, its words are the error's."""
    if fuse.program() is None:
        pytest.skip("needs fuse-overlayfs and /dev/fuse")
    for name in ("lower", "upper", "work"):
        (tmp_path / name).mkdir()
    target = tmp_path / "target"
    target.mkdir()

    def body() -> None:
        mount("x", str(tmp_path / "work"), "tmpfs", MS_RDONLY)
        with pytest.raises(MachineError, match=r"(?s)did not mount: .*workdir"):
            fuse.start((str(tmp_path / "lower"),), str(tmp_path / "upper"), str(tmp_path / "work"), str(target))

    in_namespace(body)


@pytest.mark.kernel
@pytest.mark.parametrize("name", ["a,b c\\d", "ü\n"])
def test_awkward_names(tmp_path: Path, name: str) -> None:
    """Commas, blanks, backslashes and line ends in the paths of layers are themselves."""
    if fuse.program() is None:
        pytest.skip("needs fuse-overlayfs and /dev/fuse")
    base = tmp_path / name
    for inner in ("lower", "upper", "work", "target"):
        (base / inner).mkdir(parents=True)
    (base / "lower" / "file").write_text("seen")

    def body() -> None:
        running = fuse.start((str(base / "lower"),), str(base / "upper"), str(base / "work"), str(base / "target"))
        assert (base / "target" / "file").read_text() == "seen"
        fuse.stop(running)
        assert running.process.returncode == 0

    in_namespace(body)


def test_colon(tmp_path: Path) -> None:
    """A path with a colon, which it cannot use, is refused in words."""
    if fuse.program() is None:
        pytest.skip("needs fuse-overlayfs and /dev/fuse")
    with pytest.raises(MachineError, match="a:b") as caught:
        fuse.start((str(tmp_path / "a:b"),), str(tmp_path), str(tmp_path), str(tmp_path))
    assert "--root" in (caught.value.hint or "")

"""`pybuild ls`."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from builder.commands.app import run
from builder.errors import ImageError
from tests.commands.callers import caller, remarked
from tests.commands.looks import json_of, lines_of, store_image
from tests.report import terminal
from tests.stages.builds import row
from tests.stages.looked import ABOVE, ODD


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """A room whose store has app:1."""
    store_image(tmp_path)
    return tmp_path


def test_a_directory(room: Path) -> None:
    """The names in a directory, sorted, as the layers together have it; without a path it is the root."""
    assert lines_of(room, "ls", "app:1") == ["bin", "broken", "etc", "loop", "newname\\x0a", "opt", "pipe", "usr"]
    assert lines_of(room, "ls", "app:1:/etc") == ["os-release", "passwd"]
    assert lines_of(room, "ls", "app:1:/opt/") == ["new"]


def test_names_with_a_dot_are_listed(tmp_path: Path) -> None:
    """What begins with a dot is listed, with and without -a."""
    store_image(tmp_path, layers=[[row(".config", "x")]])
    assert lines_of(tmp_path, "ls", "app:1") == lines_of(tmp_path, "ls", "-a", "app:1") == [".config"]


def test_a_file_lists_itself(room: Path) -> None:
    """A file, a pipe, and links that lead to no directory are listed themselves; links to directories are followed."""
    assert lines_of(room, "ls", "app:1:/bin/tool") == ["/usr/bin/tool"]
    assert lines_of(room, "ls", "app:1:/pipe") == ["/pipe"]
    assert lines_of(room, "ls", "-l", "app:1:/loop")[0].endswith("/loop -> loop")
    assert lines_of(room, "ls", "-l", "app:1:/broken")[0].endswith("/broken -> no/where")
    assert lines_of(room, "ls", "app:1:/bin") == ["same", "tool"]


def test_a_directory_itself(room: Path) -> None:
    """With -d a directory or a link is listed, and not what is in it; also the root."""
    assert lines_of(room, "ls", "-d", "app:1:/etc") == ["/etc"]
    assert lines_of(room, "ls", "-ld", "app:1:/bin")[0].endswith("/bin -> /usr/bin")
    assert lines_of(room, "ls", "-d", "app:1") == ["/"]


def test_all_that_is_below(room: Path) -> None:
    """With -R everything below is listed by its whole path; links are not followed on the way."""
    assert lines_of(room, "ls", "-R", "app:1:/usr") == ["/usr/bin", "/usr/bin/same", "/usr/bin/tool"]
    assert "/bin" in lines_of(room, "ls", "-R", "app:1") and "/bin/tool" not in lines_of(room, "ls", "-R", "app:1")


def test_long(room: Path) -> None:
    """-l shows mode, owner, size and time; --names has owners as the image's own files call them."""
    assert lines_of(room, "ls", "-l", "app:1:/bin") == [
        "-rwsr-xr-x  5  6  5  2023-11-14 22:13  same",
        "-rwsr-xr-x  5  6  5  2023-11-14 22:13  tool",
    ]
    assert lines_of(room, "ls", "-l", "--names", "app:1:/bin/tool") == [
        "-rwsr-xr-x  app  6  5  2023-11-14 22:13  /usr/bin/tool"
    ]


def test_layers(room: Path) -> None:
    """--layers shows which layer has a file, and what made that."""
    assert lines_of(room, "ls", "--layers", "app:1:/etc") == ["2  os-release  layer 1", "1  passwd      layer 0"]


def test_json(room: Path) -> None:
    """Programs get every fact, and names exactly."""
    rows = {entry["path"]: entry for entry in json_of(room, "ls", "-R", "app:1")}
    assert rows["/usr/bin/tool"] | rows["/usr/bin/same"] == {**rows["/usr/bin/same"]}
    assert rows["/usr/bin/same"]["hardLinkTo"] == "/usr/bin/tool"
    assert (rows["/usr/bin/tool"]["mode"], rows["/usr/bin/tool"]["layer"]) == ("4755", 1)
    assert "/new\x1b[31mname\n" in rows


def test_what_is_not_there(room: Path) -> None:
    """A missing path is exit code 5, and the nearest name is suggested; so is a missing image."""
    with pytest.raises(ImageError) as caught:
        lines_of(room, "ls", "app:1:/ect")
    assert (caught.value.hint, caught.value.exit_code) == ("did you mean /etc?", 5)
    with pytest.raises(ImageError, match="there is no image 'ap:1' in the store"):
        lines_of(room, "ls", "ap:1:/etc")


def test_no_store_is_made(tmp_path: Path) -> None:
    """Looking for what is not there makes no store, not even in an empty directory."""
    (tmp_path / "store").mkdir()
    with pytest.raises(ImageError):
        lines_of(tmp_path, "ls", "app")
    assert list((tmp_path / "store").iterdir()) == []


def test_images_of_other_places(room: Path) -> None:
    """A layout is looked into by its transport, and the store knows nothing of it afterwards."""
    (room / "store").rename(room / "other")
    assert lines_of(room, "ls", f"oci:{room / 'app-1'}:/etc") == ["os-release", "passwd"]
    assert lines_of(room, "ls", "oci:app-1:latest:/etc") == ["os-release", "passwd"]
    assert not (room / "store").exists()


def test_the_platform_that_is_asked_for(room: Path) -> None:
    """An image for another platform than is asked for is refused, wherever it is."""
    for name in ("app:1", "oci:app-1"):
        with pytest.raises(ImageError, match="there is no image for linux/s390x"):
            lines_of(room, "ls", "--platform", "linux/s390x", name)


def test_a_terminal_is_obeyed(room: Path) -> None:
    """On a narrow terminal what made a layer is cut; nothing else goes to it, and nothing to standard error."""
    with terminal.opened(columns=24) as (ours, theirs), os.fdopen(os.dup(theirs), "w") as stream:
        who = replace(caller(room), stdout=stream, stderr=io.StringIO())
        run(["ls", "--layers", "app:1:/etc", "--root", str(room / "store")], who)
        assert terminal.read_now(ours).splitlines() == ["2  os-release  layer 1", "1  passwd      layer 0"]
        run(["ls", "-l", "--layers", "app:1:/etc", "--root", str(room / "store")], who)
        assert all(len(line) == 24 for line in terminal.read_now(ours).splitlines())
        assert remarked(who) == ""


def test_twenty_thousand_files(tmp_path: Path) -> None:
    """A large image is listed in about a second."""
    rows = [row("usr"), *(row(f"usr/d{n}") for n in range(200))]
    rows += [row(f"usr/d{n}/f{m}", "x") for n in range(200) for m in range(100)]
    store_image(tmp_path, layers=[rows])
    began_s = time.process_time()
    assert len(lines_of(tmp_path, "ls", "-lR", "app:1")) == 20_201
    assert time.process_time() - began_s < 2


@pytest.mark.clients
def test_the_same_as_umoci_unpacks(tmp_path: Path) -> None:
    """Kinds, modes, sizes, times and links are those that umoci puts on the disk."""
    if shutil.which("umoci") is None:
        pytest.skip("umoci is not installed")
    plain = [entry for entry in ODD if entry["path"] not in ("pipe", "usr/bin/tool", "usr/bin/same")]
    layout = store_image(tmp_path, layers=[[*plain, row("usr/bin/tool", "tool", mode="0750"), row("pipe", "")], ABOVE])
    subprocess.run(
        ["umoci", "raw", "unpack", "--rootless", "--image", f"{layout}:latest", str(tmp_path / "rootfs")], check=True
    )
    found = {
        "/" + os.path.relpath(os.path.join(directory, name), tmp_path / "rootfs")
        for directory, folders, files in os.walk(tmp_path / "rootfs")
        for name in (*folders, *files)
    }
    rows = {entry["path"]: entry for entry in json_of(tmp_path, "ls", "-R", "app:1")}
    assert set(rows) == found
    for path, entry in rows.items():
        status = os.lstat(f"{tmp_path}/rootfs{path}")
        if entry["type"] != "symlink":
            assert entry["mode"] == f"{stat.S_IMODE(status.st_mode):04o}"
        if entry["type"] == "file":
            assert entry["size"] == status.st_size

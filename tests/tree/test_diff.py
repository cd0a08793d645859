"""What a step changed, found on real overlays in a real user namespace."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from builder.errors import ImageError
from builder.tree.diff import changes
from builder.tree.inode import OVERLAY_OPAQUE, OWNER_XATTR
from tests.tree import inside
from tests.tree.trees import changed, overlay, sh, shown, step

pytestmark = pytest.mark.kernel

BASE = """
mkdir -p d/sub tmp empty; echo a > d/a; echo b > d/sub/b; ln -s a d/link; echo h > h1; ln h1 h2; chmod 1777 tmp
echo t > t1; touch -d @9 t1; cp -p t1 t2; chmod 0 d/sub/b; touch -d @1000000000.5 d/a
"""
CASES = [
    pytest.param("echo x > d/sub/x", ["d d", "d d/sub", "f d/sub/x"], id="a new file comes with its parents"),
    pytest.param("true", [], id="nothing changed"),
    pytest.param("touch tmp/x; rm tmp/x", [], id="a file that came and went leaves nothing, not even a whiteout"),
    pytest.param("chown 5 d/a; chown 0 d/a; chmod 600 d/sub; chmod 755 d/sub", [], id="a change taken back is none"),
    pytest.param("cp -p d/a t; cat t > d/a; rm t; touch -d @1000000000.5 d/a", [], id="equal content again is none"),
    pytest.param(
        "printf z > t; dd if=t of=d/a conv=notrunc status=none; touch -d @1000000000.5 d/a; rm t",
        ["d d", "f d/a"],
        id="other content of the same size and time is a change",
    ),
    pytest.param("touch -d @5 d/a", ["d d", "f d/a"], id="a file's time is a change"),
    pytest.param("touch -d @5 d", [], id="a directory's time alone is not"),
    pytest.param("chmod 700 d", ["d d"], id="a directory's mode is, and its content stays out"),
    pytest.param("chmod 700 .", ["d "], id="so is the root's"),
    pytest.param("chown -h 7:8 d/link", ["d d", "l d/link->a"], id="a link's owner is"),
    pytest.param("rm d/a", ["d d", "w d/a"], id="a removed file"),
    pytest.param("rm -r d", ["w d"], id="a removed directory is one whiteout"),
    pytest.param("rm -r d; mkdir d", ["d d", "o d"], id="a directory made anew hides the old one"),
    pytest.param("rm -r d; mkdir d; echo a > d/a", ["d d", "o d", "f d/a"], id="and holds only what is new"),
    pytest.param("rmdir empty; mkdir empty", [], id="over an empty one there is nothing to hide"),
    pytest.param("mkdir n; touch n/f; rm n/f", ["d n"], id="a new directory hides nothing"),
    pytest.param("rm -r d; echo flat > d", ["f d"], id="a directory becomes a file"),
    pytest.param("rm h1; mkdir -p h1/x", ["d h1", "d h1/x"], id="a file becomes a directory"),
    pytest.param(
        "rm d/link; mkdir d/link; touch d/link/f", ["d d", "d d/link", "f d/link/f"], id="a link becomes a directory"
    ),
    pytest.param("echo z > z; ln z y", ["f y", "h z->y"], id="two names of a new file"),
    pytest.param("ln d/a z", ["d d", "f d/a", "h z->d/a"], id="a new name of an old file takes the file along"),
    pytest.param("echo x >> h1", ["f h1"], id="a changed name of two"),
    pytest.param("ln -f t1 t2", ["f t1", "h t2->t1"], id="two equal files become one"),
    pytest.param("ln -s x s1; ln -P s1 s2", ["l s1->x", "h s2->s1"], id="two names of a link"),
    pytest.param("mkfifo p", ["p p"], id="a fifo"),
    pytest.param(
        "rm d/sub/b d/a; touch d/0",
        ["d d", "w d/a", "f d/0", "d d/sub", "w d/sub/b"],
        id="whiteouts come before their siblings",
    ),
    pytest.param("mkdir 'a'; touch a-b a/b a.b", ["d a", "f a/b", "f a-b", "f a.b"], id="parents before children"),
]


@pytest.mark.parametrize(("script", "expected"), CASES)
def test_changes(tmp_path: Path, script: str, expected: list[str]) -> None:
    """A step's change is in the layer, and nothing else is."""
    assert inside.run(changed, tmp_path, BASE, script) == expected


def _second_step(directory: Path, script: str) -> list[str]:
    """What a second step over the first one's snapshot changes."""
    upper, lower = step(directory, BASE, "rm -r d; mkdir d; rm h1; mkdir -p n/m")
    second = directory / "second"
    with overlay(directory, [upper, lower], second) as merged:
        sh(merged, script)
    return shown(changes(str(second), (str(upper), str(lower))))


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param("touch d/x; rm d/x", [], id="what an opaque directory hides needs no whiteout"),
        pytest.param("mkdir d/sub", ["d d", "d d/sub"], id="what it hides is no partner either"),
        pytest.param("echo h > h1", ["f h1"], id="what was removed before is new"),
        pytest.param("rmdir n/m", ["d n", "w n/m"], id="what the first step made can be removed"),
        pytest.param("rm -r d; mkdir d", [], id="an empty directory made anew"),
    ],
)
def test_over_a_stack(tmp_path: Path, script: str, expected: list[str]) -> None:
    """Whiteouts and opaque directories of lower trees hold when a later step is compared with them."""
    assert inside.run(_second_step, tmp_path, script) == expected


def _with_socket(directory: Path) -> list[str]:
    upper, lower = step(directory, "echo x > sock", "rm sock")
    os.unlink(upper / "sock")
    for name in ("sock", "other"):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(upper / name))
    return shown(changes(str(upper), (str(lower),)))


def test_sockets(tmp_path: Path) -> None:
    """A socket is in no layer; where it took a file's place the file is gone."""
    assert inside.run(_with_socket, tmp_path) == ["w sock"]


def _attributes(directory: Path) -> list[object]:
    upper, lower = step(directory, "mkdir d", "touch f d/g; chown 3:4 f")
    os.setxattr(upper / "f", "user.kept", b"\x00\xff")
    os.setxattr(upper / "f", "user.overlay.origin", b"x")
    os.setxattr(upper / "d" / "g", OWNER_XATTR, b"70:80")
    os.setxattr(upper / "d", OWNER_XATTR, b"99:0x1")
    return [
        [str(entry.path), entry.uid, entry.gid, [[k, v.hex()] for k, v in entry.xattrs]]
        for entry, _ in changes(str(upper), (str(lower),))
    ]


def test_attributes(tmp_path: Path) -> None:
    """user.* is kept; overlay's marks and ours are stripped, and ours means nothing where there are ids to give."""
    assert inside.run(_attributes, tmp_path) == [
        ["b'd'", 0, 0, []],
        ["b'd/g'", 0, 0, []],
        ["b'f'", 3, 4, [["user.kept", "00ff"]]],
    ]


def _owner_marks(directory: Path) -> list[object]:
    upper, lower = step(directory, "true", "mkdir d; touch d/g")
    os.setxattr(upper / "d" / "g", OWNER_XATTR, b"70:80")
    os.setxattr(upper / "d", OWNER_XATTR, b"99:0x1")
    return [[str(entry.path), entry.uid, entry.gid] for entry, _ in changes(str(upper), (str(lower),))]


def test_owner_marks_of_a_single_id(tmp_path: Path) -> None:
    """On the single-id rung our owner mark is obeyed, unless it is nonsense."""
    assert inside.run_with_single_id(_owner_marks, tmp_path) == [["b'd'", 0, 0], ["b'd/g'", 70, 80]]


def _owner_mark_taken_back(directory: Path) -> list[str]:
    lower, upper = directory / "lower", directory / "upper"
    for each in (lower, upper):
        each.mkdir()
        (each / "f").write_text("same")
        os.utime(each / "f", ns=(5, 5))
        os.setxattr(each / "f", OWNER_XATTR, b"7:7")
        (each / "g").write_text("same")
        os.utime(each / "g", ns=(5, 5))
    os.setxattr(upper / "g", OWNER_XATTR, b"7:7")
    return shown(changes(str(upper), (str(lower),)))


def test_owner_mark_counts_as_the_owner(tmp_path: Path) -> None:
    """On the single-id rung two files differ in owner where their marks do, and only there."""
    assert inside.run_with_single_id(_owner_mark_taken_back, tmp_path) == ["f g"]


def test_owner_mark_means_nothing_where_there_are_owners(tmp_path: Path) -> None:
    """With a range of ids a step that marks its own file as root's gets no such layer."""
    assert inside.run(_owner_mark_taken_back, tmp_path) == []


def _deep(directory: Path, depth: int) -> list[str]:
    upper = directory / "upper"
    upper.mkdir()
    here = os.getcwd()
    try:
        os.chdir(upper)
        for _ in range(depth):
            os.mkdir("d" * 100)
            os.chdir("d" * 100)
    finally:
        os.chdir(here)
    try:
        return [str(len(line)) for line in shown(changes(str(upper), ()))][-1:]
    except ImageError as error:
        return [error.message]


@pytest.mark.parametrize(("depth", "expected"), [(39, "3940"), (60, "a path of 4039 bytes")])
def test_depth(tmp_path: Path, depth: int, expected: str) -> None:
    """Directories may be as deep as anyone can unpack; deeper ones are one clear error."""
    assert inside.run(_deep, tmp_path, depth)[0].startswith(expected)


def _copied_up_mark(directory: Path) -> list[str]:
    base, top, upper = directory / "base", directory / "top", directory / "upper"
    for each in (base, top):
        (each / "d").mkdir(parents=True)
        (each / "d" / each.name).touch()
    for mark in (OVERLAY_OPAQUE, "user.fuseoverlayfs.opaque"):
        os.setxattr(top / "d", mark, b"y")
    with overlay(directory, [top, base], upper) as merged:
        (merged / "d" / "new").touch()
    return shown(changes(str(upper), (str(top), str(base))))


def test_a_mark_that_was_copied_up_hides_nothing(tmp_path: Path) -> None:
    """The kernel copies fuse-overlayfs's mark up with its directory; the layer must not hide that directory's files."""
    assert inside.run(_copied_up_mark, tmp_path) == ["d d", "f d/new"]

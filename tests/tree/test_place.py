"""What the entries of a layer become on disk, over nothing, over each other and over lower trees."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from builder.errors import ImageError
from builder.tree.inode import OWNER_XATTR
from tests.tree.rawtar import (
    CHAR,
    END,
    FIFO,
    directory,
    file,
    hard_link,
    header,
    listing,
    pax,
    symlink,
    unpack,
)

WHITEOUT_A = file(b".wh.a")
OPAQUE_A = file(b"a/.wh..wh..opq")


def over(tmp_path: Path, below: bytes, tar: bytes) -> dict[str, str]:
    """What a layer becomes over another one."""
    lower = unpack(tmp_path, below + END, name="lower")
    return listing(unpack(tmp_path, tar + END, lower))


def alone(tmp_path: Path, tar: bytes) -> dict[str, str]:
    return listing(unpack(tmp_path, tar + END))


def refused(tmp_path: Path, tar: bytes, *lowers: Path) -> str:
    with pytest.raises(ImageError) as caught:
        unpack(tmp_path, tar + END, *lowers)
    return caught.value.message


def test_every_kind(tmp_path: Path) -> None:
    """Files, directories, links, hard links and FIFOs come out as they went in."""
    tar = (
        directory(b"./") + directory(b"d", 0o750) + file(b"d/f", b"text", 0o640) + symlink(b"l", b"d/f")
        + hard_link(b"h", b"d/f") + header(b"p", FIFO, mode=0o622) + file(b"\xff", b"odd")
    )  # fmt: skip
    root = unpack(tmp_path, tar + END)
    found = {"d": "dir", "d/f": "text", "h": "text", "l": "-> d/f", "p": "fifo", os.fsdecode(b"\xff"): "odd"}
    assert listing(root) == found
    assert (root / "h").samefile(root / "d" / "f")
    assert [stat.S_IMODE((root / name).stat().st_mode) for name in ("", "d", "d/f", "p")] == [
        0o755,
        0o750,
        0o640,
        0o622,
    ]


def test_modes_and_times(tmp_path: Path) -> None:
    """Special bits, locked modes and times to the nanosecond are kept, a directory's after it was filled."""
    times = [(b"mtime", b"1234567890.123456789")]
    tar = b"".join(
        (
            pax(times) + directory(b"d", 0o3555),
            pax(times) + file(b"d/f", b"x", 0o4711),
            pax(times) + symlink(b"d/l", b"f"),
            pax([(b"mtime", b"-1.5")]) + header(b"d/p", FIFO, mode=0),
            file(b"d/z", b"", 0),
        )
    )
    root = unpack(tmp_path, tar + END)
    seen = {name: (root / name).lstat() for name in ("d", "d/f", "d/l", "d/p", "d/z")}
    assert [seen[name].st_mtime_ns for name in ("d", "d/f", "d/l", "d/p")] == [1234567890123456789] * 3 + [-1500000000]
    assert [oct(stat.S_IMODE(seen[name].st_mode)) for name in ("d", "d/f", "d/p", "d/z")] == [
        "0o3555",
        "0o4711",
        "0o0",
        "0o0",
    ]


def test_umask_and_setgid_of_the_store(tmp_path: Path) -> None:
    """Neither the umask nor a setgid store gives anything to what is unpacked; the umask is as before afterwards."""
    tmp_path.chmod(0o2777)
    umask = os.umask(0o077)
    try:
        root = unpack(tmp_path, directory(b"d", 0o777) + file(b"f", b"", 0o666) + END)
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(umask)
    assert [oct((root / name).stat().st_mode & 0o7777) for name in ("", "d", "f")] == ["0o755", "0o777", "0o666"]


def test_xattrs(tmp_path: Path) -> None:
    """User attributes are set on files and directories, whatever the mode; a link, which can have none, loses them."""
    attribute = pax([(b"SCHILY.xattr.user.a", b"\0v\n")])
    tar = attribute + file(b"f", b"x", 0o400) + attribute + directory(b"d", 0o500) + attribute + symlink(b"l", b"f")
    root = unpack(tmp_path, tar + END)
    assert [os.getxattr(root / name, "user.a") for name in ("f", "d")] == [b"\0v\n"] * 2


def test_hostile_xattrs(tmp_path: Path) -> None:
    """Attributes that would speak to our overlay or store never reach the disk."""
    records = [(b"SCHILY.xattr." + name, b"y") for name in (b"user.overlay.opaque", b"user.overlay.whiteout",
               b"user.pybuild.owner", b"trusted.overlay.opaque", b"user.fuseoverlayfs.opaque")]  # fmt: skip
    root = unpack(tmp_path, pax(records) + directory(b"d") + pax(records) + file(b"f") + END)
    assert os.listxattr(root / "d") == os.listxattr(root / "f") == []


def test_devices_are_left_out(tmp_path: Path) -> None:
    """Device nodes, a forged whiteout among them, and further names of them are not made."""
    tar = header(b"null", CHAR, rdev=(1, 3)) + header(b"f", CHAR, rdev=(0, 0)) + hard_link(b"also", b"null")
    assert alone(tmp_path, tar + file(b"g")) == {"g": ""}


def test_last_entry_wins(tmp_path: Path) -> None:
    """Of several entries with one path the last one counts, whatever kinds they are."""
    kinds = {"file": file(b"x", b"1"), "dir": directory(b"x") + file(b"x/in", b"2"), "link": symlink(b"x", b"t"),
             "fifo": header(b"x", FIFO), "hard": hard_link(b"x", b"other")}  # fmt: skip
    outcome = {"file": {"x": "1"}, "dir": {"x": "dir", "x/in": "2"}, "link": {"x": "-> t"}, "fifo": {"x": "fifo"},
               "hard": {"x": "o"}}  # fmt: skip
    for first, one in kinds.items():
        for second, other in kinds.items():
            found = alone(tmp_path / f"{first}-{second}", file(b"other", b"o") + one + other)
            assert found == {"other": "o", **outcome[second]}, (first, second)


def test_directory_again(tmp_path: Path) -> None:
    """A directory that comes twice keeps what is in it and gets its last attributes."""
    root = unpack(tmp_path, directory(b"d", 0o700) + file(b"d/f", b"x") + directory(b"d", 0o711, mtime=5) + END)
    assert listing(root) == {"d": "dir", "d/f": "x"}
    assert ((root / "d").stat().st_mode & 0o777, (root / "d").stat().st_mtime) == (0o711, 5)


def test_replaced_file_of_a_hard_link(tmp_path: Path) -> None:
    """Replacing one name of a file leaves its other names alone."""
    tar = file(b"a", b"old") + hard_link(b"b", b"a") + file(b"a", b"new")
    assert alone(tmp_path, tar) == {"a": "new", "b": "old"}


def test_hard_link_to_itself(tmp_path: Path) -> None:
    """A hard link to its own name changes nothing."""
    assert alone(tmp_path, file(b"a", b"x") + hard_link(b"a", b"./a")) == {"a": "x"}


def test_hard_link_to_a_symlink(tmp_path: Path) -> None:
    """A hard link to a symbolic link is another name of the link, and not of what it points to."""
    assert alone(tmp_path, symlink(b"l", b"/etc/passwd") + hard_link(b"h", b"l")) == {
        "h": "-> /etc/passwd",
        "l": "-> /etc/passwd",
    }


def test_hard_link_to_nothing(tmp_path: Path) -> None:
    """A hard link to what is not there, is hidden, or is a directory is refused."""
    assert refused(tmp_path / "1", hard_link(b"h", b"nothing")) == "h is a hard link to nothing, which does not exist"
    lower = unpack(tmp_path, directory(b"d") + file(b"a", b"x") + END, name="lower")
    assert "does not exist" in refused(tmp_path / "2", WHITEOUT_A + hard_link(b"h", b"a"), lower)
    assert "is a directory" in refused(tmp_path / "3", hard_link(b"h", b"d"), lower)
    assert "is a directory" in refused(tmp_path / "4", directory(b"x") + hard_link(b"h", b"x"))


def test_missing_parents(tmp_path: Path) -> None:
    """Parents that a layer does not have are made: root's, 0755, of no time."""
    root = unpack(tmp_path, file(b"a/b/f", b"x") + END)
    assert listing(root) == {"a": "dir", "a/b": "dir", "a/b/f": "x"}
    status = (root / "a").stat()
    assert (status.st_mode & 0o7777, status.st_mtime_ns) == (0o755, 0)


def test_parents_of_lower_trees(tmp_path: Path) -> None:
    """Parents that a layer does not have get the attributes of the uppermost tree that has them."""
    records = [(b"SCHILY.xattr.user.k", b"v"), (b"mtime", b"7.000000007")]
    bottom = unpack(tmp_path, directory(b"a", 0o700) + directory(b"a/b", 0o711, mtime=9) + END, name="bottom")
    middle = pax([(b"mtime", b"3")]) + directory(b"./", 0o701) + pax(records) + directory(b"a", 0o1750)
    top = unpack(tmp_path, middle + END, bottom, name="middle")
    root = unpack(tmp_path, file(b"a/b/f") + END, top, bottom)
    seen = [(root / name).stat() for name in ("", "a", "a/b")]
    assert [(oct(each.st_mode & 0o7777), each.st_mtime_ns) for each in seen] == [
        ("0o701", 3 * 10**9),
        ("0o1750", 7 * 10**9 + 7),
        ("0o711", 9 * 10**9),
    ]
    assert os.getxattr(root / "a", "user.k") == b"v"


def test_below_a_file(tmp_path: Path) -> None:
    """Something below a file of this layer, or of a lower one, is refused."""
    assert (
        refused(tmp_path / "1", file(b"a") + file(b"a/b"))
        == "a is a file and no directory, but the layer has something below it"
    )
    lower = unpack(tmp_path, file(b"a") + END, name="lower")
    assert "a is a file and no directory" in refused(tmp_path / "2", file(b"a/b"), lower)


@pytest.mark.parametrize(
    ("target", "place"),
    [
        (b"/run", "run"),
        (b"../run", "run"),
        (b"../../../run", "run"),
        (b"lib/../../run/./", "run"),
        (b"/", ""),
        (b"deep/er", "var/deep/er"),
    ],
)
def test_parent_is_a_link(tmp_path: Path, target: bytes, place: str) -> None:
    """Below a link to a directory things go where the link leads, inside the root, whichever layer has the link."""
    link = directory(b"var") + directory(b"run") + symlink(b"var/run", target)
    where = f"{place}/x/pid".lstrip("/")
    one = alone(tmp_path / "1", link + file(b"var/run/x/pid", b"1"))
    assert one[where] == "1" and one["var/run"] == f"-> {target.decode()}"
    two = over(tmp_path / "2", link, file(b"var/run/x/pid", b"1"))
    assert two[where] == "1" and "var/run" not in two


def test_links_of_links(tmp_path: Path) -> None:
    """Links are followed through links, and through several layers."""
    bottom = unpack(tmp_path, directory(b"real", 0o700) + symlink(b"a", b"b") + END, name="bottom")
    middle = unpack(tmp_path, symlink(b"b", b"/c/../d") + END, bottom, name="middle")
    root = unpack(tmp_path, symlink(b"d", b"real") + file(b"a/f", b"x") + END, middle, bottom)
    assert listing(root) == {"d": "-> real", "real": "dir", "real/f": "x"}
    assert (root / "real").stat().st_mode & 0o777 == 0o700


def test_loop_of_links(tmp_path: Path) -> None:
    """A loop of links is refused."""
    assert "too many symbolic links" in refused(tmp_path, symlink(b"a", b"b") + symlink(b"b", b"a") + file(b"a/f"))


def test_link_replaced_on_the_way(tmp_path: Path) -> None:
    """A link counts as it is when an entry comes: before and after it is replaced things go to different places."""
    lower = directory(b"one") + directory(b"two") + symlink(b"l", b"one")
    assert over(tmp_path / "1", lower, file(b"l/f", b"1") + symlink(b"l", b"two") + file(b"l/f", b"2")) == {
        "l": "-> two", "one": "dir", "one/f": "1", "two": "dir", "two/f": "2"}  # fmt: skip
    assert over(tmp_path / "2", lower, file(b"l/f", b"1") + directory(b"l") + file(b"l/f", b"2")) == {
        "l": "dir", "l/f": "2", "one": "dir", "one/f": "1"}  # fmt: skip
    assert over(tmp_path / "3", lower, file(b"l/f", b"1") + file(b".wh.l") + file(b"l/f", b"2")) == {
        "l": "dir opaque", "l/f": "2", "one": "dir", "one/f": "1"}  # fmt: skip
    tar = symlink(b"l", b"one") + file(b"l/f", b"1") + symlink(b"l", b"two") + file(b"l/f", b"2")
    assert alone(tmp_path / "4", tar) == {"l": "-> two", "one": "dir", "one/f": "1", "two": "dir", "two/f": "2"}


def test_directory_over_a_link(tmp_path: Path) -> None:
    """A directory where a lower tree has a link to one is a new directory."""
    found = over(
        tmp_path, directory(b"real") + file(b"real/f") + symlink(b"a", b"real"), directory(b"a") + file(b"a/g")
    )
    assert found == {"a": "dir", "a/g": ""}


def test_whiteout(tmp_path: Path) -> None:
    """A whiteout is a device 0:0, under parents as they are below."""
    assert over(tmp_path, directory(b"d") + file(b"d/a"), file(b"d/.wh.a") + file(b".wh.x")) == {
        "d": "dir",
        "d/a": "gone",
        "x": "gone",
    }


@pytest.mark.parametrize("order", [1, -1])
def test_whiteout_beside_its_own_layer(tmp_path: Path, order: int) -> None:
    """A whiteout hides lower trees only: what the same layer has there stays, in whatever order they come."""
    lower = directory(b"a") + file(b"a/old")

    def both(*parts: bytes) -> bytes:
        return b"".join(parts[::order])

    assert over(tmp_path / "1", lower, both(WHITEOUT_A, file(b"a", b"new"))) == {"a": "new"}
    assert over(tmp_path / "2", lower, both(WHITEOUT_A, directory(b"a"))) == {"a": "dir opaque"}
    assert over(tmp_path / "3", lower, both(WHITEOUT_A, symlink(b"a", b"x"))) == {"a": "-> x"}
    assert over(tmp_path / "4", lower, both(WHITEOUT_A, file(b"a/new", b"x"))) == {"a": "dir opaque", "a/new": "x"}
    assert over(tmp_path / "5", lower, both(OPAQUE_A, file(b"a/new", b"x"))) == {"a": "dir opaque", "a/new": "x"}
    assert over(tmp_path / "6", lower, both(WHITEOUT_A, WHITEOUT_A)) == {"a": "gone"}


def test_hidden_directories_give_no_attributes(tmp_path: Path) -> None:
    """What is hidden gives a directory that is made in its place neither mode nor content."""
    lower = directory(b"a", 0o700) + directory(b"a/b", 0o700) + file(b"a/b/f", b"x")
    for number, hide in enumerate((WHITEOUT_A, OPAQUE_A)):
        where = tmp_path / str(number)
        base = unpack(where, lower + END, name="lower")
        root = unpack(where, hide + file(b"a/b/g", b"y") + END, base)
        assert listing(root) == {"a": "dir opaque", "a/b": "dir", "a/b/g": "y"}
        assert (root / "a" / "b").stat().st_mode & 0o777 == 0o755
        assert "does not exist" in refused(where / "link", hide + hard_link(b"h", b"a/b/f"), base)


def test_file_between_two_directories(tmp_path: Path) -> None:
    """A directory that was replaced and comes again shows nothing of lower trees."""
    tar = directory(b"a") + file(b"a/x") + file(b"a") + directory(b"a")
    assert over(tmp_path, directory(b"a") + file(b"a/old"), tar) == {"a": "dir opaque"}


def test_opaque_root(tmp_path: Path) -> None:
    """An opaque root hides every name of lower trees by itself, because overlay has no opaque roots."""
    bottom = unpack(tmp_path, file(b"a") + directory(b"d") + file(b"d/x") + file(b"gone") + END, name="bottom")
    middle = unpack(tmp_path, file(b".wh.gone") + file(b"m") + END, bottom, name="middle")
    root = unpack(tmp_path, file(b"d/new") + file(b".wh..wh..opq") + file(b"m", b"mine") + END, middle, bottom)
    assert listing(root) == {"a": "gone", "d": "dir opaque", "d/new": "", "m": "mine"}


def test_hard_link_into_a_lower_tree(tmp_path: Path) -> None:
    """The file of a lower tree that a hard link names is copied up with all it has, and linked."""
    records = [(b"SCHILY.xattr.user.k", b"v"), (b"mtime", b"1.5")]
    lower = unpack(
        tmp_path,
        directory(b"d", 0o711) + pax(records) + file(b"d/f", b"text", 0o640) + symlink(b"s", b"d") + END,
        name="lower",
    )
    root = unpack(tmp_path, hard_link(b"h", b"s/f") + hard_link(b"i", b"d/f") + END, lower)
    assert listing(root) == {"d": "dir", "d/f": "text", "h": "text", "i": "text"}
    status = (root / "h").stat()
    assert (status.st_nlink, status.st_mode & 0o777, status.st_mtime_ns) == (3, 0o640, 1_500_000_000)
    assert os.getxattr(root / "h", "user.k") == b"v"
    assert (root / "d").stat().st_mode & 0o777 == 0o711
    assert (lower / "d" / "f").stat().st_nlink == 1


def test_hard_link_to_a_link_or_fifo_of_a_lower_tree(tmp_path: Path) -> None:
    """Links and FIFOs of lower trees are copied up as what they are; nothing waits for the FIFO."""
    found = over(tmp_path, symlink(b"l", b"/t") + header(b"p", FIFO), hard_link(b"a", b"l") + hard_link(b"b", b"p"))
    assert found == {"a": "-> /t", "b": "fifo", "l": "-> /t", "p": "fifo"}


def test_many_directories(tmp_path: Path) -> None:
    """There may be more directories than descriptors, visited in any order, with hard links between them."""
    names = [b"d%d/e" % number for number in range(400)]
    tar = b"".join(file(name + b"/f", name) for name in names)
    tar += b"".join(hard_link(name + b"/g", names[-1 - at] + b"/f") for at, name in enumerate(names))
    found = alone(tmp_path, tar)
    assert len(found) == 1600 and found["d0/e/g"] == "d399/e"


def test_remembered_owner(tmp_path: Path) -> None:
    """Without the power to change owners, the owners of files and directories are remembered in an attribute."""
    if os.geteuid() == 0:
        pytest.skip("root changes the owner itself")
    tar = header(b"d", b"5", uid=0, gid=7, mode=0o500) + header(b"d/f", uid=33, gid=34, mode=0o4400) + file(b"mine")
    root = unpack(tmp_path, tar + END)
    assert [os.getxattr(root / name, OWNER_XATTR) for name in ("d", "d/f")] == [b"0:7", b"33:34"]
    assert os.listxattr(root / "mine") == []
    assert (root / "d" / "f").stat().st_mode & 0o7777 == 0o4400

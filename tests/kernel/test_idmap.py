"""Subordinate ranges and id maps: what is read, what is planned, what the kernel takes."""

from __future__ import annotations

import errno
import os
import signal
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.kernel.constants import CLONE_NEWUSER
from builder.kernel.idmap import (
    FULL_RANGE,
    IdMap,
    MapsRefused,
    SubRange,
    free_start,
    mapped,
    parse_ranges,
    plan_maps,
    read_map,
    read_ranges,
    usable,
    write_single,
    write_with_helpers,
)
from builder.kernel.syscalls import unshare

TEXT = """\
# a comment
ann:100000:65536
bob:165536:65536

1000:300000:10
ann:400000:1000
ann:broken
ann:1:2:3
ann:-5:10
ann:x:10
:5:5
ann:4294967290:100
ann:500000:0
"""


def test_ranges_are_found_by_name_and_by_number() -> None:
    """A user's lines are those with the name and those with the uid; the order is the file's."""
    expected = (SubRange(100000, 65536), SubRange(300000, 10), SubRange(400000, 1000))
    assert parse_ranges(TEXT, "ann", 1000) == expected
    assert parse_ranges(TEXT, "bob", 1001) == (SubRange(165536, 65536),)
    assert parse_ranges(TEXT, "eve", 1002) == ()


@given(st.text())
def test_any_text_is_a_file_of_ranges(text: str) -> None:
    """What is not a range is passed over, never an error."""
    for span in parse_ranges(text, "ann", 1000):
        assert span.count > 0


def test_a_user_without_a_name_owns_no_line_without_an_owner() -> None:
    """`:5:5` belongs to nobody, also when the passwd file does not know us."""
    assert parse_ranges(TEXT, "", 7) == ()


def test_a_missing_or_unreadable_file_gives_nothing(tmp_path: Path) -> None:
    """No /etc/subuid, a directory in its place, and bytes that are not UTF-8 are no errors."""
    assert read_ranges(tmp_path / "missing", "ann", 1000) == ()
    assert read_ranges(tmp_path, "ann", 1000) == ()
    (tmp_path / "subuid").write_bytes(b"\xff\xfe:1:1\nann:100000:65536\n")
    assert read_ranges(tmp_path / "subuid", "ann", 1000) == (SubRange(100000, 65536),)


def test_a_new_range_begins_where_nobody_has_one(tmp_path: Path) -> None:
    """The remedy names ids after all that are given away in either file, and never less than 100000."""
    (tmp_path / "subuid").write_text("bob:1000:10\n")
    (tmp_path / "subgid").write_text(TEXT)
    assert free_start(tmp_path / "subuid") == 100000
    assert free_start(tmp_path / "subuid", tmp_path / "subgid") == 500000
    assert free_start(tmp_path / "missing") == 100000


def test_maps_put_our_own_id_first_and_ranges_after_it() -> None:
    """Inside, 0 is us, and 1 onwards are the ranges, one after the other."""
    ranges = (SubRange(100000, 65536), SubRange(400000, 1000))
    assert plan_maps(1000, ranges) == (IdMap(0, 1000, 1), IdMap(1, 100000, 65536), IdMap(65537, 400000, 1000))


def test_our_own_id_in_a_range_is_not_mapped_twice() -> None:
    """A range around our id is mapped without it: the kernel would refuse the whole map."""
    assert plan_maps(105, (SubRange(100, 10),)) == (IdMap(0, 105, 1), IdMap(1, 100, 5), IdMap(6, 106, 4))


def test_overlapping_ranges_are_cut() -> None:
    """Of ids that are given twice, the second time does not count."""
    assert usable(1, (SubRange(100, 10), SubRange(105, 10), SubRange(100, 10))) == (
        SubRange(100, 10),
        SubRange(110, 5),
    )


@given(
    st.integers(0, 2**32 - 2),
    st.lists(st.builds(SubRange, st.integers(0, 300), st.integers(1, 100)), max_size=8)
    | st.lists(st.builds(SubRange, st.integers(0, 2**31), st.integers(1, 2**31 - 1)), max_size=4),
)
def test_planned_maps_are_what_the_kernel_takes(own: int, ranges: list[SubRange]) -> None:
    """No id inside or outside occurs twice, insides have no gap, and no id is beyond 32 bits."""
    maps = plan_maps(own, ranges)
    assert maps[0] == IdMap(0, own, 1)
    inside = 0
    for line in maps:
        assert line.inside == inside
        assert line.count > 0
        inside += line.count
    assert inside <= 2**32 - 1
    outside = sorted((line.outside, line.outside + line.count) for line in maps)
    assert all(end <= start for (_, end), (start, _) in pairwise(outside))


def test_more_ranges_than_a_map_has_lines_are_left_out() -> None:
    """The kernel takes 340 lines; a user with more ranges uses the first ones."""
    assert len(plan_maps(1, [SubRange(1000 + 10 * n, 5) for n in range(1000)])) == 340


def test_the_map_in_force_is_read() -> None:
    """Our own map has at least our own id; a process that is not there has none."""
    maps = read_map(Path("/proc/self/uid_map"))
    assert any(line.inside <= os.getuid() < line.inside + line.count for line in maps)
    assert mapped(maps) >= 1
    assert read_map(Path("/proc/0/uid_map")) == ()


class Unshared:
    """A child that waits in a new user namespace without maps."""

    def __enter__(self) -> int:
        readable, writable = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                unshare(CLONE_NEWUSER)
                os.write(writable, b"x")
                signal.pause()
            finally:
                os._exit(1)
        os.close(writable)
        assert os.read(readable, 1) == b"x"
        os.close(readable)
        return self.pid

    def __exit__(self, *_: object) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def ranges_of(kind: str) -> tuple[SubRange, ...]:
    import pwd

    return read_ranges(Path(f"/etc/{kind}"), pwd.getpwuid(os.getuid()).pw_name, os.getuid())


@pytest.mark.kernel
def test_the_helpers_write_the_planned_maps() -> None:
    """newuidmap and newgidmap write exactly what was planned."""
    uid_maps = plan_maps(os.getuid(), ranges_of("subuid"))
    gid_maps = plan_maps(os.getgid(), ranges_of("subgid"))
    with Unshared() as pid:
        write_with_helpers(pid, "/usr/bin/newuidmap", uid_maps, "/usr/bin/newgidmap", gid_maps)
        assert read_map(Path(f"/proc/{pid}/uid_map")) == uid_maps
        assert read_map(Path(f"/proc/{pid}/gid_map")) == gid_maps
        assert mapped(uid_maps) > FULL_RANGE


@pytest.mark.kernel
def test_a_helper_that_refuses_is_quoted() -> None:
    """Ids that are not ours are refused by newuidmap, in its own words."""
    with Unshared() as pid, pytest.raises(MapsRefused, match="not allowed"):
        gid_maps = plan_maps(os.getgid(), ranges_of("subgid"))
        write_with_helpers(pid, "/usr/bin/newuidmap", (IdMap(0, 0, 1),), "/usr/bin/newgidmap", gid_maps)


@pytest.mark.kernel
def test_a_helper_that_is_gone_is_a_refusal() -> None:
    """A helper that vanished after it was found is not an unforeseen exception."""
    with Unshared() as pid, pytest.raises(MapsRefused, match="/nowhere/newuidmap"):
        write_with_helpers(pid, "/nowhere/newuidmap", (), "/usr/bin/newgidmap", ())


@pytest.mark.kernel
def test_a_helper_that_says_nothing_is_named() -> None:
    """A failure without words still says who failed."""
    with Unshared() as pid, pytest.raises(MapsRefused, match="/bin/false ended with status 1"):
        write_with_helpers(pid, "/bin/false", (), "/bin/true", ())


@pytest.mark.kernel
def test_a_single_id_is_mapped_without_help() -> None:
    """Only our own ids become 0; setgroups is denied for good."""
    with Unshared() as pid:
        write_single(pid, os.getuid(), os.getgid())
        assert read_map(Path(f"/proc/{pid}/uid_map")) == (IdMap(0, os.getuid(), 1),)
        assert read_map(Path(f"/proc/{pid}/gid_map")) == (IdMap(0, os.getgid(), 1),)
        assert Path(f"/proc/{pid}/setgroups").read_text() == "deny\n"


@pytest.mark.kernel
def test_the_kernels_refusal_is_not_lost() -> None:
    """Somebody else's id is EPERM, and the error number arrives."""
    with Unshared() as pid, pytest.raises(MapsRefused) as caught:
        write_single(pid, os.getuid() + 1, os.getgid())
    assert caught.value.errno == errno.EPERM

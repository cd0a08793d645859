"""The ladder: which rung the facts give, and what mends each thing that may be missing."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from builder.errors import MachineError
from builder.kernel.idmap import IdMap, SubRange
from builder.kernel.namespace import Facts, Helper, Power, decide, explain, gather, helper_failure, probe, single
from builder.values.crossing import Rung

RANGE = (SubRange(100000, 65536),)
GOOD = Facts(user="ann", uid_ranges=RANGE, gid_ranges=RANGE, install="sudo apt-get install uidmap")
REAL_ROOT = replace(GOOD, uid=0, gid=0, user="root", sys_admin=True, uid_ranges=(), gid_ranges=())
KEEP = "   (a line `{0}` in /etc/sysctl.d/99-pybuild.conf keeps it)"


def missing(name: str) -> Helper:
    return Helper(name, Power.MISSING)


def refused(facts: Facts, wanted: Rung | None = None) -> MachineError:
    with pytest.raises(MachineError) as caught:
        decide(facts, wanted)
    return caught.value


def test_a_range_is_taken_where_there_is_one() -> None:
    """With helpers and 65536 ids in both files the rung is RANGE, its maps are planned, and nothing is noted."""
    choice = decide(GOOD)
    assert choice.rung is Rung.RANGE
    assert choice.uid_maps == (IdMap(0, 1000, 1), IdMap(1, 100000, 65536))
    assert choice.gid_maps == (IdMap(0, 1000, 1), IdMap(1, 100000, 65536))
    assert choice.note == ""


def test_real_root_needs_no_user_namespace() -> None:
    """Root with all ids is on rung ROOT, whatever else is missing or switched off."""
    facts = replace(REAL_ROOT, newuidmap=missing("newuidmap"), sysctls=(("user.max_user_namespaces", 0),))
    choice = decide(facts)
    assert (choice.rung, choice.note, choice.uid_maps) == (Rung.ROOT, "", ())


def test_root_of_a_namespace_with_ids_enough_is_like_root() -> None:
    """In `podman unshare`, or a container with its own range, no further user namespace is made."""
    assert decide(replace(REAL_ROOT, mapped_uids=65536, mapped_gids=65537)).rung is Rung.ROOT


@pytest.mark.parametrize(
    "facts", [replace(REAL_ROOT, mapped_uids=1, mapped_gids=1), replace(REAL_ROOT, mapped_gids=65535)]
)
def test_a_root_without_ids_has_only_its_own(facts: Facts) -> None:
    """In `unshare -r` no file can give us a range: the ids are not there to be given."""
    choice = decide(replace(facts, uid_ranges=RANGE, gid_ranges=RANGE))
    assert choice.rung is Rung.SINGLE
    assert f"has only {facts.mapped_gids} id" in choice.note
    assert "outside of `unshare -r`" in choice.note


def test_a_root_without_power_climbs_like_anybody() -> None:
    """Root of an unprivileged container (no CAP_SYS_ADMIN) goes by its range or by its single id."""
    facts = replace(REAL_ROOT, sys_admin=False)
    assert decide(facts).rung is Rung.SINGLE
    assert decide(replace(facts, uid_ranges=RANGE, gid_ranges=RANGE)).rung is Rung.RANGE


@pytest.mark.parametrize(
    ("facts", "why", "remedy"),
    [
        (
            replace(GOOD, newuidmap=missing("newuidmap"), newgidmap=missing("newgidmap")),
            "newuidmap and newgidmap are not installed",
            "sudo apt-get install uidmap",
        ),
        (replace(GOOD, newgidmap=missing("newgidmap")), "newgidmap is not installed", "sudo apt-get install uidmap"),
        (
            replace(GOOD, newuidmap=Helper("/usr/bin/newuidmap", Power.PLAIN)),
            "/usr/bin/newuidmap is not setuid root",
            "sudo chmod u+s /usr/bin/newuidmap",
        ),
        (
            replace(GOOD, newuidmap=Helper("/opt/bin/newuidmap", Power.NOSUID)),
            "/opt/bin/newuidmap is on a file system mounted nosuid",
            "sudo mount -o remount,suid $(findmnt -n -o TARGET -T /opt/bin)",
        ),
        (replace(GOOD, no_new_privs=True), "no_new_privs is set", "--security-opt no-new-privileges=false"),
        (replace(GOOD, user=""), "uid 1000 has no entry in /etc/passwd", "sudo tee -a /etc/passwd"),
        (
            replace(GOOD, uid_ranges=(), gid_ranges=()),
            "/etc/subuid gives ann no ids and /etc/subgid gives ann no ids (65536 are needed)",
            "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ann",
        ),
        (
            replace(GOOD, gid_ranges=(), free_start=165536),
            "/etc/subgid gives ann no ids",
            "sudo usermod --add-subgids 165536-231071 ann",
        ),
        (
            replace(GOOD, uid_ranges=(SubRange(100000, 65535),), free_start=165535),
            "/etc/subuid gives ann 65535 ids",
            "sudo usermod --add-subuids 165535-231070 ann",
        ),
        (
            replace(GOOD, user="A B", uid_ranges=()),
            "no ids",
            "sudo usermod --add-subuids 100000-165535 'A B'",
        ),
    ],
)
def test_what_a_range_lacks_is_named_with_its_remedy(facts: Facts, why: str, remedy: str) -> None:
    """The ladder falls to SINGLE with a note of one line; a RANGE insisted on is an error with the same words."""
    choice = decide(facts)
    assert choice.rung is Rung.SINGLE
    assert choice.uid_maps == (IdMap(0, 1000, 1),)
    assert choice.gid_maps == (IdMap(0, 1000, 1),)
    assert why in choice.note
    assert remedy in choice.note.partition("; for a full range: ")[2]
    assert "\n" not in choice.note
    error = refused(facts, Rung.RANGE)
    assert why in error.message
    assert remedy in (error.hint or "")


def test_several_ranges_count_together() -> None:
    """Two halves are a whole; an id that is given twice, or is our own, counts once or not at all."""
    halves = (SubRange(100000, 32768), SubRange(200000, 32768))
    assert decide(replace(GOOD, uid_ranges=halves)).rung is Rung.RANGE
    assert decide(replace(GOOD, uid_ranges=(SubRange(100000, 40000),) * 2)).rung is Rung.SINGLE
    assert decide(replace(GOOD, uid=100005, uid_ranges=RANGE)).rung is Rung.SINGLE


def test_root_needs_no_setuid_helper() -> None:
    """What an ordinary user gets from the setuid bit, root has."""
    facts = replace(
        GOOD,
        uid=0,
        gid=0,
        user="root",
        newuidmap=Helper("/usr/bin/newuidmap", Power.PLAIN),
        newgidmap=Helper("/usr/bin/newgidmap", Power.NOSUID),
        no_new_privs=True,
    )
    assert decide(facts).rung is Rung.RANGE


@pytest.mark.parametrize("name", ["user.max_user_namespaces", "user.max_mnt_namespaces", "user.max_pid_namespaces"])
def test_namespaces_switched_off_leave_no_rung(name: str) -> None:
    """A limit of 0 is named, with the sysctl that mends it."""
    error = refused(replace(GOOD, sysctls=((name, 0),)))
    assert f"{name} = 0" in error.message
    assert error.hint == f"sudo sysctl -w {name}=15000" + KEEP.format(f"{name}=15000")


def test_debians_switch_leaves_no_rung() -> None:
    """kernel.unprivileged_userns_clone = 0 is named; at 1 it is no hindrance, and root's power goes beyond it."""
    name = "kernel.unprivileged_userns_clone"
    facts = replace(GOOD, sysctls=((name, 0),))
    error = refused(facts)
    assert f"{name} = 0" in error.message
    assert (error.hint or "").startswith(f"sudo sysctl -w {name}=1 ")
    assert decide(replace(GOOD, sysctls=((name, 1),))).rung is Rung.RANGE
    assert decide(replace(facts, sys_admin=True)).rung is Rung.RANGE


def test_a_rung_that_is_asked_for_is_given_or_refused() -> None:
    """SINGLE is possible for everybody and needs no note; ROOT only for root."""
    choice = decide(GOOD, Rung.SINGLE)
    assert (choice.rung, choice.note) == (Rung.SINGLE, "")
    assert decide(REAL_ROOT, Rung.SINGLE).rung is Rung.SINGLE
    assert decide(REAL_ROOT, Rung.ROOT).rung is Rung.ROOT
    assert refused(GOOD, Rung.ROOT).hint == "run it with sudo"


@pytest.mark.parametrize(
    ("facts", "call", "number", "message", "hint"),
    [
        (
            replace(GOOD, sysctls=(("kernel.apparmor_restrict_unprivileged_userns", 1),), seccomp=True),
            "mount",
            errno.EACCES,
            "AppArmor keeps programs without a profile from using user namespaces",
            "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        (
            replace(GOOD, seccomp=True),
            "unshare",
            errno.EPERM,
            "this container's seccomp filter forbids it",
            "--security-opt seccomp=unconfined",
        ),
        (
            replace(REAL_ROOT, seccomp=True),
            "unshare",
            errno.EPERM,
            "a mount namespace cannot be entered here",
            "--security-opt seccomp=unconfined",
        ),
        (replace(GOOD, chroot=True), "unshare", errno.EPERM, "inside a chroot", "run pybuild outside the chroot"),
        (
            replace(GOOD, sysctls=(("user.max_user_namespaces", 0),)),
            "unshare",
            errno.ENOSPC,
            "user.max_user_namespaces = 0",
            "sudo sysctl -w user.max_user_namespaces=15000",
        ),
        (
            replace(GOOD, sysctls=(("user.max_user_namespaces", 5),)),
            "unshare",
            errno.ENOSPC,
            "too many namespaces already (user.max_user_namespaces = 5)",
            "sudo sysctl -w user.max_user_namespaces=100000",
        ),
        (GOOD, "unshare", errno.EINVAL, "no user namespaces", "CONFIG_USER_NS=y"),
        (GOOD, "unshare", errno.ENOSYS, "unshare gives ENOSYS", "CONFIG_USER_NS=y"),
        (GOOD, "mount", errno.EPERM, "mount gives EPERM (Operation not permitted)", "dmesg"),
        (GOOD, "the id map", errno.EPERM, "the id map gives EPERM", "SELinux"),
    ],
)
def test_a_refusal_is_explained_by_the_facts(facts: Facts, call: str, number: int, message: str, hint: str) -> None:
    """The likeliest cause of a refused call is named, with what mends it."""
    error = explain(facts, call, number)
    assert message in error.message
    assert hint in (error.hint or "")


def test_a_helper_that_fails_unforeseen_keeps_its_words() -> None:
    """What newuidmap said is passed on; what to do depends on whose namespace we are in."""
    why, remedy = helper_failure(GOOD, "newuidmap: write to uid_map failed: Operation not permitted")
    assert why == "newuidmap: write to uid_map failed: Operation not permitted"
    assert "--cap-add SETUID" in remedy
    assert "(it has 1000)" in helper_failure(replace(GOOD, mapped_uids=1000), "x")[1]


def test_a_note_is_one_line() -> None:
    """Words of a helper that go over several lines are put on one."""
    assert single(GOOD, "a\nb\n  c").note == "only your own user id is available inside: a b c"


def test_the_machine_is_asked_and_left_as_it_is() -> None:
    """What is gathered here is this process's truth."""
    facts = gather()
    assert (facts.uid, facts.gid) == (os.geteuid(), os.getegid())
    assert facts.mapped_uids >= 1
    assert not facts.chroot
    assert all(isinstance(value, int) for _, value in facts.sysctls)


@pytest.mark.kernel
def test_this_machine_gives_its_ordinary_users_a_range() -> None:
    """The user that runs the tests stands on RANGE, and probing says so."""
    assert probe() is Rung.RANGE
    assert gather().newuidmap.power is Power.READY


def asked(prefix: list[str]) -> str:
    """The note that a process started with `prefix` would give."""
    code = "from builder.kernel.namespace import decide, gather; c = decide(gather()); print(c.rung, c.note, sep='|')"
    command = [*prefix, sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]).stdout


@pytest.mark.kernel
def test_no_new_privs_is_noticed() -> None:
    """Started by something that set no_new_privs, we know before newuidmap fails."""
    rung, note = asked(["setpriv", "--no-new-privs"]).split("|")
    assert rung == "single"
    assert "no_new_privs is set" in note


@pytest.mark.kernel
def test_a_namespace_with_one_id_is_noticed() -> None:
    """As root of `unshare -r` there is only one id, so it is not ROOT; a nested single id is what remains."""
    rung, note = asked(["unshare", "-r"]).split("|")
    assert rung == "single"
    assert "has only 1 id;" in note


@pytest.mark.kernel
def test_root_of_a_namespace_with_a_range_is_noticed() -> None:
    """With a whole range mapped already, no further user namespace is asked for."""
    map_all = ["unshare", "--map-auto", "-r"]
    if subprocess.run([*map_all, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this unshare(1) cannot map a range")
    assert asked(map_all).split("|")[0] == "root"

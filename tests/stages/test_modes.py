"""Tests of --chmod values, held against the chmod program where all chmods agree."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from builder.errors import BuildfileError
from builder.stages.modes import parse_mode
from tests.stages.plans import SPAN

OLD_MODES = [0o000, 0o644, 0o755, 0o700, 0o111, 0o4755, 0o2750, 0o6777, 0o200, 0o010, 0o064]

acts = st.one_of(
    st.tuples(st.sampled_from("+-="), st.text("rwxXs", max_size=4)),
    st.tuples(st.sampled_from("+-="), st.sampled_from("ugo")),
).map("".join)
clauses = st.tuples(st.text("ugoa", max_size=3), st.lists(acts, min_size=1, max_size=3).map("".join)).map("".join)
symbolic = st.lists(clauses, min_size=1, max_size=3).map(",".join)


def changed(text: str, mode: int, is_dir: bool = False) -> int:
    """The mode after --chmod=text."""
    return parse_mode(text, SPAN)(mode, is_dir)


def chmod(text: str, modes: list[int], room: Path) -> list[int]:
    """What the chmod program makes of files of these modes."""
    room.mkdir(exist_ok=True)
    paths = [room / str(number) for number in range(len(modes))]
    for path, mode in zip(paths, modes, strict=True):
        path.touch()
        path.chmod(mode)
    # Without a class a mode is cut by the umask, which is 0 where layers are made.
    subprocess.run(["chmod", "--", text, *map(str, paths)], check=True, umask=0, timeout=20)
    return [path.stat().st_mode & 0o7777 for path in paths]


@pytest.mark.skipif(shutil.which("chmod") is None, reason="there is no chmod")
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(symbolic)
def test_files_get_the_modes_that_chmod_gives(tmp_path: Path, text: str) -> None:
    """Symbolic modes do to files what the chmod program does, alone, in clauses and one after the other."""
    first_act = re.match(r"[ugoa]*[-+=][^-+=,]*", text)
    assert first_act is not None
    assume("X" not in text[first_act.end() :])  # an X after another change is below
    assert [changed(text, mode) for mode in OLD_MODES] == chmod(text, OLD_MODES, tmp_path / "files")


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("u=rwX,go=rX", 0o600, 0o644),
        ("u=rwX,go=rX", 0o700, 0o755),
        ("a-x,+X", 0o755, 0o755),  # BSD: X asks for the mode as it was; GNU's gives 0644
        ("=rw,+X", 0o755, 0o777),
        ("u+t", 0o644, 0o1644),  # BSD: sticky with any class but `o` alone; GNU's with `o` and `a` alone
        ("o+t", 0o644, 0o644),
        ("+t", 0o644, 0o1644),
        ("g=u-w", 0o664, 0o644),
        ("u+s,g+s", 0o755, 0o6755),
        ("a=", 0o7777, 0o1000),  # BSD: nothing but `t` takes sticky away
        ("-t", 0o7777, 0o6777),
        ("=t", 0o755, 0o1000),
        ("+x", 0o644, 0o755),
    ],
)
def test_the_rules_where_programs_differ_are_those_of_buildkit(text: str, old: int, new: int) -> None:
    """Symbolic modes on files, with the cases in which BSD's rules, which BuildKit has, are not GNU's."""
    assert changed(text, old) == new


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [("u=rwX,go=rX", 0o700, 0o755), ("go-w", 0o2775, 0o2755), ("g=rx", 0o2775, 0o755), ("a+X", 0o600, 0o711)],
)
def test_directories(text: str, old: int, new: int) -> None:
    """X makes every directory searchable; `=` sets all that the class has, setgid too."""
    assert changed(text, old, is_dir=True) == new


@pytest.mark.parametrize("text", ["0", "7", "644", "0644", "4755", "7777", "00000755"])
def test_octal(text: str) -> None:
    """Octal digits are the mode, whatever it was, of a directory as of a file."""
    for old in OLD_MODES:
        assert changed(text, old) == changed(text, old, is_dir=True) == int(text, 8)
    assert parse_mode(text, SPAN).fixed == int(text, 8)


def test_a_symbolic_mode_fixes_nothing() -> None:
    """What changes a mode gives none to directories that are made on the way."""
    assert parse_mode("u=rwx,go=", SPAN).fixed is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8",
        "10000",
        "0x1",
        "-1",
        "rwx",
        "u",
        "u=",
        "u=q",
        "u=rwx,",
        ",",
        "a+ug",
        "u=rw x",
        "$M",
        "u+x\n",
        "755\n",
        "٧",
    ],
)
def test_what_is_no_mode(text: str) -> None:
    """Anything else is refused at the instruction's place, except `u=`, which takes all away."""
    if text == "u=":
        assert changed(text, 0o4755) == 0o055
        return
    with pytest.raises(BuildfileError) as caught:
        parse_mode(text, SPAN)
    assert caught.value.span == SPAN


@given(symbolic, st.integers(0, 0o7777), st.booleans())
def test_a_mode_stays_a_mode(text: str, mode: int, is_dir: bool) -> None:
    """Whatever is done to it, a mode has no bits but the twelve."""
    assert 0 <= changed(text, mode, is_dir) <= 0o7777


def test_long_nonsense_is_refused_at_once() -> None:
    """A value of a megabyte costs nothing."""
    with pytest.raises(BuildfileError):
        parse_mode("u+rwx," * 200_000, SPAN)

"""Stages at the same time, by the command itself: what people see, how it is stopped, two builds beside each other."""

from __future__ import annotations

import re
import signal
import time
from itertools import permutations

import pytest

from tests.e2e.test_interrupt import assert_ends, assert_nothing_is_left, processes_with
from tests.kernel.processes import until
from tests.support.command import Pybuild

pytestmark = pytest.mark.kernel

LOCKED = "--mount=type=cache,id={0},sharing=locked,target=/{0}"


def _last(names: tuple[str, ...]) -> str:
    """A stage that needs all of these."""
    return "FROM scratch\n" + "".join(f"COPY --from={name} /etc/group /{name}\n" for name in names)


def _sleeping(pybuild: Pybuild, base: str) -> str:
    """Write a Buildfile of three stages that ignore signals and never end; the word that marks their processes."""
    marker = f"87{time.monotonic_ns() % 10**8:08}"
    names = ("a", "b", "c")
    stages = "".join(
        f"FROM {base} AS {name}\nRUN trap '' INT TERM; echo {name}; sleep {marker}; true\n" for name in names
    )
    pybuild.write("Buildfile", stages + _last(names))
    return marker


def test_ctrl_c(pybuild: Pybuild, busybox: str) -> None:
    """The steps of all stages end at once, and nothing of them is left."""
    marker = _sleeping(pybuild, busybox)
    process = pybuild.start(".")
    until(lambda: len(processes_with(f"sleep\0{marker}")) == 3, 20)
    process.send_signal(signal.SIGINT)
    text = assert_ends(process, 130)
    assert text.count("stopped by SIGINT") == 1 and "error" not in text
    assert_nothing_is_left(pybuild, marker, busybox)


def test_a_failure(pybuild: Pybuild, busybox: str) -> None:
    """One stage fails: the others' steps are ended and said to be stopped, one error is told, with its status."""
    marker = f"88{time.monotonic_ns() % 10**8:08}"
    meet = "--mount=type=cache,id=meet,target=/meet"
    wait = "until [ -e /meet/a ] && [ -e /meet/b ]; do sleep 0.05; done"
    stages = "".join(f"FROM {busybox} AS {n}\nRUN {meet} touch /meet/{n}; sleep {marker}\n" for n in ("a", "b"))
    failing = f"FROM {busybox} AS bad\nRUN {meet} {wait}; echo going; exit 9\n"
    pybuild.write("Buildfile", stages + failing + _last(("a", "b", "bad")))
    err = pybuild.run("--progress", "plain", ".", status=1).err
    assert re.search(r"^\[a 1/1\] stopped after", err, re.M) and re.search(r"^\[b 1/1\] stopped after", err, re.M)
    assert err.count("pybuild: ") == 1 and "exit code 9" in err and "Buildfile:6" in err
    listed = pybuild.run("builds").out.splitlines()
    kept = pybuild.run("builds", "show", listed[-1].split()[0]).out
    assert [line.split()[-1] for line in kept.splitlines() if "1/1]" in line] in _orders("stopped", "stopped", "failed")
    assert_nothing_is_left(pybuild, marker, busybox)


def _orders(*words: str) -> list[list[str]]:
    return [list(order) for order in permutations(words)]


def test_lines_are_never_mixed(pybuild: Pybuild, busybox: str) -> None:
    """Whatever stages write at the same time, each line is whole and behind its own stage's label."""
    names = ("a", "b", "c", "d")
    loop = "i=0; while [ $i -lt 300 ]; do printf {0}; printf {0}{0}; echo {0}$i; i=$((i+1)); done"
    stages = "".join(f"FROM {busybox} AS {name}\nRUN {loop.format(name * 9)}\n" for name in names)
    pybuild.write("Buildfile", stages + _last(names))
    err = pybuild.run("--progress", "plain", ".").err
    lines = [match.groups() for match in re.finditer(r"^\[(\w) 1/1\] \| (.*)$", err, re.M)]
    for name in names:
        assert [text for label, text in lines if label == name] == [f"{name * 36}{n}" for n in range(300)]


def test_two_builds_in_different_orders(pybuild: Pybuild, busybox: str) -> None:
    """Two builds on one store with the same stages and locks, in opposite orders, both come to their ends."""
    caches = [LOCKED.format(name) for name in ("x", "y")]
    stages = [
        f"FROM {busybox} AS s{n}\nRUN {' '.join(caches[:: 1 if n % 2 else -1])} echo {n} > /x/{n}\nRUN echo {n}\n"
        for n in range(4)
    ]
    names = tuple(f"s{n}" for n in range(4))
    pybuild.write("Buildfile", "".join(stages) + _last(names))
    pybuild.write("Other", "".join(stages[::-1]) + _last(names[::-1]))
    processes = [pybuild.start("-f", name, ".") for name in ("Buildfile", "Other")]
    for process in processes:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0, out.decode()
    pybuild.run("store", "check")


def test_one_at_a_time(pybuild: Pybuild, busybox: str) -> None:
    """--jobs 1 builds the stages in the order of the Buildfile; a word that is no number is refused."""
    names = ("a", "b")
    pybuild.write("Buildfile", "".join(f"FROM {busybox} AS {n}\nRUN echo {n}\n" for n in names) + _last(names))
    err = pybuild.run("--jobs", "1", "--progress", "plain", ".").err
    told = re.findall(r"^\[([ab]) 1/1\] (RUN|done)", err, re.M)
    assert told == [("a", "RUN"), ("a", "done"), ("b", "RUN"), ("b", "done")]
    assert "--jobs" in pybuild.run("--jobs", "many", ".", status=2).err

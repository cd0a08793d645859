"""Secrets in whole builds: on every rung they are where they were asked for, and nowhere else.

The store of `copy` is on an overlay of its own, where no other kind of root works; fuse-overlayfs, which no file system
here needs, is tried in tests/kernel/test_stepmounts.py.
"""

from __future__ import annotations

import base64
import os
import pty
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.kernel.agents import agent
from tests.kernel.processes import descendants, until
from tests.support.command import Pybuild

pytestmark = pytest.mark.kernel

VALUE = "tok/en+4711-of:ours~9"
NAMED = "named-S3CRET/value+0815"
LINES = "first-line-of-4711\nsecond-line-of-0815"
FORMS = [
    form
    for value in (VALUE, NAMED, *LINES.split("\n"))
    for form in (
        value,
        base64.b64encode(value.encode()).decode()[:-4],
        base64.b64encode(b"x" + value.encode()).decode()[2:-4],
        quote(value, safe="+") if "/" not in value else quote(value, safe=""),
        value.encode().hex(),
    )
]
MOUNTS = "--mount=type=secret,id=file --mount=type=secret,id=named,env=NAMED --mount=type=secret,id=lines,target=/l"
SHOW = "; ".join(
    (
        "cat /run/secrets/file /l",
        "echo $NAMED",
        "base64 < /run/secrets/file",
        "(echo -n x; cat /run/secrets/file) | base64",
        "od -An -v -tx1 /run/secrets/file | tr -d ' \\n'",
        "echo; sed 's,/,%2F,;s,+,%2B,;s,:,%3A,' /run/secrets/file; echo",
        "head -c 9 /run/secrets/file; sleep 0.2; tail -c +10 /run/secrets/file; echo",
        "grep -s . /proc/mounts | grep -c ramfs",
        "touch /made",
    )
)
AFTER = "RUN ls /run/secrets /l 2>/dev/null; env | grep -c NAMED; touch /after"

WAYS = {
    "range": "exec {command}",
    "single": "exec setpriv --no-new-privs {command}",
    "root": "{python} -m builder unshare {command}",
    "copy": "{python} -m builder unshare sh -c {inner}",
}
_OVERLAID = (
    "mkdir -p {store} {lower} {work} && mount -t overlay"
    " -o lowerdir={lower},upperdir={store},workdir={work},userxattr x {store} && "
)


NOTES = {"single": "only your own user id", "copy": "every step copies"}
"""What the command says of the way that it had to take."""


class Room:
    """A command with its secrets, on one of the ways to run steps."""

    def __init__(self, pybuild: Pybuild, way: str) -> None:
        self.pybuild, self.way = pybuild, way
        self.hidden = pybuild.room.parent / "hidden"
        self.hidden.mkdir()
        (self.hidden / "value").write_text(VALUE)
        (self.hidden / "lines").write_text(LINES)
        self.temporary = pybuild.room.parent / "tmp"
        self.temporary.mkdir()

    def argv(self, *words: str) -> list[str]:
        secrets = (f"id=file,src={self.hidden}/value", "id=named,env=NAMED", f"id=lines,src={self.hidden}/lines")
        given = [word for secret in secrets for word in ("--secret", secret)]
        command = shlex.join([*self.pybuild.argv("build", *given), *words])
        place = self.pybuild.room.parent
        mount = _OVERLAID.format(store=self.pybuild.store, lower=place / "lower", work=place / "work")
        text = WAYS[self.way].format(
            command=command,
            python=sys.executable,
            inner=shlex.quote(mount + command),
        )
        return ["sh", "-c", text]

    @property
    def env(self) -> dict[str, str]:
        more = {"NAMED": NAMED, "PYBUILD_DEBUG": "1", "TMPDIR": str(self.temporary), "TERM": "xterm"}
        return self.pybuild.env(more)

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.argv(*words), cwd=self.pybuild.room, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def run(self, *words: str) -> tuple[int, str]:
        process = self.start(*words)
        out, _ = process.communicate(timeout=120)
        return process.returncode, out.decode("utf-8", "backslashreplace")

    def assert_nothing_is_kept(self) -> None:
        """Nowhere below this directory but in the files that the secrets came from; read as the worker's root."""
        words = [word for form in FORMS for word in ("-e", form)]
        where = [str(path) for path in self.pybuild.room.parent.iterdir() if path != self.hidden]
        found = self.pybuild.run("unshare", "grep", "-rlaF", *words, *where, status=None)
        assert (found.status, found.out) == (1, ""), found.text


def assert_hidden(text: str) -> None:
    """No form of any of them, nor most of one."""
    for form in FORMS:
        assert form not in text, (form, text)


@pytest.fixture(params=WAYS)
def room(request: pytest.FixtureRequest, pybuild: Pybuild) -> Iterator[Room]:
    """Each way to run steps."""
    yield Room(pybuild, request.param)
    pybuild.run("unshare", "rm", "-rf", str(pybuild.room.parent / "work"), status=None)


@pytest.fixture
def plain(pybuild: Pybuild) -> Room:
    """The usual way."""
    return Room(pybuild, "range")


def test_a_build_that_works(room: Room, busybox: str) -> None:
    """The step sees its secrets and shows them; people, files, layers, records and metadata do not have them."""
    room.pybuild.write("Buildfile", f"FROM {busybox}\nRUN {MOUNTS} {SHOW}\n{AFTER}\n")
    status, text = room.run(
        "-t", "app:1", "--progress", "plain", "--metadata-file", "meta.json", "--iidfile", "iid", "."
    )
    assert status == 0, text
    assert [way for way, words in NOTES.items() if words in text] == [way for way in NOTES if way == room.way], text
    lines = [line.partition(" | ")[2] for line in text.splitlines() if "1/2] |" in line]
    assert lines[:2] == ["******", "******"], text  # not all of them end their line
    assert lines.count("***") >= 4 and lines[-1] == "2", text
    assert [line.partition(" | ")[2] for line in text.splitlines() if "2/2] |" in line] == ["0"]
    assert_hidden(text)
    room.assert_nothing_is_kept()


def test_a_build_that_fails(room: Room, busybox: str) -> None:
    """Nor has the error that ends it, with the last lines of the step."""
    room.pybuild.write("Buildfile", f"FROM {busybox}\nRUN {MOUNTS} {SHOW}; cp /run/secrets/file /kept; exit 9\n")
    status, text = room.run(".")
    assert status == 1 and "last output:" in text, text
    assert text.count("***") > 12
    assert "/kept" in text
    assert_hidden(text)
    room.assert_nothing_is_kept()


def test_a_leak(room: Room, busybox: str) -> None:
    """A step that would leave one in the image is refused on every way, and its tree is gone with it."""
    room.pybuild.write("Buildfile", f"FROM {busybox}\nRUN {MOUNTS} echo $NAMED | base64 > /etc/token\n")
    status, text = room.run("-t", "app:1", ".")
    assert status == 3, text
    assert "the secret 'named' would be in the image: /etc/token has its value, or a part of it, in base64" in text
    assert ">>> 2 | RUN" in text
    assert_hidden(text)
    room.assert_nothing_is_kept()
    assert room.pybuild.run("images", "--format", "json").out.strip() in ("[]", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_build_that_is_stopped(plain: Room, busybox: str, number: signal.Signals) -> None:
    """While it runs no process has a value on its command line; stopped, even by kill -9, it leaves none."""
    plain.pybuild.write("Buildfile", f"FROM {busybox}\nRUN {MOUNTS} cat /run/secrets/file; touch /up; sleep 8611\n")
    process = plain.start(".")
    below: list[int] = []

    def sleeping() -> bool:
        below[:] = [process.pid, *descendants(process.pid)]
        return any("8611" in _of(pid, "cmdline") and "sleep" in _of(pid, "cmdline")[:6] for pid in below)

    until(sleeping, 20)
    assert_hidden("".join(_of(pid, "cmdline") for pid in below))
    # Only the step itself has what it asked for as a variable, and the command where the variable came from. The shell
    # of busybox starts its own programs through /proc/self/exe, and the kernel calls them so for a moment.
    with_named = [pid for pid in below if NAMED in _of(pid, "environ")]
    assert all(
        Path(f"/proc/{pid}/comm").read_text().strip() in ("sh", "exe", "sleep", "python", "python3")
        for pid in with_named
    )
    assert not any(VALUE in _of(pid, "environ") for pid in below)
    plain.assert_nothing_is_kept()
    os.kill(next(pid for pid in below if "builder" in _of(pid, "cmdline")), number)
    out, _ = process.communicate(timeout=20)
    assert_hidden(out.decode())
    plain.assert_nothing_is_kept()


def _of(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace").replace("\0", " ")
    except OSError:
        return ""


def test_what_a_terminal_shows(plain: Room, busybox: str) -> None:
    """The live view hides them too."""
    plain.pybuild.write("Buildfile", f"FROM {busybox}\nRUN {MOUNTS} {SHOW}; sleep 0.5\n")
    us, them = pty.openpty()
    process = subprocess.Popen(plain.argv("."), cwd=plain.pybuild.room, env=plain.env, stdout=them, stderr=them)
    os.close(them)
    seen = bytearray()

    def read() -> None:
        try:
            while data := os.read(us, 1 << 16):
                seen.extend(data)
        except OSError:
            pass  # EIO: the other end is closed

    reader = threading.Thread(target=read)
    reader.start()
    assert process.wait(60) == 0, seen.decode()
    reader.join()
    os.close(us)
    assert b"***" in seen
    assert_hidden(seen.decode(errors="replace"))


def test_an_agent_is_only_in_its_mount(plain: Room, busybox: str, tmp_path: Path) -> None:
    """What goes through an ssh agent's socket, and where that is, stays between the step and the agent."""
    plain.pybuild.write("Buildfile", f"FROM {busybox}\nRUN --mount=type=ssh ls -l $SSH_AUTH_SOCK; touch /f\n{AFTER}\n")
    with agent(tmp_path / "agent", lambda _: VALUE.encode()) as socket:
        status, text = plain.run("--ssh", f"default={socket}", "-t", "a:1", ".")
        assert status == 0, text
        found = plain.pybuild.run("unshare", "grep", "-rlaF", str(socket), str(plain.pybuild.store), status=None)
        assert (found.status, found.out) == (1, "")
        assert "srw------- " in text


def test_a_variable_is_hidden_in_titles(plain: Room, busybox: str) -> None:
    """A value that a Buildfile or a build argument has too is hidden in the step's title, and refused in the image."""
    plain.pybuild.write("Buildfile", f"FROM {busybox}\nARG T\nRUN echo {VALUE} $T > /dev/null; touch /x\n")
    status, text = plain.run("--build-arg", f"T={NAMED}", ".")
    assert status == 3 and "would be in the image" in text, text
    assert_hidden(text.replace("%", ""))

"""The front door, as a process: streams, signals, exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from builder.cli import run
from tests.commands.built import build_into, make_context
from tests.commands.callers import caller, remarked
from tests.report import terminal

COMMAND = (sys.executable, "-m", "builder")


def _environment(directory: Path, **more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(directory), "PYBUILD_ROOT": str(directory / "store"), **more}


def _pybuild(directory: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words],
        cwd=directory,
        env=_environment(directory, **more),
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_build_from_the_shell(tmp_path: Path) -> None:
    """`pybuild -f Buildfile -t app:1 .` builds; results go to standard output only when asked for."""
    make_context(tmp_path)
    done = _pybuild(tmp_path, "-f", "Buildfile", "-t", "app:1", ".")
    assert done.returncode == 0 and done.stdout == ""
    assert done.stderr.splitlines()[-1].strip() == "look at it: pybuild inspect app:1"
    assert _pybuild(tmp_path, "inspect", "app:1").stdout.startswith("Name:")


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["--squash", "."], 2, "pybuild: --squash is not supported"),
        (["--memory", "lots", "."], 2, "pybuild: --memory: 'lots' is not a size"),
        ([], 2, "pybuild: the build context is missing"),
        (["nowhere"], 4, "pybuild: the build context nowhere does not exist"),
        (["inspect", "nothing"], 5, "pybuild: there is no image 'nothing' in the store"),
        (["store", "check"], 7, "pybuild: there is no store at "),
    ],
)
def test_exit_codes_and_first_lines(tmp_path: Path, words: list[str], code: int, line: str) -> None:
    """Each kind of failure has its exit code, and the message comes first, without a traceback."""
    done = _pybuild(tmp_path, *words)
    assert done.returncode == code
    assert done.stderr.startswith(line) and "Traceback" not in done.stderr
    assert done.stdout == ""


def test_an_error_in_a_buildfile_shows_its_place(tmp_path: Path) -> None:
    """The place with its neighbours comes before the message; the exit code is that of a BuildfileError."""
    make_context(tmp_path, "FROM scratch\nCOPPY a b\nCMD x\n")
    done = _pybuild(tmp_path, ".")
    assert done.returncode == 3
    assert ">>> 2 | COPPY a b" in done.stderr and "    3 | CMD x" in done.stderr


@contextmanager
def _waiting(directory: Path, *, ignored: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A pybuild that waits for a Buildfile on standard input; `ignored` is a signal that it inherits as ignored."""
    before = signal.signal(ignored, signal.SIG_IGN) if ignored else None
    process = subprocess.Popen(
        [*COMMAND, "-f", "-", "."],
        cwd=directory,
        env=_environment(directory),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    if ignored:
        signal.signal(ignored, before)
    try:
        _until(lambda: "pipe" in Path(f"/proc/{process.pid}/wchan").read_text(), process)
        yield process
    finally:
        process.kill()
        process.communicate()


def _until(ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end and process.poll() is None:
        if ready():
            return
        time.sleep(0.02)
    raise AssertionError("it never waited")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=["INT", "TERM", "HUP"]
)
def test_signals_stop_it(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """A signal ends the build with one line and 128 and its number."""
    with _waiting(tmp_path) as process:
        process.send_signal(number)
        _, text = process.communicate(timeout=20)
        assert process.returncode == code
        assert text.decode() == f"pybuild: stopped by {number.name}\n"


def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    """Under nohup a hang-up does not stop the build."""
    with _waiting(tmp_path, ignored=signal.SIGHUP) as process:
        process.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        assert process.poll() is None
        process.terminate()
        process.communicate(timeout=20)
        assert process.returncode == 143


def test_a_reader_that_has_enough(tmp_path: Path) -> None:
    """A closed pipe behind standard output ends the command quietly, as SIGPIPE would."""
    build_into(tmp_path / "store", tmp_path / "c", "app:1")
    reader, writer = os.pipe()
    os.close(reader)
    for words in (["images"], ["--help"]):
        done = subprocess.run(
            [*COMMAND, *words], env=_environment(tmp_path), stdout=writer, stderr=subprocess.PIPE, timeout=60
        )
        assert (done.returncode, done.stderr) == (141, b"")
    os.close(writer)


def test_a_full_disk_behind_standard_output(tmp_path: Path) -> None:
    """Results that cannot be written are one clear line and exit code 7."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, "images"], env=_environment(tmp_path), stdout=full, stderr=subprocess.PIPE, timeout=60
        )
    assert done.returncode == 7
    assert done.stderr.decode().startswith("pybuild: no space left") and b"Traceback" not in done.stderr


def test_a_build_whose_log_nobody_reads(tmp_path: Path) -> None:
    """A closed standard error does not stop a build."""
    make_context(tmp_path)
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*COMMAND, "-t", "app:1", "."], cwd=tmp_path, env=_environment(tmp_path), stderr=writer, timeout=60
    )
    os.close(writer)
    assert done.returncode == 0
    assert "app" in _pybuild(tmp_path, "images").stdout


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams(tmp_path: Path, closed: str) -> None:
    """A build without one of its standard streams works, and no file of the store takes the stream's place."""
    make_context(tmp_path)
    line = f'exec "$0" -m builder -t app:1 . {closed}'
    done = subprocess.run(["/bin/sh", "-c", line, sys.executable], cwd=tmp_path, env=_environment(tmp_path), timeout=60)
    assert done.returncode == 0
    assert "is sound" in _pybuild(tmp_path, "store", "check").stdout


def test_any_locale_will_do(tmp_path: Path) -> None:
    """A locale that says nothing of UTF-8 changes no name; what a stream's encoding lacks is written out."""
    make_context(tmp_path, "FROM scratch\nCOPY hello /größe\n")
    for more in ({"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "ascii:strict"}):
        done = _pybuild(tmp_path, "--no-cache", ".", **more)
        assert done.returncode == 0, done.stderr
        assert "COPY hello /gr\\xf6\\xdfe" in done.stderr


def test_a_locale_with_another_encoding(tmp_path: Path) -> None:
    """Where names of files would not be UTF-8 a build is refused with what to do; the rest works."""
    make_context(tmp_path)
    legacy = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = _pybuild(tmp_path, ".", **legacy)
    assert done.returncode == 6
    assert "encoding" in done.stderr and "LC_ALL=C.UTF-8 pybuild" in done.stderr
    assert _pybuild(tmp_path, "images", **legacy).returncode == 0


def test_a_current_directory_that_is_gone(tmp_path: Path) -> None:
    """Without a current directory there is one line and no traceback."""
    gone = tmp_path / "gone"
    gone.mkdir()
    line = 'rmdir "$PWD" && exec "$0" -P -m builder images'
    root = {**_environment(tmp_path), "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(["/bin/sh", "-c", line, sys.executable], cwd=gone, env=root, capture_output=True, timeout=60)
    assert done.returncode == 4
    assert done.stderr.startswith(b"pybuild: the current directory cannot be used")


def test_a_bug_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no PybuildError is called a bug, with its place and how to report it; the traceback on request."""

    def broken(*_: object) -> int:
        raise ValueError("surprise\x1b[31m\nand more")

    monkeypatch.setattr("builder.commands.app.run", broken)
    who = caller(tmp_path)
    assert run(["x"], who) == 70
    assert remarked(who).startswith("pybuild: internal error (this is a bug): ValueError: surprise (")
    assert "in broken)" in remarked(who) and "PYBUILD_DEBUG=1" in remarked(who)
    assert "Traceback" not in remarked(who)
    who = caller(tmp_path, {"PYBUILD_DEBUG": "1"})
    assert run(["x"], who) == 70
    assert remarked(who).startswith("Traceback") and "\x1b" not in remarked(who)


def test_no_room_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk that no room below has put in words is still no bug."""

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device", "/some/where")

    monkeypatch.setattr("builder.commands.app.run", full)
    who = caller(tmp_path)
    assert run(["x"], who) == 7
    assert remarked(who).startswith("pybuild: no space left on the device: /some/where\n")


def test_a_build_on_a_terminal(tmp_path: Path) -> None:
    """On a terminal the live view leaves a line for each step, and the terminal as it was."""
    make_context(tmp_path)
    environment = _environment(tmp_path, TERM="xterm", NO_COLOR="1")
    with terminal.opened(80, 24) as (ours, theirs):
        before = termios.tcgetattr(theirs)
        line = [*COMMAND, "-t", "app:1", "."]
        done = subprocess.run(line, cwd=tmp_path, env=environment, stdin=theirs, stderr=theirs, timeout=60)
        assert done.returncode == 0
        assert termios.tcgetattr(theirs) == before
        shown = terminal.read_now(ours)
    assert "1/2] COPY hello /hello" in shown and "Built app:1: " in shown
    assert "\x1b[?" not in shown  # no mode of the terminal was changed, so that none has to be restored


def test_start_up_is_light() -> None:
    """The front door imports neither click nor the heavy libraries before it needs them."""
    heavy = ("click", "requests", "pyroute2", "zstandard")
    line = f"import sys, builder.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n"


def test_a_cached_build_loads_what_it_needs(tmp_path: Path) -> None:
    """No message to a worker, no rule about registries, no compressor, no parser of TOML, no network."""
    make_context(tmp_path / "context")
    line = [
        sys.executable,
        "-X",
        "importtime",
        "-m",
        "builder",
        "--root",
        str(tmp_path / "store"),
        "-t",
        "a:1",
        "context",
    ]
    for _ in range(2):
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    loaded = {row.rpartition("|")[2].strip() for row in done.stderr.splitlines() if row.startswith("import time:")}
    assert "builder.pipeline" in loaded and "CACHED" in done.stderr
    ours = (
        "values.crossing",
        "values.registries",
        "oci.registries_conf",
        "stages.run",
        "commands.help",
        "commands.table",
    )
    others = ("socket", "ssl", "requests", "zstandard", "isal", "tomllib", "difflib")
    assert not loaded & {*(f"builder.{name}" for name in ours), *others}


def _base(directory: Path) -> Path:
    """A root file system with a shell and a few utilities of this machine."""
    script = Path(__file__).parent.parent / "Buildfile.examples" / "make-base"
    subprocess.run([script, directory / "base"], check=True, timeout=60)
    return directory / "base"


@pytest.mark.kernel
def test_a_step_that_fails(tmp_path: Path) -> None:
    """A failing RUN shows its place, the command, its status and its last output; nothing gets the image's name."""
    base = f"base={_base(tmp_path)}"
    text = "FROM base\nRUN echo before && \\\n    echo last words && exit 42\nCMD sh\n"
    context = make_context(tmp_path / "c", text)
    done = _pybuild(tmp_path, "--build-context", base, "-t", "app:1", "--iidfile", "iid", str(context))
    assert done.returncode == 1
    for line in (">>> 2 | RUN echo before && \\", ">>> 3 |     echo last words && exit 42", "    | last words"):
        assert line in done.stderr.splitlines()
    assert "42" in done.stderr and "command: " in done.stderr
    assert not (tmp_path / "iid").exists()
    assert "app" not in _pybuild(tmp_path, "images").stdout


@pytest.mark.kernel
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"])
def test_a_running_step_is_stopped_at_once(tmp_path: Path, number: int, code: int) -> None:
    """A signal during a RUN ends it and everything that it started, at once, and leaves the store sound."""
    seconds = str(10**8 + os.getpid())  # a command line that is nobody else's
    text = f"FROM base\nRUN sleep {seconds} & echo it runs; sleep {seconds}\n"
    line = [*COMMAND, "--build-context", f"base={_base(tmp_path)}", str(make_context(tmp_path / "c", text))]
    with subprocess.Popen(line, cwd=tmp_path, env=_environment(tmp_path), stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        seen = b""
        while b"| it runs" not in seen:
            part = process.stderr.read1(4096)  # type: ignore[attr-defined]  # a BufferedReader
            assert part, seen.decode()
            seen += part
        began = time.monotonic()
        process.send_signal(number)
        process.communicate(timeout=30)
        assert process.returncode == code
        assert time.monotonic() - began < 3
    time.sleep(0.2)
    assert not [pid for pid in os.listdir("/proc") if pid.isdigit() and seconds.encode() in _command_line(pid)]
    assert "is sound" in _pybuild(tmp_path, "store", "check").stdout


def _command_line(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.kernel
def test_secrets_in_output_are_hidden(tmp_path: Path) -> None:
    """A step that prints its secret does not show it, neither while it runs nor when it fails."""
    text = "FROM base\nRUN --mount=type=secret,id=t cat /run/secrets/t; exit 1\n"
    words = [
        "--build-context",
        f"base={_base(tmp_path)}",
        "--secret",
        "id=t,env=TOKEN",
        str(make_context(tmp_path / "c", text)),
    ]
    done = _pybuild(tmp_path, *words, TOKEN="s3cret-value")
    assert done.returncode == 1
    assert "s3cret" not in done.stderr and "***" in done.stderr

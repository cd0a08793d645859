"""RUN: what a command finds around it, what of it reaches people, and how it may end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from builder.errors import BuildfileError, MachineError, StepFailed, UsageError
from builder.values.crossing import NetworkMode
from builder.values.event import Event, StepOutput
from builder.values.request import Secret, Ulimit
from builder.values.security import Privileges
from tests.stages.builds import Bench, content
from tests.support.command import Pybuild
from tests.support.images import ReadImage, read_layout

pytestmark = pytest.mark.kernel


def _asked(bench: Bench, base: str, command: str, **asked: object) -> str:
    """What a command answers."""
    bench.build(f"FROM {base}\nRUN {command}\n", **asked)
    return bench.output


def test_the_environment(bench: Bench, busybox: str) -> None:
    """A command sees the image's ENV, the ARGs declared, PATH, HOME and HOSTNAME, and nothing of the caller's."""
    os.environ["LEAK"] = "leak"
    try:
        buildfile = f"FROM {busybox}\nENV A=1\nARG B=2\nARG C\nRUN env | sort\nUSER app\nRUN echo $HOME\n"
        bench.build(buildfile, build_args=(("B", "3"), ("C", "c c")))
    finally:
        del os.environ["LEAK"]
    lines = bench.output.splitlines()
    wanted = {"A=1", "B=3", "C=c c", "HOME=/root", "HOSTNAME=buildkitsandbox", "PATH=/bin"}
    assert wanted <= set(lines) and lines[-1] == "/home/app"
    assert {line.partition("=")[0] for line in lines[:-1]} - {"PWD", "SHLVL"} == {
        one.partition("=")[0] for one in wanted
    }


def test_what_a_command_may_do(bench: Bench, busybox: str) -> None:
    """Capabilities and no_new_privs are what the build was given; capabilities over a network need one of its own."""
    command = "grep -E 'CapEff|NoNew' /proc/self/status"
    fewer = Privileges(capabilities=("CHOWN", "NET_RAW"), no_new_privileges=True)
    answered = _asked(bench, busybox, command, privileges=fewer, network=NetworkMode.NONE).split()
    assert answered == ["CapEff:", "0000000000002001", "NoNewPrivs:", "1"]
    with pytest.raises(UsageError, match="NET_RAW: this step shares the network of the machine"):
        _asked(bench, busybox, command, privileges=fewer, network=NetworkMode.HOST)


def test_nested_sandboxes(bench: Bench, busybox: str) -> None:
    """A RUN with --security=nested makes a namespace of its own, where it is allowed."""
    assert _asked(bench, busybox, "--security=nested unshare -Ur id -u", allow=("security.nested",)) == "0\n"


def test_a_path_where_the_image_has_none(bench: Bench, busybox: str) -> None:
    """PATH has docker's default; an ENV or ARG of the Buildfile comes before it."""
    default = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    bench.build(
        f"FROM {busybox} AS b\nFROM scratch\nCOPY --from=b / /\nRUN echo $PATH\nENV PATH=/bin\nRUN echo $PATH\n"
    )
    assert bench.output == f"{default}\n/bin\n"


def test_proxies_are_shown_and_forgotten(bench: Bench, busybox: str) -> None:
    """A proxy is in the command's environment, in no key and no history."""
    buildfile = f"FROM {busybox}\nRUN echo $HTTP_PROXY\n"
    bench.build(buildfile, proxies=(("HTTP_PROXY", "http://user:pass@proxy"),))
    assert bench.output == "http://user:pass@proxy\n"
    image = bench.build(buildfile, proxies=(("HTTP_PROXY", "http://other"),))
    assert bench.cached and "proxy" not in str(image.config)


def test_hosts_and_names(bench: Bench, busybox: str) -> None:
    """On the host's network /etc/hosts has localhost, --add-host and the host's names, resolv.conf is the host's;
    neither is kept.
    """
    command = "cat /etc/hosts; echo --; cat /etc/resolv.conf; hostname"
    buildfile = f"FROM {busybox}\nRUN {command}\n"
    image = bench.build(buildfile, add_hosts=(("db", "10.1.2.3"),), network=NetworkMode.HOST)
    hosts, _, rest = bench.output.partition("--\n")
    assert "127.0.0.1\tlocalhost buildkitsandbox\n" in hosts and "10.1.2.3\tdb\n" in hosts
    own = [line for line in Path("/etc/hosts").read_text().splitlines() if line and not line.startswith("#")]
    assert set(own) <= set(hosts.splitlines())
    assert rest == Path("/etc/resolv.conf").read_text() + "buildkitsandbox\n"
    assert len(image.layers) == 1


def test_a_name_of_ones_own(bench: Bench, busybox: str) -> None:
    """BUILDKIT_SANDBOX_HOSTNAME names the step's host, and another name is another step."""
    command = "hostname; echo $HOSTNAME; grep localhost /etc/hosts | head -n 1"
    for name in ("one.example", "two"):
        args = (("BUILDKIT_SANDBOX_HOSTNAME", name),)
        assert _asked(bench, busybox, command, build_args=args) == f"{name}\n{name}\n127.0.0.1\tlocalhost {name}\n"


def test_hosts_are_part_of_the_key(bench: Bench, busybox: str) -> None:
    """Another --add-host is another step."""
    for address in ("10.0.0.1", "10.0.0.2"):
        assert _asked(bench, busybox, "grep 10.0 /etc/hosts", add_hosts=(("db", address),)) == f"{address}\tdb\n"


def test_no_network(bench: Bench, busybox: str) -> None:
    """With --network=none there is loopback and nothing else, and the host's names are not shown."""
    interfaces = "ls /sys/class/net; cut -d: -f1 -s /proc/net/dev | tr -d ' '"
    lines = _asked(bench, busybox, f"{interfaces}; wc -l </etc/hosts", network=NetworkMode.NONE).split()
    assert set(lines[:-1]) <= {"lo"} and lines[-1] == "2"
    loop = "(echo heard | nc -l -p 999 &); sleep 0.2; nc -w 2 127.0.0.1 999 </dev/null; ! nc -w 1 192.0.2.1 9"
    bench.build(f"FROM {busybox}\nRUN --network=none {loop}\n")
    assert "heard\n" in bench.output
    with_network = _asked(bench, busybox, interfaces, network=NetworkMode.HOST)
    assert set(with_network.split()) == set(os.listdir("/sys/class/net"))


def test_limits_reach_the_command(bench: Bench, busybox: str) -> None:
    """--ulimit and --memory hold inside."""
    limits = (Ulimit("nofile", 300, 400), Ulimit("fsize", 1 << 20, 1 << 20))
    out = _asked(bench, busybox, "ulimit -Sn; ulimit -Hn; ulimit -f; ulimit -c", ulimits=limits)
    assert out.split()[:2] == ["300", "400"] and out.split()[3] == "0"
    too_much = "dd if=/dev/zero of=/dev/null bs=300M count=1 2>/dev/null && echo fits || echo refused"
    assert _asked(bench, busybox, too_much, memory_bytes=64 << 20) == "refused\n"
    assert _asked(bench, busybox, "true && " + too_much) == "fits\n"
    bench.fails(StepFailed, f"FROM {busybox}\nRUN dd if=/dev/zero of=/f bs=1M count=3\n", ulimits=limits)


def test_a_failing_command(bench: Bench, busybox: str) -> None:
    """It is a StepFailed at its place, with the command, its status, and the last lines of what it said."""
    error = bench.fails(StepFailed, f"FROM {busybox}\nRUN seq 1 3000 && echo oh >&2 && \\\n    exit 7\n")
    assert isinstance(error, StepFailed)
    assert (error.status, error.tail[-2:], len(error.tail)) == (7, ("3000", "oh"), 12)
    assert error.span is not None and (error.span.first, error.span.last) == (2, 3)
    assert error.command.startswith("/bin/sh -c seq 1 3000")
    assert "exit code 7" in error.message


@pytest.mark.parametrize(
    ("command", "status", "words"),
    [
        ("kill -9 $$", 137, "signal 9"),
        ("kill -ABRT $$", 134, "signal 6"),
        ("no-such-program", 127, "exit code 127"),
        ("/etc/passwd", 126, "exit code 126"),
    ],
)
def test_how_commands_end(bench: Bench, busybox: str, command: str, status: int, words: str) -> None:
    """Ends by a signal, a missing program and one that cannot be run are told apart."""
    error = bench.fails(StepFailed, f"FROM {busybox}\nRUN sh -c '{command}'; exit $?\n")
    assert isinstance(error, StepFailed)
    assert error.status == status and words in error.message


def test_a_failed_step_is_not_remembered(bench: Bench, busybox: str) -> None:
    """It runs again in the next build; what it wrote is nowhere."""
    buildfile = f"FROM {busybox}\nRUN --mount=type=secret,id=s echo x >> /f; test -s /run/secrets/s\nRUN cat /f\n"
    bench.fails(StepFailed, buildfile)
    image = bench.build(buildfile, secrets=(Secret("s", b"x"),))
    assert content(image, "/f") == "x\n" and bench.problems() == []


def test_output_is_heard_while_it_comes(bench: Bench, busybox: str) -> None:
    """Output reaches people at once, in order, standard error too, whatever bytes it is."""
    times: list[float] = []

    def hear(event: Event) -> None:
        if isinstance(event, StepOutput):
            times.append(time.monotonic())

    bench.meanwhile = hear
    bench.build(f"FROM {busybox}\nRUN echo a; sleep 0.3; echo b >&2; printf 'c\\377'\n")
    data = b"".join(event.data for event in bench.events if isinstance(event, StepOutput))
    assert data == b"a\nb\nc\xff" and times[-1] - times[0] > 0.2


def test_much_output_is_whole(bench: Bench, busybox: str) -> None:
    """All of it arrives before the step ends, and only the end of it is kept for an error."""
    error = bench.fails(StepFailed, f"FROM {busybox}\nRUN seq 1 200000; false\n")
    assert isinstance(error, StepFailed)
    assert len(bench.output.splitlines()) == 200_000
    assert error.tail[-1] == "200000"


def test_a_daemon_left_behind(bench: Bench, busybox: str) -> None:
    """What a command leaves in the background ends with it and holds nobody up."""
    begun = time.monotonic()
    bench.build(f"FROM {busybox}\nRUN sleep 1000 & echo x > /f\n")
    assert time.monotonic() - begun < 4


def test_users(bench: Bench, busybox: str) -> None:
    """USER by name, number and group; the image's supplementary groups come along; a name that is not there fails."""
    asks = "id -u; id -g; id -G"
    for user, wanted in (("app", "1000 1000 1000 1007"), ("1000:7", "1000 7 7"), ("4242", "4242 0 0")):
        bench.build(f"FROM {busybox}\nUSER {user}\nRUN {asks}\n")
        assert " ".join(bench.output.split()) == wanted
    error = bench.fails(BuildfileError, f"FROM {busybox}\nUSER nobody-here\nRUN true\n")
    assert "nobody-here" in error.message and error.span is not None and error.span.first == 3


def test_scripts_with_a_shebang(bench: Bench, busybox: str) -> None:
    """A heredoc runs by its own interpreter, as the USER, and leaves nothing."""
    script = 'BEGIN { print "awk", ENVIRON["HOME"] }'
    image = bench.build(f"FROM {busybox}\nUSER app\nRUN <<e\n#!/bin/awk -f\n{script}\ne\n")
    assert bench.output == "awk /home/app\n" and len(image.layers) == 1


def _command(room: Path, store: Path | None = None) -> Pybuild:
    (room / "cli").mkdir()
    return Pybuild(room / "cli", store or room / "store")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_is_at_once(bench: Bench, busybox: str, number: signal.Signals) -> None:
    """A signal ends a sleeping step long before the time that its last output may take; the store is sound."""
    pybuild = _command(bench.room)
    pybuild.write("Buildfile", f"FROM {busybox}\nRUN echo here; sleep 60\n")
    process = pybuild.start(".")
    assert process.stdout is not None
    for line in process.stdout:
        if line.rstrip().endswith(b"here") and b"RUN" not in line:
            break
    begun = time.monotonic()
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode == 128 + number and time.monotonic() - begun < 2
    assert "is sound" in pybuild.run("store", "check").text


def test_sigkill_in_the_middle_of_a_step(bench: Bench, busybox: str) -> None:
    """After kill -9 the store is sound, no step lives on, and the same build again works from where it was."""
    pybuild = _command(bench.room)
    pybuild.write("go", "")
    pybuild.write(
        "Buildfile", f"FROM {busybox}\nRUN echo 1 > /a\nCOPY go /go\nRUN echo started; test -s /go || sleep 77777\n"
    )
    process = pybuild.start("-t", "x", ".")
    assert process.stdout is not None
    for line in process.stdout:
        if line.rstrip().endswith(b"started") and b"RUN" not in line:
            break
    process.kill()
    process.communicate(timeout=20)
    _until_gone(r"sleep\x0077777")
    assert "is sound" in pybuild.run("store", "check").text
    pybuild.write("go", "yes")
    again = pybuild.run("-t", "x", ".")
    assert "CACHED" in again.text and "is sound" in pybuild.run("store", "check").text


def _until_gone(pattern: str) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        found = [path for path in Path("/proc").glob("[0-9]*/cmdline") if re.search(pattern.encode(), _bytes(path))]
        if not found:
            return
        time.sleep(0.05)
    raise AssertionError(f"still there: {found}")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_two_builds_of_the_same_step_at_once(bench: Bench, busybox: str) -> None:
    """Two processes build the same thing in one store at the same time: both work, and the store is sound."""
    pybuild = _command(bench.room)
    pybuild.write("Buildfile", f"FROM {busybox}\nRUN sleep 0.5; date +%N > /a\nRUN cat /a > /b\n")
    processes = [pybuild.start("-t", f"x:{number}", ".") for number in range(2)]
    for process in processes:
        text, _ = process.communicate(timeout=60)
        assert process.returncode == 0, text
    assert "is sound" in pybuild.run("store", "check").text
    assert "CACHED" in pybuild.run("-t", "x:2", ".").text


def _single(pybuild: Pybuild, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command where newuidmap gets no privilege: on the rung of a single id."""
    return subprocess.run(
        ["setpriv", "--no-new-privs", *pybuild.argv(*words)],
        cwd=pybuild.room,
        env=pybuild.env(None),
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_another_user_on_a_single_id(bench: Bench, busybox: str) -> None:
    """Without a range a RUN as another user is refused at its place with what would give one."""
    pybuild = _command(bench.room)
    pybuild.write("Buildfile", f"FROM {busybox}\nRUN true\nUSER app\nRUN id\n")
    done = _single(pybuild, ".")
    assert done.returncode == MachineError.exit_code, done.stderr
    assert ">>> 4 | RUN id" in done.stderr and "1000" in done.stderr
    assert "hint:" in done.stderr and "Traceback" not in done.stderr


def test_a_single_id_gives_the_same_layers(bench: Bench, busybox: str) -> None:
    """A Buildfile that only root works in gives the same diff-ids on the rung of a single id as on that of a range."""
    buildfile = (
        f"FROM {busybox}\nCOPY --chown=5:6 go /home/app/go\nWORKDIR /w/d\n"
        "RUN echo x > /a; ln /a /b; ln -s a /c; mkfifo /p; rm /etc/group; chmod 4711 /a; mkdir -p /d/e\n"
        "RUN chmod g+w /home/app/go; rm -r /d; mkdir /d; echo y > /d/f; mv /home/app/go /home/app/gone\n"
    )
    words = ("--build-arg", "SOURCE_DATE_EPOCH=1000", "-o", "type=oci,dest=out", ".")
    images = []
    for name in ("full", "single"):
        (bench.room / name).mkdir()
        pybuild = _command(bench.room / name)
        pybuild.write("Buildfile", buildfile)
        os.utime(pybuild.write("go", "go"), (1, 1))
        if name == "full":
            pybuild.run(*words)
        else:
            done = _single(pybuild, *words)
            assert done.returncode == 0 and "only your own user id" in done.stderr, done.stderr
        images.append(read_layout(pybuild.room / "out"))
    full, single = images
    assert _rows(full) == _rows(single)
    assert full.diff_ids == single.diff_ids


def _rows(image: ReadImage) -> list[tuple[object, ...]]:
    return [
        (name, info.mode, info.uid, info.gid, info.mtime, info.type, info.linkname)
        for layer in image.layers
        for name, info, _ in layer
    ]


def test_the_tail_holds_only_whole_lines(bench: Bench, busybox: str) -> None:
    """What is left of a long line could be a piece of a secret: an error shows it whole or not at all."""
    command = "head -c 16380 /dev/zero | tr '\\0' x; echo s3cret-value; echo after; printf '\\377\\n'; exit 1"
    with pytest.raises(StepFailed) as caught:
        bench.build(f"FROM {busybox}\nRUN {command}\n")
    assert caught.value.tail == ("after", "\udcff")

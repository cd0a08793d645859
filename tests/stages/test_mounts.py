"""RUN --mount: what each kind shows to a command, and what stays of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.errors import ContextError, StepFailed
from builder.values.event import Event, StepStarted
from builder.values.request import Secret, SshAgent
from tests.kernel.agents import agent
from tests.stages.builds import Bench, content

pytestmark = pytest.mark.kernel


def test_the_context_is_shown(bench: Bench, busybox: str) -> None:
    """A bind shows the context as the ignore file leaves it, as root's, and keeps nothing in the layer."""
    bench.file("d/f", "text", 0o640)
    bench.file("d/hidden", "x")
    bench.file(".dockerignore", "**/hidden\n")
    image = bench.build(
        f"FROM {busybox}\nRUN --mount=type=bind,source=d,target=/c stat -c '%a %u %g' /c/f; ls -A /c; cat /c/f\n"
    )
    assert bench.output == "640 0 0\nf\ntext"
    assert len(image.layers) == 1


def test_a_bind_is_read_only_unless_asked(bench: Bench, busybox: str) -> None:
    """Writing needs rw, and is then forgotten; the host's files are never touched."""
    path = bench.file("f", "text")
    bench.fails(StepFailed, f"FROM {busybox}\nRUN --mount=type=bind,target=/c echo x > /c/f\n")
    bench.build(f"FROM {busybox}\nRUN --mount=type=bind,target=/c,rw echo x > /c/f && cat /c/f\n")
    assert bench.output == "x\n" and path.read_text() == "text"


def test_a_missing_source(bench: Bench, busybox: str) -> None:
    """It is named at the step's place, with the ignore file as a hint where that hides it."""
    bench.file("f", "1")
    bench.file(".dockerignore", "f\n")
    for name in ("f", "nothing"):
        error = bench.fails(ContextError, f"FROM {busybox}\nRUN true\nRUN --mount=source={name},target=/f true\n")
        assert f'"/{name}" not found' in error.message and error.span is not None and error.span.first == 3
        assert ("ignore file" in (error.hint or "")) is (name == "f")


def test_a_bound_file_that_changes(bench: Bench, busybox: str) -> None:
    """A file that changed after its digest went into the key is not shown to the step."""
    path = bench.file("f", "first")

    def exchange(event: Event) -> None:
        if isinstance(event, StepStarted):
            path.write_text("other")

    bench.meanwhile = exchange
    error = bench.fails(ContextError, f"FROM {busybox}\nRUN --mount=source=f,target=/f cat /f\n")
    assert "changed while it was read" in error.message and bench.output == ""


def test_a_stage_is_shown(bench: Bench, busybox: str) -> None:
    """A bind from a stage shows its files through its own links, and leads nowhere else."""
    stage = "RUN mkdir /real && echo in > /real/f && ln -s /real /link\n"
    bench.build(f"FROM {busybox} AS s\n{stage}FROM {busybox}\nRUN --mount=from=s,source=/link,target=/m cat /m/f\n")
    assert bench.output == "in\n"


def test_a_cache_stays(bench: Bench, busybox: str) -> None:
    """What a step writes to a cache is there for the next one with its id, in any build, and in no layer."""
    for number in range(3):
        mount = "--mount=type=cache,target=/root/cache,id=one"
        image = bench.build(f"FROM {busybox}\nRUN {mount} echo {number} >> /root/cache/f; cat /root/cache/f\n")
        assert len(image.layers) == 1
    assert bench.output == "0\n1\n2\n"
    bench.build(f"FROM {busybox}\nRUN --mount=type=cache,target=/root/cache ls -A /root/cache\n")
    assert bench.output == ""


def test_a_cache_has_owner_and_mode(bench: Bench, busybox: str) -> None:
    """A new cache belongs to whom the mount says."""
    mount = "--mount=type=cache,target=/c,uid=1000,gid=7,mode=0700"
    bench.build(f"FROM {busybox}\nRUN {mount} stat -c '%u %g %a' /c\nUSER app\nRUN {mount} touch /c/mine && ls /c\n")
    assert bench.output == "1000 7 700\nmine\n"


@pytest.mark.parametrize("origin", ["stage", "directory"])
def test_a_cache_starts_from_a_tree(bench: Bench, busybox: str, origin: str) -> None:
    """A new cache starts as a copy of what `from` names; one that is there is left alone."""
    other = bench.room / "other"
    (other / "d").mkdir(parents=True)
    (other / "d" / "f").write_text("seed\n")
    stage = f"FROM {busybox} AS s\nRUN mkdir /d && echo seed > /d/f\n" if origin == "stage" else ""
    contexts = () if origin == "stage" else (("s", str(other)),)
    for number in range(2):
        command = f"cat /c/f; echo {number} > /c/f"
        run = f"RUN --mount=type=cache,target=/c,from=s,source=d {command}\n"
        bench.build(f"{stage}FROM {busybox}\n{run}", build_contexts=contexts)
        assert bench.output == ("seed\n" if number == 0 else "0\n")


def test_a_tmpfs(bench: Bench, busybox: str) -> None:
    """It is empty, as large as was said, and forgotten."""
    write = "dd if=/dev/zero of=/t/f bs=64K count=32 2>/dev/null || stat -c %s /t/f"
    image = bench.build(f"FROM {busybox}\nRUN --mount=type=tmpfs,target=/t,size=1m ls -A /t; {write}\n")
    assert bench.output == "1048576\n" and len(image.layers) == 1


def test_a_secret(bench: Bench, busybox: str) -> None:
    """It is a file in memory, a variable, or both; in no layer, no history, no key and nowhere in the store."""
    mount = "--mount=type=secret,id=s,target=/s/f,env=S,mode=0440,uid=1000"
    buildfile = f'FROM {busybox}\nRUN {mount} test "$(cat /s/f)" = "$S" && stat -c \'%a %u\' /s/f\n'
    secret = b"s3cr3t-t3xt-" + b"x" * 20
    image = bench.build(buildfile, secrets=(Secret("s", secret),))
    assert bench.output == "440 1000\n" and len(image.layers) == 1
    bench.build(buildfile, secrets=(Secret("s", b"another"),))
    assert bench.cached
    for path in bench.root.rglob("*"):
        if path.is_file():
            assert secret not in path.read_bytes(), path


def test_a_secret_that_is_missing(bench: Bench, busybox: str) -> None:
    """One that is required fails at its place and says how to give it; another is just not there."""
    bench.build(f"FROM {busybox}\nRUN --mount=type=secret,id=s ls /run/secrets 2>/dev/null; echo over\n")
    assert bench.output == "over\n"
    error = bench.fails(ContextError, f"FROM {busybox}\nRUN --mount=type=secret,id=s,required true\n")
    assert "--secret id=s,src=FILE" in (error.hint or "") and error.span is not None


def test_caches_of_a_namespace(bench: Bench, busybox: str) -> None:
    """BUILDKIT_CACHE_MOUNT_NS gives a build caches of its own under the same ids."""
    buildfile = f"FROM {busybox}\nRUN --mount=type=cache,id=c,target=/c ls /c; touch /c/f\n"
    bench.build(buildfile)
    bench.build(buildfile, build_args=(("BUILDKIT_CACHE_MOUNT_NS", "team"),))
    assert bench.output == "" and not bench.cached
    again = buildfile.replace("touch", "echo over; touch")
    bench.build(again, build_args=(("BUILDKIT_CACHE_MOUNT_NS", "team"),))
    assert bench.output == "f\nover\n"


def test_an_agent(bench: Bench, busybox: str, tmp_path: Path) -> None:
    """Two agents have two places, the first of which is SSH_AUTH_SOCK unless the image says otherwise."""
    with agent(tmp_path / "s0", bytes) as one, agent(tmp_path / "s1", bytes) as two:
        agents = (SshAgent("default", one), SshAgent("other", two))
        mounts = "--mount=type=ssh --mount=type=ssh,id=other"
        command = "test -S $SSH_AUTH_SOCK && test -S /run/buildkit/ssh_agent.1 && echo $SSH_AUTH_SOCK"
        bench.build(f"FROM {busybox}\nRUN {mounts} {command}\n", ssh=agents)
        assert bench.output == "/run/buildkit/ssh_agent.0\n"
        own = "ENV SSH_AUTH_SOCK=/run/buildkit/ssh_agent.1"
        bench.build(f"FROM {busybox}\n{own}\nRUN {mounts} {command}\n", ssh=agents)
        assert bench.output == "/run/buildkit/ssh_agent.1\n"


def test_an_agent_for_a_user(bench: Bench, busybox: str, tmp_path: Path) -> None:
    """The socket has the owner and mode of the mount, so that a step that is not root can use the agent."""
    with agent(tmp_path / "agent", bytes) as path:
        mounts = "--mount=type=ssh,uid=1000,gid=1001,mode=0620"
        command = "stat -c '%u:%g %a' $SSH_AUTH_SOCK && test -w $SSH_AUTH_SOCK && id -u"
        bench.build(f"FROM {busybox}\nUSER 1000\nRUN {mounts} {command}\n", ssh=(SshAgent("default", path),))
    assert bench.output == "1000:1001 620\n1000\n"


def test_an_agent_that_is_missing(bench: Bench, busybox: str) -> None:
    """One that is required fails and says how to give it; another is just not there, and has its place all the same."""
    bench.build(f"FROM {busybox}\nRUN --mount=type=ssh test ! -e $SSH_AUTH_SOCK && echo $SSH_AUTH_SOCK\n")
    assert bench.output == "/run/buildkit/ssh_agent.0\n"
    error = bench.fails(ContextError, f"FROM {busybox}\nRUN --mount=type=ssh,required true\n")
    assert "--ssh default=SOCKET" in (error.hint or "")


def test_targets_leave_no_trace(bench: Bench, busybox: str) -> None:
    """Mount points that were made for mounts, relative ones and nested ones too, are not in the layer."""
    bench.file("f", "1")
    mounts = "--mount=source=f,target=deep/in/f --mount=type=tmpfs,target=/w/deep/t --mount=type=cache,target=/new/c"
    image = bench.build(f"FROM {busybox}\nWORKDIR /w\nRUN {mounts} cat deep/in/f > out; touch deep/t/x /new/c/x\n")
    assert content(image, "/w/out") == "1"
    assert [path for path in image.files if path.startswith(("w/", "new"))] == ["w/out"]


def test_scratch_files_are_gone(bench: Bench, busybox: str) -> None:
    """Copies of the context that were made for a mount do not stay in the store's working room."""
    bench.file("f", "1")
    bench.build(f"FROM {busybox}\nRUN --mount=target=/c true\n")
    bench.fails(StepFailed, f"FROM {busybox}\nRUN --mount=target=/c false\n")
    assert list((bench.root / "pybuild" / "tmp").rglob("*")) == []


def test_a_secret_that_no_variable_can_hold(bench: Bench, busybox: str) -> None:
    """A NUL byte is refused at its step, before anything is started."""
    error = bench.fails(
        ContextError, f"FROM {busybox}\nRUN --mount=type=secret,id=a,env=A true\n", secrets=(Secret("a", b"x\0y" * 4),)
    )
    assert "NUL byte" in error.message and error.span is not None and error.span.first == 2

"""The worker's server: a child for each request, answers in any order, and nothing left at the end."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from builder.errors import ImageError, StepFailed
from builder.kernel.channel import Channel, ChannelClosed
from builder.kernel.jobs import Perform, Server
from builder.values.crossing import (
    Done,
    Exec,
    Fault,
    Job,
    Refused,
    Removed,
    RemoveJob,
    Request,
    Result,
    Rung,
    Serve,
)


def act(job: Job, fds: list[int]) -> Result:
    """Does what a RemoveJob's first path says; the jobs of these tests are little programs."""
    assert isinstance(job, RemoveJob)
    verb, _, rest = job.paths[0].partition(" ")
    match verb:
        case "sleep":
            time.sleep(float(rest))
        case "signal":
            os.kill(os.getpid(), int(rest))
        case "exit":
            os._exit(int(rest))
        case "fail":
            raise ImageError(f"no {rest}", hint="look elsewhere")
        case "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), rest)
        case "bug":
            raise KeyError(rest)
        case "memory":
            raise MemoryError
        case "write":
            os.write(fds[0], rest.encode())
        case "large":
            raise ImageError("x" * int(rest))
        case "hold":  # a process that outlives its job and keeps every descriptor, until its pipe closes
            if os.fork() == 0:
                os.read(fds[0], 1)
                os._exit(0)
        case "look":
            return Removed(count_descriptors())
        case _:
            raise AssertionError(verb)
    return Removed(os.getpid())


def count_descriptors() -> int:
    """How many descriptors this process has open, but for the one that lists them."""
    return len(os.listdir("/proc/self/fd")) - 1


@contextmanager
def serving(perform: Perform = act) -> Iterator[tuple[Channel, int]]:
    """A server in a process of its own: our end of its channel, and its pid."""
    here, there = Channel.pair()
    pid = os.fork()
    if pid == 0:
        try:
            here.close()
            Server(there, perform).run()
            os._exit(0)
        finally:
            os._exit(1)
    there.close()
    try:
        yield here, pid
    finally:
        here.close()
        assert os.waitpid(pid, 0)[1] in (0, signal.SIGKILL)


def ask(channel: Channel, number: int, text: str, *fds: int) -> None:
    channel.send(Request(number, RemoveJob((text,))), fds)


def answered(channel: Channel) -> Done | Fault:
    message, fds = channel.receive()
    assert isinstance(message, Done | Fault)
    assert not fds
    return message


def fault(text: str) -> Fault:
    """What a server answers to a job that fails."""
    with serving() as (channel, _):
        ask(channel, 5, text)
        answer = answered(channel)
    assert isinstance(answer, Fault)
    assert answer.number == 5
    return answer


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def children_of(pid: int) -> list[int]:
    return [int(number) for number in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def until(condition: object, seconds: float = 5.0) -> None:
    """Wait until the condition (a function) holds; a test that waits in vain fails."""
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.005)


def test_each_job_has_a_process_of_its_own() -> None:
    """Three requests are done by three processes, none of them the server."""
    with serving() as (channel, pid):
        for number in range(3):
            ask(channel, number, "sleep 0")
        answers = [answered(channel) for _ in range(3)]
    assert sorted(answer.number for answer in answers) == [0, 1, 2]
    pids = {answer.result for answer in answers if isinstance(answer, Done)}
    assert len(pids) == 3
    assert Removed(pid) not in pids


def test_answers_come_as_the_jobs_end() -> None:
    """A quick job that began later is answered first."""
    with serving() as (channel, _):
        ask(channel, 1, "sleep 0.5")
        ask(channel, 2, "sleep 0")
        assert [answered(channel).number, answered(channel).number] == [2, 1]


def test_many_jobs_at_once_are_all_answered() -> None:
    """Sixty jobs that end at the same moment lose no answer."""
    with serving() as (channel, _):
        for number in range(60):
            ask(channel, number, "sleep 0.05")
        assert {answered(channel).number for _ in range(60)} == set(range(60))


def test_a_failure_arrives_with_its_kind_and_hint() -> None:
    """A PybuildError of a job is a Fault of its kind with its words."""
    assert fault("fail base") == Fault(5, "ImageError", "no base", "look elsewhere")


def test_a_full_disk_is_a_store_error() -> None:
    """ENOSPC that no job has turned into words says what is full and what to do."""
    answer = fault("full /store/x")
    assert answer.kind == "StoreError"
    assert "no space left" in answer.message
    assert "/store/x" in answer.message
    assert answer.hint


def test_want_of_memory_is_the_machines_affair() -> None:
    """MemoryError is not a bug of ours."""
    assert fault("memory").kind == "MachineError"


def test_anything_else_is_a_bug_with_its_traceback() -> None:
    """An unforeseen exception brings the lines where it happened."""
    answer = fault("bug here")
    assert answer.kind == "bug"
    assert "KeyError: 'here'" in answer.traceback
    assert "test_worker.py" in answer.traceback


def test_a_killed_job_says_that_memory_may_be_why() -> None:
    """The kernel's out-of-memory killer leaves no other trace than SIGKILL."""
    answer = fault("signal 9")
    assert answer.kind == "MachineError"
    assert answer.message == "the process of RemoveJob was killed, perhaps for want of memory"


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGXCPU, "SIGXCPU"), (signal.SIGTERM, "SIGTERM"), (signal.SIGRTMAX, "SIGRTMAX")]
)
def test_a_job_ended_by_a_signal_names_it(number: int, name: str) -> None:
    """A child that dies without an answer becomes a Fault that says by which signal."""
    assert fault(f"signal {number}").message == f"the process of RemoveJob was ended by {name}"


@pytest.mark.parametrize("status", [0, 3])
def test_a_job_that_exits_without_an_answer_is_a_bug(status: int) -> None:
    """No request stays unanswered, whatever the child does."""
    answer = fault(f"exit {status}")
    assert answer.kind == "bug"
    assert f"status {status}" in answer.message


def test_an_answer_longer_than_a_pipe_arrives_whole() -> None:
    """A megabyte of error text does not block the child or the server."""
    assert len(fault("large 1000000").message) == 1_000_000


def test_descriptors_reach_the_job_and_do_not_stay() -> None:
    """The job writes to the pipe that came with its request; when it has ended nobody holds the pipe."""
    with serving() as (channel, _):
        readable, writable = os.pipe()
        ask(channel, 1, "write hello", writable)
        os.close(writable)
        assert isinstance(answered(channel), Done)
        assert os.read(readable, 100) == b"hello"
        assert os.read(readable, 100) == b""
        os.close(readable)


def test_a_job_holds_nothing_of_other_jobs() -> None:
    """A child has the same descriptors open whether it is alone or one of many: no channel, no pipes of the others."""
    with serving() as (channel, _):
        ask(channel, 1, "look")
        alone = answered(channel)
        assert isinstance(alone, Done)
        for number in range(2, 8):
            ask(channel, number, "sleep 0.4")
        ask(channel, 8, "look")
        among = answered(channel)
        assert isinstance(among, Done)
        assert among.number == 8
        assert among.result == alone.result


def test_an_answer_does_not_wait_for_what_a_job_leaves_behind() -> None:
    """A left-over process that holds the answer's pipe does not hold up the answer."""
    with serving() as (channel, _):
        readable, writable = os.pipe()
        ask(channel, 1, "hold", readable)
        assert isinstance(answered(channel), Done)
        os.close(writable)
        os.close(readable)


def test_the_end_of_the_channel_ends_every_job() -> None:
    """When the conductor is gone, children that would run for a minute are gone at once."""
    with serving() as (channel, pid):
        for number in range(3):
            ask(channel, number, "sleep 60")
        until(lambda: len(children_of(pid)) == 3)
        jobs = children_of(pid)
        channel.shut()
        until(lambda: not any(map(is_alive, jobs)))


def test_the_death_of_the_server_ends_every_job() -> None:
    """A killed server takes its children along: the kernel sees to it."""
    with serving() as (channel, pid):
        ask(channel, 1, "sleep 60")
        until(lambda: len(children_of(pid)) == 1)
        jobs = children_of(pid)
        time.sleep(0.05)  # the child sets its death signal first thing
        os.kill(pid, signal.SIGKILL)
        until(lambda: not any(map(is_alive, jobs)))
        with pytest.raises(ChannelClosed):
            channel.receive()


def test_a_job_has_default_signals() -> None:
    """The server's handling of signals is not the job's: SIGCHLD and the wake-up descriptor are reset."""

    def look(_job: Job, _fds: list[int]) -> Result:
        assert signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL
        assert signal.set_wakeup_fd(-1) == -1
        pid = os.fork()
        if pid == 0:
            os._exit(9)
        return Removed(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    with serving(look) as (channel, _):
        ask(channel, 1, "anything")
        assert answered(channel) == Done(1, Removed(9))


def test_the_number_of_processes_may_be_at_its_limit() -> None:
    """A fork that fails is answered with a MachineError, and the server lives on."""
    import resource

    if os.geteuid() == 0:
        pytest.skip("root's processes are not counted")

    def limited(_job: Job, _fds: list[int]) -> Result:
        return Removed(0)

    here, there = Channel.pair()
    pid = os.fork()
    if pid == 0:
        try:
            here.close()
            resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
            Server(there, limited).run()
            os._exit(0)
        finally:
            os._exit(1)
    there.close()
    for number in (1, 2):
        ask(here, number, "x")
        answer = answered(here)
        assert isinstance(answer, Fault)
        assert (answer.kind, answer.number) == ("MachineError", number)
    here.close()
    assert os.waitpid(pid, 0)[1] == 0


def test_only_requests_are_for_a_server() -> None:
    """Another message ends the server rather than being passed over."""
    here, there = Channel.pair()
    pid = os.fork()
    if pid == 0:
        try:
            here.close()
            Server(there, act).run()
        except TypeError:
            os._exit(44)
        finally:
            os._exit(1)
    there.close()
    here.send(Exec(Rung.ROOT, ("x",), ()))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 44
    here.close()


def started() -> tuple[Channel, int]:
    """A worker process itself, through its own main, on the other end of a channel."""
    import subprocess
    import sys

    here, there = Channel.pair()
    process = subprocess.Popen(
        [sys.executable, "-m", "builder.worker", str(there.fileno())],
        pass_fds=[there.fileno()],
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[1],
    )
    there.close()
    process.returncode = 0  # its end is waited for by the test
    return here, process.pid


def test_a_worker_without_a_conductor_ends() -> None:
    """When the channel closes before it has said anything, the worker ends without a word."""
    here, pid = started()
    here.close()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root is not refused")
def test_a_refused_unshare_is_told() -> None:
    """On a rung that the kernel does not allow, the worker says which call failed and how, and ends."""
    here, pid = started()
    here.send(Serve(Rung.ROOT, "/tmp"))
    assert here.receive() == (Refused("unshare", errno.EPERM), [])
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    here.close()


def test_the_errors_that_cross_are_the_ones_listed() -> None:
    """StepFailed is one of them: a sandbox may raise it."""

    def fails(_job: Job, _fds: list[int]) -> Result:
        raise StepFailed("it failed")

    with serving(fails) as (channel, _):
        ask(channel, 1, "x")
        assert answered(channel) == Fault(1, "StepFailed", "it failed")

"""Jobs: which process does them. What a server does beyond that is seen in test_worker.py."""

from __future__ import annotations

import os
import signal
import time

from builder.errors import MachineError
from builder.kernel.channel import Channel
from builder.kernel.jobs import Server
from builder.values.crossing import (
    FIRST,
    Done,
    Fault,
    Job,
    Ran,
    Removed,
    RemoveJob,
    Request,
    Rest,
    Result,
    RunJob,
    StepSpec,
    Tree,
)
from tests.test_worker import answered, children_of, count_descriptors, is_alive, serving, until


def act(job: Job, fds: list[int]) -> Result:
    """A step's first word is what it does; the answer says in which process."""
    if isinstance(job, RemoveJob):
        return Removed(os.getpid())
    assert isinstance(job, RunJob)
    match job.step.argv[0]:
        case "leave":
            os.open("/dev/null", os.O_RDONLY)
        case "look":
            return Ran(count_descriptors())
        case "fail":
            raise MachineError("no")
        case "hold":
            for fd in fds[1:]:
                os.write(fd, b"x")  # it has begun
            os.read(fds[0], 1)
    return Ran(os.getpid())


def ask(channel: Channel, verb: str, *fds: int) -> None:
    step = StepSpec((verb,), (), "/", 0, 0, (), Tree(()), "/upper", "/work")
    channel.send(Request(7, RunJob(step)), fds)


def done(channel: Channel, verb: str, *fds: int) -> int:
    """The status of a step that only waits for us."""
    ask(channel, verb, *fds)
    answer = answered(channel)
    assert isinstance(answer, Done) and isinstance(answer.result, Ran)
    return answer.result.status


def test_steps_share_a_process() -> None:
    """A step that follows another is done by the same process, which is not the server."""
    with serving(act) as (channel, server):
        found = {done(channel, "run") for _ in range(3)}
        assert len(found) == 1 and found != {server}


def test_steps_at_the_same_time_do_not_wait() -> None:
    """While a process does a step another one does the next, and afterwards each of them is used again."""
    with serving(act) as (channel, server):
        reader, writer = os.pipe()
        ask(channel, "hold", reader)
        other = done(channel, "run")
        os.write(writer, b"x")
        answer = answered(channel)
        assert isinstance(answer, Done) and answer.result != Ran(other)
        done(channel, "run")
        assert len(children_of(server)) == 2
        os.close(reader)
        os.close(writer)


def test_a_step_that_failed_takes_its_process_along() -> None:
    """After an error, which may have left anything behind, the next step has a new process."""
    with serving(act) as (channel, _):
        first = done(channel, "run")
        ask(channel, "fail")
        assert isinstance(answered(channel), Fault)
        assert done(channel, "run") != first


def test_other_jobs_have_a_process_of_their_own() -> None:
    """A process that waits for a step is not given anything else."""
    with serving(act) as (channel, _):
        first = done(channel, "run")
        channel.send(Request(8, RemoveJob(())))
        answer = answered(channel)
        assert isinstance(answer, Done) and answer.result != Removed(first)


def test_no_descriptor_is_left_for_the_next_step() -> None:
    """What a step was given, and what it left open, is closed before its answer."""
    with serving(act) as (channel, _):
        done(channel, "run")
        before = done(channel, "look")
        reader, writer = os.pipe()
        done(channel, "leave", writer)
        os.close(writer)
        assert os.read(reader, 1) == b""
        os.close(reader)
        assert done(channel, "look") == before


def test_a_waiting_process_may_die() -> None:
    """A process that was killed while it waited is no loss: the next step has a new one."""
    with serving(act) as (channel, server):
        first = done(channel, "run")
        (child,) = children_of(server)
        os.kill(child, signal.SIGKILL)
        until(lambda: not is_alive(child))
        assert done(channel, "run") != first


def test_a_process_that_dies_in_its_second_step_is_told_of() -> None:
    """The end of a process is the answer of the step that it was doing, whichever that was."""
    with serving(act) as (channel, server):
        done(channel, "run")
        reader, writer = os.pipe()
        hearing, telling = os.pipe()
        ask(channel, "hold", reader, telling)
        os.read(hearing, 1)
        (child,) = children_of(server)
        os.kill(child, signal.SIGKILL)
        answer = answered(channel)
        assert isinstance(answer, Fault) and (answer.number, answer.kind) == (7, "MachineError")
        for fd in (reader, writer, hearing, telling):
            os.close(fd)


def test_a_request_that_was_begun_with_is_answered() -> None:
    """Also where it has ended before the server looks."""
    here, there = Channel.pair()
    pid = os.fork()
    if pid == 0:
        try:
            here.close()
            server = Server(there, act)
            server.begin_with(Request(FIRST, RemoveJob(())))
            time.sleep(0.2)
            server.begin_with(Request(5, RemoveJob(())))
            server.run()
            os._exit(0)
        finally:
            os._exit(1)
    there.close()
    try:
        numbers = {answer.number for answer in (answered(here), answered(here)) if isinstance(answer, Done)}
        assert numbers == {FIRST, 5}
    finally:
        here.close()
        assert os.waitpid(pid, 0)[1] == 0


def test_only_pid_1_ends_everything_around_it() -> None:
    """A server that is not alone in a pid namespace kills nobody: what waits for a step goes on waiting."""
    with serving(act) as (channel, _):
        first = done(channel, "run")
        channel.send(Rest())
        assert done(channel, "run") == first

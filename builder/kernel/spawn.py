"""Starts the worker's process before anything else is loaded that it takes to speak with it.

The worker loads what it needs for a while, on another core: what is imported here at the top, and what is done before
the process is there, is time that every build waits which runs a step.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from builder.declare import dataclass
from builder.errors import MachineError

if TYPE_CHECKING:
    from builder.kernel.channel import Channel
    from builder.kernel.worker_handle import Worker
    from builder.values.crossing import NetworkJob
    from builder.values.ladder import Rung

# The worker sees the very modules that we see, wherever they are: installed, a source tree, a user's site directory.
# With the path given there is nothing left for -m and site to find out, which saves half of its start.
_BOOT = "import sys; sys.path[:] = sys.argv[2:]; from builder.worker import main; main()"

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
}
"""All that the worker gets: never the caller's variables."""

_LOG_BYTES = 4000


@dataclass(frozen=True, slots=True)
class Started:
    """A worker's process (its porter), our end of the channel, and the file in memory that takes its stray output."""

    process: subprocess.Popen[bytes]
    channel: Channel
    log: int

    def discard(self) -> None:
        """End it at once, without a word."""
        self.process.kill()
        self.process.wait()
        self.close()

    def close(self) -> None:
        """Give up our end of it."""
        self.channel.close()
        os.close(self.log)

    def last_words(self) -> str:
        """The end of what it wrote and should not have."""
        size = os.fstat(self.log).st_size
        return os.pread(self.log, _LOG_BYTES, max(0, size - _LOG_BYTES)).decode(errors="replace").strip()


def start_worker(store_root: Path, rung: Rung | None = None, network: NetworkJob | None = None) -> Worker:
    """Start a worker on the best rung there is, or on `rung`. `store_root` is absolute; roots are made below it.

    A network job that is known to come is begun with, while the worker loads what it needs for the others.
    Raises MachineError when this machine has no rung (or not that one), with what mends it.
    """
    if not store_root.is_absolute():
        raise ValueError(f"not an absolute path: {store_root}")
    outcome: SimpleQueue[Worker | BaseException] = SimpleQueue()
    arguments = (os.fspath(store_root), rung, network, outcome)
    threading.Thread(target=_live, args=arguments, name="worker", daemon=True).start()
    result = outcome.get()
    if isinstance(result, BaseException):
        raise result
    return result


def _live(
    directory: str, rung: Rung | None, network: NetworkJob | None, outcome: SimpleQueue[Worker | BaseException]
) -> None:
    """The life of a worker, on a thread of its own.

    The kernel sends PDEATHSIG when the *thread* that forked ends (prctl(2)), so the one that starts the worker has to
    stay as long as it does.
    """
    try:
        started = spawn()
        try:
            from builder.kernel.worker_handle import received
        except BaseException:
            started.discard()
            raise
        worker = received(started, directory, rung, network)
    except BaseException as error:
        outcome.put(error)
        return
    outcome.put(worker)
    worker.listen()


def spawn() -> Started:
    """Start the worker's process. Raises MachineError."""
    here, there = socket.socketpair()
    log = os.memfd_create("worker log")
    try:
        process = subprocess.Popen(
            command(there.fileno()),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=ENVIRONMENT,
            cwd="/",
            pass_fds=[there.fileno()],
            start_new_session=True,  # Ctrl-C at the terminal reaches only the conductor, which then ends the worker
        )
    except OSError as error:
        here.close()
        os.close(log)
        raise MachineError(f"the worker cannot be started: {error}", hint="see `ulimit -u`") from error
    finally:
        there.close()
    from builder.kernel.channel import Channel

    return Started(process, Channel(here), log)


def command(end: int) -> list[str]:
    """What starts a worker whose end of the channel is this descriptor."""
    home = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    places = [place for place in sys.path if os.path.isabs(place)]
    if home not in places:
        places.insert(0, home)  # we came from the current directory; another version may be installed
    return [sys.executable, "-I", "-S", "-X", "utf8", "-c", _BOOT, str(end), *places]

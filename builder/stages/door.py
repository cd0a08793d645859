"""The door into the namespace, opened when the first piece of work needs it.

A build whose steps are all in the cache, and one without RUN, never open it. One with a RUN on an image that is not
here begins to open it while that image is asked for.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from builder.errors import Interrupted
from builder.values.event import Emit, Note
from builder.values.ladder import RootKind, Rung

if TYPE_CHECKING:
    from builder.kernel.worker_handle import Worker
    from builder.values.crossing import Job, Networked, NetworkJob, Result

R = TypeVar("R", bound="Result")

_SLOWER = {
    RootKind.FUSE: "the kernel refuses overlay mounts on the store's file system: steps run on fuse-overlayfs, which is"
    " slower; a store on ext4, xfs or btrfs (--root) would do better",
    RootKind.COPY: "neither overlay mounts nor fuse-overlayfs work on the store's file system: every step copies its"
    " whole root first; install fuse-overlayfs, or put the store on ext4, xfs or btrfs (--root)",
}


_ON_THE_HOST = (
    "steps use this machine's own network ({}); for a network of theirs install pasta (Debian: passt); --network=host"
    " says that it is meant so"
)


class Door:
    """Starts the worker on first use and passes jobs to it. Raises what the worker's faults carry."""

    def __init__(self, store_root: Path, emit: Emit) -> None:
        self._store_root = store_root
        self._emit = emit
        self._worker: Worker | None = None
        self._was_opened = False
        self._owner: int | None = None  # the only thread that is let through, once the door was cleared
        self._lock = threading.Lock()
        self._network: _Asked | None = None
        self._first: NetworkJob | None = None  # what a worker begins with that is not there yet
        self._asking = threading.Lock()  # not the other one: that is held while the worker starts
        self._opening: threading.Thread | None = None

    @property
    def is_open(self) -> bool:
        """Whether the worker has been started."""
        return self._was_opened

    @property
    def rung(self) -> Rung:
        """The rung that the worker stands on; opens the door."""
        return self._opened().rung

    @property
    def ids(self) -> str:
        """The name of the ids that are mapped inside; opens the door."""
        return self._opened().ids

    def call(self, job: Job, answer: type[R], fds: tuple[int, ...] = ()) -> R:
        """Have a job done. `answer` is the type of its result."""
        result = self._opened().call(job, fds)
        if not isinstance(result, answer):
            raise TypeError(f"the worker answered {type(job).__name__} with {type(result).__name__}")
        return result

    def check(self) -> None:
        """Raises Interrupted where another thread has cleared the door: nobody waits for the work of this one."""
        if self._owner not in (None, threading.get_ident()):
            raise Interrupted("the build was stopped")

    def clear(self) -> None:
        """End all that is under way in the worker; when this returns it is gone. Who waits for it gets Interrupted.

        From now on only the calling thread is let through, to a new worker.
        """
        with self._lock:
            self._owner = threading.get_ident()
            self._first = None
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.kill()

    def rest(self) -> None:
        """No step follows: what the worker keeps for them ends while other things are done."""
        worker = self._worker
        if worker is not None:
            worker.rest()

    def open_early(self) -> None:
        """Begin to start the worker while other things are done: there will be work for it.

        Where it cannot be started, whoever has work for it is told.
        """
        if self._opening is None:
            self._opening = threading.Thread(target=self._open_early, name="door", daemon=True)
            self._opening.start()

    def _open_early(self) -> None:
        with contextlib.suppress(Exception):  # whoever has work for it meets the same, and can say so
            self._opened()

    def prepare_network(self, job: NetworkJob) -> None:
        """Have the network of the steps made while other things are done; once, whatever is asked for later."""
        with self._asking:
            if self._network is None:
                self._first = job
                self._network = _Asked(lambda: self._networked(job))
                self._network.start()

    def network(self, job: NetworkJob) -> Networked:
        """The network of the steps, made by the first who asks. Raises MachineError, Interrupted."""
        self.prepare_network(job)
        assert self._network is not None
        return self._network.answer()

    def _networked(self, job: NetworkJob) -> Networked:
        from builder.values.crossing import Networked

        worker = self._opened()
        network = worker.first() if worker.has_begun else worker.call(job)
        if not isinstance(network, Networked):
            raise TypeError(f"the worker answered NetworkJob with {type(network).__name__}")
        if network.namespace is None:
            self._emit(Note(_ON_THE_HOST.format(network.failures)))
        elif network.failures:
            self._emit(Note(f"the network of the steps is made by {network.helper} ({network.failures})"))
        return network

    def _opened(self) -> Worker:
        with self._lock:
            self.check()
            if self._worker is None:
                # Not at the top: a build that never gets here should not pay for it.
                from builder.kernel.spawn import start_worker

                self._worker = start_worker(self._store_root, network=self._first)
                self._was_opened = True
                self._tell(self._worker)
            return self._worker

    def _tell(self, worker: Worker) -> None:
        """No rung below the best is taken in silence."""
        if worker.rung_note:
            self._emit(Note(worker.rung_note))
        slower = _SLOWER.get(worker.root_kind)
        if slower is not None:
            self._emit(Note(slower))

    def __enter__(self) -> Door:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._opening is not None:
            self._opening.join()
        if self._worker is None:
            return
        if kind is None:
            self._worker.close()
        else:
            self._worker.kill()


class _Asked:
    """Something asked for by a thread of its own, for who wants it later."""

    def __init__(self, ask: Callable[[], Networked]) -> None:
        self._ask = ask
        self._result: Networked | BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="network", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def answer(self) -> Networked:
        """Wait for it. Raises what it ended with."""
        self._thread.join()
        if self._result is None or isinstance(self._result, BaseException):
            raise self._result or RuntimeError("the network was not asked for")
        return self._result

    def _run(self) -> None:
        try:
            self._result = self._ask()
        except BaseException as error:
            self._result = error

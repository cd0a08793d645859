"""The door into the namespace, opened when the first piece of work needs it.

A build whose steps are all in the cache, and one without RUN, never open it.
"""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from builder.values.crossing import Job, Result, RootKind, Rung
from builder.values.event import Emit, Note

if TYPE_CHECKING:
    from builder.kernel.worker_handle import Worker

R = TypeVar("R", bound=Result)

_SLOWER = {
    RootKind.FUSE: "the kernel refuses overlay mounts on the store's file system: steps run on fuse-overlayfs, which is"
    " slower; a store on ext4, xfs or btrfs (--root) would do better",
    RootKind.COPY: "neither overlay mounts nor fuse-overlayfs work on the store's file system: every step copies its"
    " whole root first; install fuse-overlayfs, or put the store on ext4, xfs or btrfs (--root)",
}


class Door:
    """Starts the worker on first use and passes jobs to it. Raises what the worker's faults carry."""

    def __init__(self, store_root: Path, emit: Emit) -> None:
        self._store_root = store_root
        self._emit = emit
        self._worker: Worker | None = None
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Whether the worker has been started."""
        return self._worker is not None

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

    def _opened(self) -> Worker:
        with self._lock:
            if self._worker is None:
                # Not at the top: a build that never gets here should not pay for it.
                from builder.kernel.worker_handle import start_worker

                self._worker = start_worker(self._store_root)
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
        if self._worker is None:
            return
        if kind is None:
            self._worker.close()
        else:
            self._worker.kill()

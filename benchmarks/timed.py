"""Runs one command and writes what it took, as JSON, to a file: `python3 -I -S timed.py RESULT COMMAND …`.

A small process of its own, for two reasons. Memory: until it executes its program a child has the size of its parent,
which would be that of the whole benchmark. CPU: as subreaper this inherits the processes that the command leaves
behind, waits for them too, and so counts every one. Their time is in `cpu_s`, but not in `wall_s`, which ends with the
command.
"""

import ctypes
import json
import os
import resource
import sys
import time

_PR_SET_CHILD_SUBREAPER = 36
_PATIENCE_S = 1.0  # podman leaves a process that never ends


def main() -> int:
    """Start it, wait, write; gives the command's status."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    result, argv = sys.argv[1], sys.argv[2:]
    begun = time.perf_counter()
    pid = os.posix_spawnp(argv[0], argv, os.environ)
    _, status = os.waitpid(pid, 0)
    wall_s = time.perf_counter() - begun
    left = _wait_for_the_rest()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = {
        "wall_s": wall_s,
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_kib": used.ru_maxrss,
        "left": left,
    }
    with open(result, "w", encoding="ascii") as file:
        json.dump(found, file)
    return 1 if status else 0


def _wait_for_the_rest() -> bool:
    """Wait for what the command left running; whether something still runs when patience ends."""
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            time.sleep(0.01)
    return True


sys.exit(main())

"""What processes take that are no children of what is measured."""

from __future__ import annotations

import os
import time
from pathlib import Path

from benchmarks.daemons import used

OWN = (Path("/proc/self/comm").read_text().strip(),)


def test_cpu_time_of_processes_of_a_name_is_added_up() -> None:
    """This one's is in it, and grows with what it does."""
    before = used(OWN).cpu_s
    begun = time.process_time()
    while time.process_time() - begun < 0.05:
        sum(range(1000))
    assert used(OWN).cpu_s - before >= 0.02


def test_the_largest_memory_since_the_start_is_that_of_one_process() -> None:
    """In KiB, as of commands."""
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
    assert used(OWN).peak_kib >= resident * 0.9


def test_without_names_nothing_is_used() -> None:
    """Most tools have no daemon."""
    assert used(()).cpu_s == 0
    assert used(()).peak_kib == 0

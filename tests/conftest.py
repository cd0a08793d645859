"""What holds for all tests: what may be skipped, and who may run the tests of the kernel."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

LONG = os.environ.get("PYBUILD_HOSTILE") == "all"
"""The long run: hypothesis draws other examples each time. In the gate they are the same each time, so that what is
red there is red because of a change; what a long run finds becomes an example of its test."""
settings.register_profile("gate", derandomize=True)
settings.register_profile("long", max_examples=1000, print_blob=True, database=None)
settings.load_profile("long" if LONG else "gate")

NEVER_SKIPPED = ("kernel", "clients")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs an ordinary user with an id range where there is none."""
    reason = _why_no_namespace()
    if reason is None:
        return
    skip = pytest.mark.skip(reason=reason)
    for item in items:
        if item.get_closest_marker("kernel"):
            item.add_marker(skip)


def _why_no_namespace() -> str | None:
    if os.geteuid() == 0:
        return "these tests are about working without root; `make test` runs them as an ordinary user"
    if shutil.which("newuidmap") is None:
        return "newuidmap is not installed (Debian: uidmap)"
    names = (str(os.geteuid()), os.environ.get("USER", ""))
    ranges = Path("/etc/subuid").read_text() if Path("/etc/subuid").exists() else ""
    if not any(line.split(":")[0] in names for line in ranges.splitlines()):
        return "this user has no range in /etc/subuid"
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Where PYBUILD_NO_SKIP is set (CI), a skipped test of the kernel or of a client is a failed one."""
    report = yield
    assert isinstance(report, pytest.TestReport)
    wanted = any(item.get_closest_marker(name) for name in NEVER_SKIPPED)
    if wanted and report.skipped and os.environ.get("PYBUILD_NO_SKIP") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be: {report.longrepr}"
    return report

"""`pybuild builds` and `pybuild builds show`: the latest builds, and what the steps of one talked to."""

from __future__ import annotations

import time

from builder.commands.caller import Caller, read_format, store_root
from builder.commands.line import Line
from builder.commands.lookup import is_store
from builder.errors import UsageError
from builder.report.builds import build_json, build_text, builds_json, builds_table
from builder.store import Store
from builder.values.build import BuildRecord


def run(line: Line, caller: Caller) -> int:
    """List the builds, or show one. Raises UsageError for one that is not there, StoreError."""
    as_json = read_format(line.text("format"))
    what, wanted = line.text("show"), line.text("id")
    if what not in (None, "show"):
        raise UsageError(f"builds: {what!r} is none of its words", hint="pybuild builds, or pybuild builds show [ID]")
    path = store_root(line.text("root"), caller)
    found: list[BuildRecord] = []
    if is_store(path):
        with Store.open(path) as store:
            found = list(store.builds.all())
    if what is None:
        caller.say([builds_json(found) if as_json else builds_table(found, time.time())])
    else:
        build = _one(found, wanted)
        caller.say([build_json(build) if as_json else build_text(build, time.time())])
    return 0


def _one(builds: list[BuildRecord], wanted: str | None) -> BuildRecord:
    """The build that is meant: the latest, or by its id, the beginning or the end of one."""
    if not builds:
        raise UsageError("no build is remembered in this store", hint="builds that did a step are")
    if wanted is None:
        return builds[0]
    meant = [build for build in builds if build.id.startswith(wanted) or build.id.endswith(wanted)]
    if len(meant) == 1:
        return meant[0]
    what = "several builds have" if meant else "no build has"
    raise UsageError(f"{what} an id like {wanted[:100]!r}", hint="`pybuild builds` lists them")

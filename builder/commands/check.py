"""`pybuild store check`: what is damaged in the store."""

from __future__ import annotations

from builder.commands.caller import Caller, store_root
from builder.commands.line import Line
from builder.errors import StoreError
from builder.report.text import printable
from builder.store import Store
from builder.store.check import check as problems_of


def run(line: Line, caller: Caller) -> int:
    """Say what is wrong, one finding a line. Raises StoreError when something is, or there is no store."""
    path = store_root(line.text("root"), caller)
    if not path.is_dir():
        raise StoreError(f"there is no store at {path}", hint="name it with --root DIR; a first build makes it")
    with Store.open(path) as store:
        problems = problems_of(store)
    caller.say([printable(problem) for problem in problems] or [f"the store {printable(str(path))} is sound"])
    if problems:
        raise StoreError(f"the store {path} is damaged ({len(problems)} finding{'s' if len(problems) > 1 else ''})")
    return 0

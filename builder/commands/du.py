"""`pybuild du`: what takes room in the store, and how much of it pruning would give back."""

from __future__ import annotations

import time

from builder.commands.caller import Caller, read_format, store_root
from builder.commands.line import Line
from builder.commands.lookup import is_store
from builder.report.usage import entries_table, usage_json, usage_table
from builder.store import Store
from builder.store.usage import Usage, usage


def run(line: Line, caller: Caller) -> int:
    """Show it by kind, and with -v thing by thing. Raises StoreError."""
    as_json = read_format(line.text("format"))
    path = store_root(line.text("root"), caller)
    found = Usage((), ())
    if is_store(path):
        with Store.open(path) as store:
            found = usage(store)
    if as_json:
        caller.say([usage_json(found)])
    elif line.flag("verbose"):
        caller.say([entries_table(found, time.time()), "", usage_table(found)])
    else:
        caller.say([usage_table(found)])
    return 0

"""`pybuild history IMAGE`: what made the image, line by line."""

from __future__ import annotations

import time

from builder.commands.caller import Caller, read_format
from builder.commands.line import Line
from builder.commands.looking import looking
from builder.report.history import history_json, history_table


def run(line: Line, caller: Caller) -> int:
    """Show the history, the latest first. Raises ImageError or StoreError."""
    as_json = read_format(line.text("format"))
    with looking([line.word("image")], line, caller) as seen:
        seen.settle()
        image = seen.looks[0].image
    if as_json:
        caller.say([history_json(image)])
    else:
        width = None if line.flag("no_trunc") else caller.columns
        caller.say([history_table(image, time.time(), width)])
    return 0

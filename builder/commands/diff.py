"""`pybuild diff A B`: the files that came, went or changed from one image to another."""

from __future__ import annotations

from builder.commands.caller import Caller, read_format
from builder.commands.line import Line
from builder.commands.looking import looking
from builder.report.changes import Side, changes_json, changes_text
from builder.stages.look import Look
from builder.tree.compare import WHAT_IT_IS, WITHOUT_TIMES, Aspect, changes


def run(line: Line, caller: Caller) -> int:
    """Show the differences; with --exit-code the answer is 1 where there are any. Raises ImageError, StoreError."""
    as_json = read_format(line.text("format"))
    aspects = WHAT_IT_IS if line.flag("content_only") else WITHOUT_TIMES
    if line.flag("times"):
        aspects |= {Aspect.TIME}
    with looking([line.word("a"), line.word("b")], line, caller) as seen:
        before, after = seen.looks
        found = list(changes(before.view(), after.view(), aspects))
        seen.settle()
    caller.say([changes_json(_side(before), _side(after), found) if as_json else changes_text(found)])
    return 1 if found and line.flag("exit_code") else 0


def _side(look: Look) -> Side:
    return Side(look.name, str(look.image.manifest.digest))

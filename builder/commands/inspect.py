"""`pybuild inspect IMAGE`: its config, and its layers with what made each."""

from __future__ import annotations

import json

from builder.commands.caller import Caller, read_format
from builder.commands.line import Line
from builder.commands.looking import looking
from builder.oci.manifest import write_config
from builder.report.inspection import inspection_fields, inspection_text
from builder.stages.look import Look


def run(line: Line, caller: Caller) -> int:
    """Show these images; as JSON one is an object, several are an array. Raises ImageError or StoreError."""
    as_json = read_format(line.text("format"))
    with looking(line.texts("image"), line, caller) as seen:
        seen.settle()
        looks = seen.looks
    if as_json:
        documents = [_fields(look) for look in looks]
        caller.say([json.dumps(documents[0] if len(documents) == 1 else documents, indent=2)])
    else:
        caller.say(["\n\n".join(inspection_text(look.image, look.name, caller.columns, look.names) for look in looks)])
    return 0


def _fields(look: Look) -> dict[str, object]:
    return inspection_fields(look.image, look.name, json.loads(write_config(look.image.config)), look.names)

"""`pybuild inspect IMAGE`: its config, and its layers with what made each."""

from __future__ import annotations

import json
import os

from builder.commands.caller import Caller, read_format, store_root
from builder.commands.line import Line
from builder.commands.lookup import find_image
from builder.oci.manifest import write_config
from builder.report.inspection import inspection_json, inspection_text


def run(line: Line, caller: Caller) -> int:
    """Show the image that IMAGE names. Raises ImageError or StoreError."""
    as_json = read_format(line.text("format"))
    name, image = find_image(line.word("image"), store_root(line.text("root"), caller), caller)
    if as_json:
        caller.say([inspection_json(image, name, json.loads(write_config(image.config)))])
    else:
        caller.say([inspection_text(image, name, _width(caller))])
    return 0


def _width(caller: Caller) -> int | None:
    """The width of the terminal that standard output is, or None: what goes to a file or a pipe is never cut."""
    if not caller.stdout.isatty():
        return None
    try:
        return os.get_terminal_size(caller.stdout.fileno()).columns or None
    except (OSError, ValueError):
        return None

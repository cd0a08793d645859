"""`pybuild cat IMAGE:PATH`: the content of files of an image, as it is."""

from __future__ import annotations

from builder.commands.caller import Caller
from builder.commands.imagepath import ImagePath, split_image_path
from builder.commands.line import Line
from builder.commands.looking import looking
from builder.errors import ImageError, UsageError
from builder.report.listing import kind_words
from builder.stages.look import Look
from builder.tree.safe import shown
from builder.tree.view import Located
from builder.values.entry import Kind


def run(line: Line, caller: Caller) -> int:
    """Write the files to standard output, one after the other. Nothing is written where one of them is missing.

    Raises ImageError, StoreError; damage to a file is known, and told, at the end of it.
    """
    wanted = [_wanted(text, caller) for text in line.texts("image_path")]
    with looking([image for image, _ in wanted], line, caller) as seen:
        found = [(look, _file(look, path)) for look, (_, path) in zip(seen.looks, wanted, strict=True)]
        contents = [look.content(located) for look, located in found]
        seen.settle()
        caller.stdout.flush()
        out = caller.stdout.buffer
        for content in contents:
            for piece in content:
                out.write(piece)
        out.flush()
    return 0


def _wanted(text: str, caller: Caller) -> tuple[str, bytes]:
    match split_image_path(text, caller.directory):
        case ImagePath(image, bytes() as path):
            return image, path
    raise UsageError(f"there is no path in {text!r}", hint="it is written IMAGE:/PATH, such as app:1:/etc/os-release")


def _file(look: Look, path: bytes) -> Located:
    located = look.find(path)
    if located.entry.kind is not Kind.FILE:
        what = kind_words(located.entry.kind)
        hint = None
        if located.entry.kind is Kind.DIR:
            hint = "`pybuild ls` shows what is in it"
        raise ImageError(f"/{shown(located.entry.path)} in {look.name} is {what}", hint=hint)
    return located

"""`pybuild ls IMAGE[:PATH]`: what is in a directory of an image."""

from __future__ import annotations

from collections.abc import Iterator

from builder.commands.caller import Caller, read_format
from builder.commands.imagepath import split_image_path
from builder.commands.line import Line
from builder.commands.looking import looking
from builder.report.inspection import made_by
from builder.report.listing import Long, Row, listing, listing_json
from builder.stages.look import Look
from builder.tree.accounts import MAX_BYTES, group_names, user_names
from builder.tree.view import Located
from builder.values.entry import Kind


def run(line: Line, caller: Caller) -> int:
    """List what the path names. Raises ImageError (5 where there is nothing), StoreError."""
    as_json = read_format(line.text("format"))
    target = split_image_path(line.word("image_path"), caller.directory)
    with looking([target.image], line, caller) as seen:
        [look] = seen.looks
        rows = list(_rows(look, target.path or b"", line))
        long = _long(look, line.flag("names")) if line.flag("long") else None
        seen.settle()
    lines = [made for _, made in made_by(look.image)]
    if as_json:
        caller.say([listing_json(rows, lines)])
    elif rows:
        caller.say([listing(rows, long, lines if line.flag("layers") else None, caller.columns)])
    return 0


def _rows(look: Look, path: bytes, line: Line) -> Iterator[Row]:
    """What is to be listed: a directory's names, or what is no directory itself."""
    top = look.find(path, follow_last=path.endswith(b"/"))
    if top.entry.kind is Kind.SYMLINK and not line.flag("directory"):
        led = look.lead(path)
        top = led if led is not None and led.entry.kind is Kind.DIR else top
    if top.entry.kind is not Kind.DIR or line.flag("directory"):
        yield _whole(top)
        return
    view = look.view()
    if line.flag("recursive"):
        yield from (_whole(located) for located in view.walk(top.entry.path) if located.entry.path != top.entry.path)
        return
    prefix = top.entry.path + b"/" if top.entry.path else b""
    for name in view.children(top.entry.path):
        located = view.get(prefix + name)
        if located is not None:
            yield Row(name, located)


def _whole(located: Located) -> Row:
    return Row(b"/" + located.entry.path, located)


def _long(look: Look, names: bool) -> Long:
    """How owners are shown: by their numbers, or by the names that the image's own files give them."""
    if not names:
        return Long()
    users = user_names(look.small(b"etc/passwd", MAX_BYTES))
    groups = group_names(look.small(b"etc/group", MAX_BYTES))
    return Long(lambda uid: users.get(uid, str(uid)), lambda gid: groups.get(gid, str(gid)))

"""Files of an image as lines, as `ls` has them, or as JSON. Pure."""

from __future__ import annotations

import json
import stat
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence

from builder.declare import dataclass
from builder.report.tables import columns
from builder.report.text import cut, printable
from builder.tree.view import Located
from builder.values.entry import Entry, Kind

_TYPES = {
    Kind.FILE: ("file", stat.S_IFREG, "a file"),
    Kind.HARDLINK: ("file", stat.S_IFREG, "a file"),
    Kind.DIR: ("directory", stat.S_IFDIR, "a directory"),
    Kind.SYMLINK: ("symlink", stat.S_IFLNK, "a symbolic link"),
    Kind.FIFO: ("fifo", stat.S_IFIFO, "a named pipe"),
    Kind.CHAR: ("character device", stat.S_IFCHR, "a character device"),
    Kind.BLOCK: ("block device", stat.S_IFBLK, "a block device"),
    Kind.SOCKET: ("socket", stat.S_IFSOCK, "a socket"),
}

Name = Callable[[int], str]
"""How a user or group id is shown."""


@dataclass(frozen=True, slots=True)
class Row:
    """A file and the name to list it by."""

    name: bytes
    located: Located


@dataclass(frozen=True, slots=True)
class Long:
    """What `-l` shows beside names: how users and groups are called."""

    user: Name = str
    group: Name = str


def kind_words(kind: Kind) -> str:
    """What a thing is, in words: `a directory`."""
    return _TYPES[kind][2]


def listing(rows: Sequence[Row], long: Long | None, made_by: Sequence[str] | None, width: int | None) -> str:
    """The files, one a line. `long` adds mode, owner, size, time and where links lead; `made_by` (what made each
    layer) adds the layer's number and that; lines of the latter are cut to `width`, if there is one."""
    if long is None and made_by is None:
        return "\n".join(_shown(row.name) for row in rows)
    table = []
    for row in rows:
        name = _shown(row.name)
        cells = []
        if long is not None:
            cells += _facts(row.located.entry, long)
            if row.located.entry.kind is Kind.SYMLINK:
                name += f" -> {_shown(row.located.entry.link)}"
        if made_by is not None:
            layer = row.located.layer
            cells += [str(layer + 1), name, printable(" ".join(made_by[layer].split())) if made_by else ""]
        else:
            cells.append(name)
        table.append(cells)
    count = 5 if long is not None else 0
    right = {3} if long is not None else set()
    text = columns(table, right=frozenset(right | ({count} if made_by is not None else set())))
    return "\n".join(cut(line, width) for line in text.split("\n")) if width and made_by is not None else text


def _facts(entry: Entry, long: Long) -> list[str]:
    return [
        mode_text(entry),
        printable(long.user(entry.uid)),
        printable(long.group(entry.gid)),
        size_text(entry),
        time.strftime("%Y-%m-%d %H:%M", time.gmtime(_seconds(entry.mtime_ns))),
    ]


def mode_text(entry: Entry) -> str:
    """Kind and permissions as `ls` writes them: `drwxr-xr-x`."""
    return stat.filemode(_TYPES[entry.kind][1] | entry.mode)


def size_text(entry: Entry) -> str:
    """A file's bytes, a device's numbers, nothing for what has neither."""
    if entry.kind in (Kind.CHAR, Kind.BLOCK):
        return f"{entry.rdev[0]}, {entry.rdev[1]}"
    return str(entry.size) if entry.kind is Kind.FILE else "-"


def _seconds(mtime_ns: int) -> int:
    """Seconds that a calendar of four-digit years knows."""
    return min(max(mtime_ns // 10**9, -62135596800), 253402300799)


def listing_json(rows: Iterable[Row], made_by: Sequence[str]) -> str:
    """The files as a JSON array. Bytes of names that are no UTF-8 are lone surrogates, escaped."""
    documents = []
    for row in rows:
        layer = row.located.layer
        document = entry_fields(row.located.entry)
        if row.located.first_name != row.located.entry.path:
            document["hardLinkTo"] = path_text(row.located.first_name)
        document |= {"layer": layer + 1, "createdBy": made_by[layer] if made_by else ""}
        documents.append(document)
    return "[\n" + ",\n".join(json.dumps(document) for document in documents) + "\n]" if documents else "[]"


def entry_fields(entry: Entry) -> dict[str, object]:
    """All that a layer says of a path; values of extended attributes in base64."""
    fields: dict[str, object] = {
        "path": path_text(entry.path),
        "type": _TYPES[entry.kind][0],
        "mode": f"{entry.mode:04o}",
        "uid": entry.uid,
        "gid": entry.gid,
        "size": entry.size,
        "mtime": _time_text(entry.mtime_ns),
    }
    if entry.kind is Kind.SYMLINK:
        fields["target"] = _text(entry.link)
    if entry.kind in (Kind.CHAR, Kind.BLOCK):
        fields["device"] = list(entry.rdev)
    if entry.digest:
        fields["digest"] = f"sha256:{entry.digest}"
    if entry.xattrs:
        fields["xattrs"] = {name: b64encode(value).decode() for name, value in entry.xattrs}
    return fields


def path_text(path: bytes) -> str:
    """A path as JSON has it: absolute, exact."""
    return "/" + _text(path)


def _time_text(mtime_ns: int) -> str:
    seconds, fraction = divmod(mtime_ns, 10**9)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(_seconds(mtime_ns)))
    return f"{text}.{fraction:09d}Z" if fraction and seconds == _seconds(mtime_ns) else f"{text}Z"


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _shown(name: bytes) -> str:
    """A name as a terminal may show it, on one line."""
    return printable(_text(name)).replace("\t", "\\x09")

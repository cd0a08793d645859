"""Names of users and groups as an image's own /etc/passwd and /etc/group have them.

The caller reads the two files (bounded, never through a link out of the image) and passes their bytes; nothing of the
host's user database is asked. Sources: passwd(5), group(5); the rules of USER are those of moby's user package.
"""

from __future__ import annotations

from collections.abc import Iterator

from builder.declare import dataclass
from builder.errors import BuildfileError

MAX_BYTES = 1 << 20
"""What is looked at of either file (CVE-2026-47262)."""

_MAX_ID = (1 << 32) - 2  # (uid_t) -1 means "no change" to the kernel, chown(2)


@dataclass(frozen=True, slots=True)
class Account:
    """Who runs a step: ids, the supplementary groups, and the home directory ("/" where nothing names one)."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    home: str = "/"


def resolve_user(text: str, passwd: bytes, group: bytes) -> Account:
    """Who `USER text` is: `name`, `uid`, `name:group`, `uid:gid` and mixtures; "" is root.

    Without a group it is the user's own, and the groups that list the user come with it; a number that no line names
    has group 0. With a group there are no others. `root` needs no line. Raises BuildfileError for another name that is
    in neither file.
    """
    user, colon, group_text = text.partition(":")
    found = _user(user or "0", passwd)
    if found is None:
        number = _number(user, "user")
        if number is None:
            raise _unknown("user", user, "passwd")
        found = _User("", number, 0, "/")
    if colon and group_text:
        return Account(found.uid, _gid(group_text, group), (), found.home)
    groups = sorted({gid for _, gid, members in _groups(group) if found.name and found.name in members})
    return Account(found.uid, found.gid, tuple(gid for gid in groups if gid != found.gid), found.home)


def resolve_owner(text: str, passwd: bytes, group: bytes) -> tuple[int, int]:
    """The owner that `--chown=text` means. Without a group it is the user's own group for a name, and the same number
    for a number. Raises BuildfileError for a name that is in neither file.
    """
    user, colon, group_text = text.partition(":")
    uid = _number(user or "0", "user")
    gid = uid
    if uid is None:
        found = _user(user, passwd)
        if found is None:
            raise _unknown("user", user, "passwd")
        uid, gid = found.uid, found.gid
    if colon and group_text:
        gid = _gid(group_text, group)
    return uid, uid if gid is None else gid


def user_names(passwd: bytes) -> dict[int, str]:
    """What each uid is called; the first line of a number counts, as for getpwuid(3)."""
    names: dict[int, str] = {}
    for fields in _lines(passwd, 7):
        uid = _plain_number(fields[2])
        if uid is not None:
            names.setdefault(uid, fields[0])
    return names


def group_names(group: bytes) -> dict[int, str]:
    """What each gid is called."""
    names: dict[int, str] = {}
    for name, gid, _ in _groups(group):
        names.setdefault(gid, name)
    return names


@dataclass(frozen=True, slots=True)
class _User:
    name: str
    uid: int
    gid: int
    home: str


def _user(text: str, passwd: bytes) -> _User | None:
    """The first line with this name, or else with this number."""
    by_number = None
    for fields in _lines(passwd, 7):
        uid, gid = _plain_number(fields[2]), _plain_number(fields[3])
        if uid is None or gid is None:
            continue
        if fields[0] == text:
            return _User(text, uid, gid, fields[5] or "/")
        if by_number is None and text.isdecimal() and uid == _plain_number(text):
            by_number = _User(fields[0], uid, gid, fields[5] or "/")
    if by_number is None and text == "root":
        return _User(text, 0, 0, "/root")  # an image without /etc/passwd has a root all the same
    return by_number


def _gid(text: str, group: bytes) -> int:
    for name, gid, _ in _groups(group):
        if name == text:
            return gid
    number = 0 if text == "root" else _number(text, "group")
    if number is None:
        raise _unknown("group", text, "group")
    return number


def _groups(group: bytes) -> Iterator[tuple[str, int, list[str]]]:
    for fields in _lines(group, 4):
        gid = _plain_number(fields[2])
        if gid is not None:
            yield fields[0], gid, fields[3].split(",")


def _lines(data: bytes, count: int) -> Iterator[list[str]]:
    """The fields of each line, `count` of them; comments and lines that are no such thing are left out.

    A NUL makes a line no such thing: nothing that stands behind it would reach a program, or an exec would be refused.
    """
    for line in data[:MAX_BYTES].decode("utf-8", "surrogateescape").split("\n"):
        fields = line.strip().split(":")
        if fields[0] and not fields[0].startswith("#") and "\0" not in line:
            yield (fields + [""] * count)[:count]


def _plain_number(text: str) -> int | None:
    if not (text.isascii() and text.isdecimal()) or len(text) > 20:
        return None
    number = int(text)
    return number if number <= _MAX_ID else None


def _number(text: str, what: str) -> int | None:
    """The id that a text of digits is; None for a name. Raises BuildfileError for a number that is no id."""
    if not (text.isascii() and text.isdecimal()):
        return None
    number = _plain_number(text)
    if number is None:
        raise BuildfileError(f"{what} id {text[:40]} is too large", hint=f"ids go from 0 to {_MAX_ID}")
    return number


def _unknown(what: str, name: str, file: str) -> BuildfileError:
    adder = "useradd" if what == "user" else "groupadd"
    return BuildfileError(
        f"there is no {what} {name[:100]!r} in the image's /etc/{file}",
        hint=f"add it first (RUN {adder} {name[:100]}), or give a number",
    )

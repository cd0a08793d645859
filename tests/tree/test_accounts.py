"""Users and groups of an image."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import BuildfileError
from builder.tree.accounts import MAX_BYTES, Account, group_names, resolve_owner, resolve_user, user_names

PASSWD = b"""root:x:0:0:root:/root:/bin/sh
# a comment
daemon:x:1:1::/usr/sbin:/usr/sbin/nologin
broken
app:x:1000:1000:App,,,:/home/app:/bin/sh
homeless:x:1001:100::
bad:x:minus:1::/:
42:x:4200:4200::/forty-two:/bin/sh
"""
GROUP = b"""root:x:0:
daemon:x:1:
www-data:x:33:app,other
app:x:1000:
extra:x:2000:other,app
bad:x:x:app
"""


@pytest.mark.parametrize(
    ("text", "account"),
    [
        ("", Account(0, 0, (), "/root")),
        ("root", Account(0, 0, (), "/root")),
        ("app", Account(1000, 1000, (33, 2000), "/home/app")),
        ("1000", Account(1000, 1000, (33, 2000), "/home/app")),
        ("app:extra", Account(1000, 2000, (), "/home/app")),
        ("app:33", Account(1000, 33, (), "/home/app")),
        ("app:", Account(1000, 1000, (33, 2000), "/home/app")),
        ("1234", Account(1234, 0, (), "/")),
        ("1234:4321", Account(1234, 4321, (), "/")),
        ("1234:extra", Account(1234, 2000, (), "/")),
        ("homeless", Account(1001, 100, (), "/")),
        ("42", Account(4200, 4200, (), "/forty-two")),
    ],
)
def test_user(text: str, account: Account) -> None:
    """USER takes names and numbers; without a group the user's own groups come with it."""
    assert resolve_user(text, PASSWD, GROUP) == account


@pytest.mark.parametrize(
    ("text", "owner"),
    [
        ("app:extra", (1000, 2000)),
        ("daemon", (1, 1)),
        ("homeless", (1001, 100)),
        ("1234", (1234, 1234)),
        ("1000", (1000, 1000)),
        ("1001", (1001, 1001)),
        ("app:33", (1000, 33)),
        ("0:0", (0, 0)),
        ("1234:", (1234, 1234)),
        ("app:", (1000, 1000)),
        (":extra", (0, 2000)),
    ],
)
def test_owner(text: str, owner: tuple[int, int]) -> None:
    """--chown takes names and numbers; a number without a group is its own group."""
    assert resolve_owner(text, PASSWD, GROUP) == owner


@pytest.mark.parametrize("text", ["ghost", "app:ghosts", "bad", "app:bad", "-1", "1 000", "٣", "app:app:app"])
def test_unknown_names_are_plain(text: str) -> None:
    """A name that the image lacks is an error with what to do, for USER and --chown alike."""
    for resolve in (resolve_user, resolve_owner):
        with pytest.raises(BuildfileError, match=r"there is no (user|group)") as caught:
            resolve(text, PASSWD, GROUP)
        assert caught.value.hint


@pytest.mark.parametrize("text", ["4294967295", "99999999999", "0:4294967295", "9" * 5000])
def test_impossible_ids_are_plain(text: str) -> None:
    """A number that is no id is an error; (uid_t) -1 is none."""
    for resolve in (resolve_user, resolve_owner):
        with pytest.raises(BuildfileError, match="too large"):
            resolve(text, PASSWD, GROUP)


def test_image_without_files_has_a_root() -> None:
    """In an image from scratch root is 0, and numbers are numbers."""
    assert resolve_user("root", b"", b"") == Account(0, 0, (), "/root")
    assert resolve_owner("root:root", b"", b"") == (0, 0)
    assert resolve_owner("5:6", b"", b"") == (5, 6)


def test_only_the_first_mebibyte_is_read() -> None:
    """What a hostile file has beyond its first mebibyte does not matter."""
    passwd = b"#" * MAX_BYTES + b"\nghost:x:5:5::/:\n"
    with pytest.raises(BuildfileError):
        resolve_user("ghost", passwd, b"")


@given(st.binary(max_size=200), st.binary(max_size=200), st.text(max_size=10))
def test_any_files_give_ids_or_a_plain_error(passwd: bytes, group: bytes, text: str) -> None:
    """Whatever is in the files, the answer is ids in range or a BuildfileError."""
    try:
        account = resolve_user(text, passwd, group)
        uid, gid = resolve_owner(text, passwd, group)
    except BuildfileError:
        return
    assert all(0 <= number < (1 << 32) - 1 for number in (uid, gid, account.uid, account.gid, *account.groups))


def test_what_ids_are_called() -> None:
    """Each id has the name of the first line with its number; what is no line is passed over."""
    passwd = b"root:x:0:0::/:\ntoor:x:0:0::/:\n# no\nbad:x:y:0::/:\napp:x:1000:1000::/:\n"
    assert user_names(passwd) == {0: "root", 1000: "app"}
    assert group_names(b"root:x:0:\nstaff:x:50:a,b\n\xff\n") == {0: "root", 50: "staff"}


def test_a_line_with_a_nul_is_none() -> None:
    """No program could be given a home or a name that holds a NUL: such a line names nobody."""
    passwd = b"app:x:7:7::/a\0b:/bin/sh\napp:x:8:8::/home:\n"
    assert resolve_user("app", passwd, b"staff\0:x:1:app\n").home == "/home"
    with pytest.raises(BuildfileError):
        resolve_user("app", passwd.splitlines()[0], b"")

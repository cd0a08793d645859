"""Tests of users: names are those of the image's own files, found through its layers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.errors import BuildfileError, ImageError
from builder.oci.layout import LayoutSource
from builder.stages.images import FoundImage
from builder.stages.layers import Layers
from builder.stages.users import ACCOUNTS_LIMIT_BYTES, account_of, owner_of
from builder.store import Store
from builder.tree.accounts import Account
from builder.values.stack import Stack
from tests.stages.builds import Bench, Row, base, row
from tests.stages.plans import AMD64, SPAN

PASSWD = "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/srv/app:/bin/sh\n"
GROUP = "root:x:0:\nwheel:x:10:root\napp:x:1001:\nextra:x:1007:app\n"


class Image:
    """An image's stack, with the layers to ask."""

    def __init__(self, bench: Bench, store: Store, layers: list[list[Row]]) -> None:
        base(bench.room / "base", layers)
        source = LayoutSource(bench.room / "base", "latest")
        found = FoundImage(source.load(AMD64), source)
        self.layers = Layers(store, bench.events.append)
        self.layers.learn(found)
        self.stack = Stack.of(found.image.layers)

    def account(self, user: str) -> Account:
        return account_of(user, self.stack, self.layers, SPAN)

    def owner(self, text: str) -> tuple[int, int]:
        return owner_of(text, self.stack, self.layers, SPAN)


@pytest.fixture
def store(bench: Bench) -> Iterator[Store]:
    with Store.open(bench.root) as opened:
        yield opened


@pytest.fixture
def image(bench: Bench, store: Store) -> Image:
    """An image with a few accounts, in its second layer."""
    first = [row("etc"), row("etc/passwd", "old:x:5:5::/:/bin/sh\n")]
    return Image(bench, store, [first, [row("etc/passwd", PASSWD), row("etc/group", GROUP)]])


@pytest.mark.parametrize(
    ("user", "account"),
    [
        ("app", Account(1000, 1001, (1007,), "/srv/app")),
        ("1000", Account(1000, 1001, (1007,), "/srv/app")),
        ("app:wheel", Account(1000, 10, (), "/srv/app")),
        ("1000:5", Account(1000, 5, (), "/srv/app")),
        ("4321", Account(4321, 0, (), "/")),
        ("", Account(0, 0, (10,), "/root")),
        ("root", Account(0, 0, (10,), "/root")),
        ("0", Account(0, 0, (10,), "/root")),
        (":app", Account(0, 1001, (), "/root")),
    ],
)
def test_accounts(image: Image, user: str, account: Account) -> None:
    """By name and number, with the groups that list the user; root has its groups and home like anybody."""
    assert image.account(user) == account


@pytest.mark.parametrize(
    ("text", "owner"),
    [("app", (1000, 1001)), ("app:extra", (1000, 1007)), ("5", (5, 5)), ("5:6", (5, 6)), ("5:app", (5, 1001))],
)
def test_owners(image: Image, text: str, owner: tuple[int, int]) -> None:
    """--chown: a name has its own group, a number the group of the same number."""
    assert image.owner(text) == owner


@pytest.mark.parametrize("name", ["nobody", "old", "app:nogroup", "daemon:app"])
def test_unknown_names_have_a_place(image: Image, name: str) -> None:
    """What the image does not know is an error at the instruction, though the host or a hidden layer may know it."""
    for ask in (image.account, image.owner):
        with pytest.raises(BuildfileError) as caught:
            ask(name)
        assert caught.value.span == SPAN


def test_an_image_without_accounts_has_root(bench: Bench, store: Store) -> None:
    """And every number; its home is the root directory."""
    image = Image(bench, store, [[row("x", "")]])
    for user in ("", "root", "0", "0:0"):
        account = image.account(user)
        assert (account.uid, account.gid, account.groups) == (0, 0, ())
    assert image.account("7:8") == Account(7, 8, (), "/")
    assert account_of("", Stack(), image.layers, SPAN).uid == 0


def test_numbers_ask_nobody(bench: Bench, store: Store) -> None:
    """--chown with numbers reads no layer: a base that was never fetched stays where it is."""
    image = Image(bench, store, [[row("etc"), row("etc/passwd", PASSWD)]])
    assert image.owner("1:2") == (1, 2)
    assert bench.events == []


def test_a_link_for_passwd_stays_in_the_image(bench: Bench, store: Store, tmp_path: Path) -> None:
    """/etc/passwd as a link leads inside the image, never to the host's (CVE-2024-9676)."""
    (tmp_path / "passwd").write_text("evil:x:1:1::/:\n")
    link = {"path": "etc/passwd", "type": "symlink", "to": str(tmp_path / "passwd")}
    image = Image(bench, store, [[row("etc"), link]])
    with pytest.raises(BuildfileError):
        image.account("evil")
    with pytest.raises(BuildfileError):
        image.owner("evil")


def test_a_huge_passwd_is_refused(bench: Bench, store: Store) -> None:
    """Nobody's accounts take so many megabytes; memory is not for an image to fill."""
    image = Image(bench, store, [[row("etc"), row("etc/passwd", "#" * (ACCOUNTS_LIMIT_BYTES + 1))]])
    with pytest.raises(ImageError):
        image.account("app")

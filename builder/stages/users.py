"""Who a name is: USER and --chown looked up in the image's own /etc/passwd and /etc/group, never in the host's.

Both files are read through the layers' indexes, bounded, and only if they are regular files (CVE-2024-9676).
"""

from __future__ import annotations

from builder.errors import BuildfileError
from builder.source import Span
from builder.stages.layers import Layers
from builder.tree.accounts import Account, resolve_owner, resolve_user
from builder.values.stack import Stack

ACCOUNTS_LIMIT_BYTES = 4 << 20


def account_of(user: str, stack: Stack, layers: Layers, span: Span) -> Account:
    """The ids, groups and home of a USER. Raises BuildfileError at `span` for a name that the image lacks.

    Root is looked up like anybody: images give it a home and further groups.
    """
    passwd, group = _files(stack, layers)
    try:
        return resolve_user(user if user[:1] not in ("", ":") else "0" + user, passwd, group)
    except BuildfileError as error:
        raise error.at(span) from None


def owner_of(text: str, stack: Stack, layers: Layers, span: Span) -> tuple[int, int]:
    """The ids that a --chown value names. Raises BuildfileError at `span`."""
    needs_files = not all(part.isdecimal() for part in text.split(":"))
    passwd, group = _files(stack, layers) if needs_files else (b"", b"")
    try:
        return resolve_owner(text, passwd, group)
    except BuildfileError as error:
        raise error.at(span) from None


def _files(stack: Stack, layers: Layers) -> tuple[bytes, bytes]:
    passwd = layers.read_small(stack, b"etc/passwd", ACCOUNTS_LIMIT_BYTES)
    return passwd, layers.read_small(stack, b"etc/group", ACCOUNTS_LIMIT_BYTES)

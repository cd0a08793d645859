"""What a secret looks like where somebody has written it down: as it is, and as encoders write it.

Two ask: whoever shows output takes the `shown_forms` out of it, and whoever packs a layer looks for the `traces` in it.
Pure; nothing here shows or keeps a value.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from typing import NamedTuple

SHORTEST_SHOWN_BYTES = 4
"""Shorter values and lines are not hidden: a `{` would be replaced everywhere and protect nothing."""
SHORTEST_TELLING_BYTES = 8
"""Shorter values are not looked for, nor hidden where they are encoded: too much else looks like them."""

_PLAIN_WORD_BYTES = 16  # letters alone say less: `password` and `production` are in every image
_RANDOM_BYTES = 20
_HEX_BYTES = 32
_MOST_NAMED = 4
_MOST_RANDOM = 2  # a key of 50 lines is found by any of them
_MOST_BYTES = 4096  # of what is looked for at once
_WINDOW = 24  # base64(1) breaks its lines at 76, openssl at 64: of two windows side by side one stays whole
_WRAPS = (76, 64)

_PUBLIC = re.compile(
    rb"-----BEGIN ((?:TRUSTED |X509 )?CERTIFICATE|(?:RSA )?PUBLIC KEY)-----.*?-----END \1-----", re.DOTALL
)
_RUN = re.compile(rb"[A-Za-z0-9+/_-]{20,}")
_NAMED = re.compile(
    rb"(?:password|passwd|passphrase|secret|token|key|auth|pass|pwd)[\"']?(?:\s*[:=]\s*|[ \t]+)[\"']?([^\s\"',;]{8,})",
    re.IGNORECASE,
)
_IN_URL = re.compile(rb"://[^\s/:@]*:([^\s/@]{8,})@")
_NO_VALUE = (b"-----", b"$", b"ssh-", b"ecdsa-", b"/", b"~/")  # a key's frame or kind, a variable, a path
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_LEFT_ALONE = (b"", b"/", b"!'()*", b":@!$&'()*+,;=")  # by RFC 3986, Python's quote, JavaScript, parts of a path


class Trace(NamedTuple):
    """Bytes that show a secret, and in which form they have it, as one says it of a file."""

    data: bytes
    form: str


def is_telling(value: bytes) -> bool:
    """Whether finding the value means anything: at least 8 bytes, and 16 where it is letters alone."""
    return len(value) >= (_PLAIN_WORD_BYTES if value.isalpha() else SHORTEST_TELLING_BYTES)


def shown_forms(value: bytes) -> set[bytes]:
    """All that is to be hidden of a secret: itself, its lines (output comes by lines), its pieces, and their codes."""
    whole = value.strip()
    lines = {line.strip() for line in (*whole.splitlines(), *whole.replace(rb"\n", b"\n").splitlines())}
    shown = {word for word in (whole, *lines) if len(word) >= SHORTEST_SHOWN_BYTES}
    for word in (whole, *pieces(whole)):
        if len(word) >= SHORTEST_TELLING_BYTES:
            shown.add(word)
            shown.update(form.data for form in _encoded(word))
    shown.update(form for word in tuple(shown) for form in _quoted(word))
    text = b64encode(value)
    for width in _WRAPS:
        rows = (text[at : at + width] for at in range(0, len(text), width))
        shown.update(row for row in rows if len(text) > width and len(row) >= SHORTEST_TELLING_BYTES)
    return {word for word in shown if word}


def traces(value: bytes) -> tuple[Trace, ...]:
    """What to look for to find a secret; () where it is not `is_telling`, or public by its kind (certificates)."""
    secret = _PUBLIC.sub(b"", value).strip()
    found: dict[bytes, Trace] = {}
    if is_telling(secret):
        found[secret] = Trace(_middle(secret, _MOST_BYTES), "as it is")
    for word in pieces(secret) or (secret,):
        if is_telling(word):
            found.setdefault(word, Trace(word, "as it is"))
            for form in _encoded(word):
                for window in _windows(form):
                    found.setdefault(window, Trace(window, form.form))
    return tuple(found.values())


def pieces(value: bytes) -> tuple[bytes, ...]:
    """The words of a file of secrets (a key, a .netrc, a JSON document) that are secrets by themselves; a few of them.

    A tool copies the token out of its file, not the file. What is called a password or a token is one, the password
    in a URL, and what looks random; () for a value that is one word.
    """
    if len(value.split(None, 1)) < 2 and not re.search(rb"[=:\"]", value):
        return ()
    named = [*_NAMED.findall(value), *_IN_URL.findall(value)]
    named = [word for word in named if b"://" not in word and not word.startswith(_NO_VALUE) and is_telling(word)]
    runs = (run for run in _RUN.findall(value) if _looks_random(run) and not any(run in word for word in named))
    random = sorted({_middle(run, 2 * _RANDOM_BYTES) for run in runs}, key=_by_length)
    return tuple(dict.fromkeys((*named[:_MOST_NAMED], *random[:_MOST_RANDOM])))


def _by_length(word: bytes) -> tuple[int, bytes]:
    return -len(word), word


def _middle(word: bytes, most: int) -> bytes:
    start = max(len(word) - most, 0) // 2
    return word[start : start + most]


def _looks_random(run: bytes) -> bool:
    """Whether nobody has made it up. The beginning of JSON web tokens is the same in many; paths have slashes."""
    if run.startswith(b"eyJ") or max(run.count(b"/"), run.count(b"-")) * 8 > len(run):
        return False
    if not re.search(rb"[0-9]", run) or not re.search(rb"[a-z]", run):
        return False
    return len(run) >= _HEX_BYTES if re.fullmatch(rb"[0-9a-f]+", run) else re.search(rb"[A-Z]", run) is not None


def _encoded(word: bytes) -> Iterator[Trace]:
    """The word as others write it; what they leave as it is, is left out."""
    for text in _base64(word):
        yield Trace(text, "in base64")
        if b"+" in text or b"/" in text:
            yield Trace(text.replace(b"+", b"-").replace(b"/", b"_"), "in base64")
    hexadecimal = word.hex().encode()
    yield Trace(hexadecimal, "in hex")
    if hexadecimal.upper() != hexadecimal:
        yield Trace(hexadecimal.upper(), "in hex")
    for text in {*_percent(word)} - {word}:
        yield Trace(text, "URL-encoded")
    for text in {*_json(word)} - {word}:
        yield Trace(text, "JSON-escaped")


def _quoted(word: bytes) -> Iterator[bytes]:
    """The word as `set -x` shows it where it has an apostrophe: by bash, then by busybox."""
    if b"'" in word:
        yield word.replace(b"'", rb"'\''")
        yield word.replace(b"'", b"""'"'"'""")


def _base64(word: bytes) -> Iterator[bytes]:
    """The word in base64 after 0, 1 and 2 bytes of something else, without what its neighbours have a part in."""
    for before in range(3):
        text = b64encode(b"\0" * before + word)
        yield text[-(-8 * before // 6) : 8 * (before + len(word)) // 6]


def _percent(word: bytes) -> Iterator[bytes]:
    for left_alone in _LEFT_ALONE:
        kept = _UNRESERVED | set(left_alone)
        for escape in ("%%%02X", "%%%02x"):
            text = "".join(chr(byte) if byte in kept else escape % byte for byte in word).encode()
            yield text
            yield text.replace(b"%20", b"+")


def _json(word: bytes) -> tuple[bytes, ...]:
    """With and without escapes for what is not ASCII; nothing for what is no text."""
    try:
        text = word.decode()
    except UnicodeDecodeError:
        return ()
    return tuple(json.dumps(text, ensure_ascii=ascii_only)[1:-1].encode() for ascii_only in (True, False))


def _windows(form: Trace) -> tuple[bytes, ...]:
    """What to look for to find an encoded word in spite of line breaks, away from a beginning that others share."""
    if form.form == "in hex":
        return (_middle(form.data, 2 * _RANDOM_BYTES),)
    if form.form != "in base64" or len(form.data) <= _WINDOW:
        return (_middle(form.data, _MOST_BYTES),)
    both = _middle(form.data, 2 * _WINDOW)
    half = len(both) // 2
    return both[:half], both[half:]

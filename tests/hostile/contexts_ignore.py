"""Cases: ignore files and wildcards that would keep a careless matcher busy, or mean other than they show."""

from __future__ import annotations

from tests.hostile.buildfiles import BuildCase, Ground
from tests.hostile.contexts import CLIMB, CONTEXT, Make, both, files
from tests.hostile.outcomes import Accepted, Contained, Refused

ALL = "FROM scratch\nCOPY . /\n"
_LONG = "a" * 200


def ignore(data: bytes) -> Make:
    """An ignore file with these bytes."""

    def make(ground: Ground) -> None:
        (ground.context / ".dockerignore").write_bytes(data)

    return make


def _tree(ground: Ground) -> None:
    path = ground.context
    for _ in range(18):
        path = path / _LONG
        path.mkdir()
        (path / "f").write_text("x")


_FILES = files(secret="x", a__b="x")

PATTERNS = {
    "stars": b"*a*a*a*a*a*a*a*a*a*a*a*a*b\n",
    "double stars": b"**/**/**/**/**/**/**/**/**/b\n",
    "double stars with names": b"**/a*/**/a*/**/a*/**/a*/**/a*/**/b\n",
    "stars before stars": b"**a**a**a**a**a**a**a**b\n",
    "question marks": b"?" * 300 + b"\n",
    "classes": b"[a-z]*[a-z]*[a-z]*[a-z]*[a-z]*[a-z]*[a-z]*[^a]\n",
    "a class with a slash": b"**[/a]**[/a]**[/a]**[/a]**b\n",
    "taking back": b"*\n!**/a*/**/a*/**/b\n!**/**/**\n",
    "a hundred thousand stars": b"*" * 100_000 + b"b\n",
    "a name of 256 KB": b"a" * (1 << 18) + b"\n",
    "a hundred thousand slashes": b"/" * 100_000 + b"a\n",
    "ten thousand times up": b"../" * 10_000 + b"a\n",
    "ten thousand classes": b"[a]" * 10_000 + b"\n",
    "a NUL": b"a\0b\nsecret\n",
    "a byte order mark": b"\xef\xbb\xbfsecret\n",
    "line ends of Windows": b"secret\r\na\r\n",
    "UTF-16": "secret\n".encode("utf-16"),
    "bytes": b"\xff\xfe\x80*\n",
    "escapes": b"\x1b[2J\x07\n\xe2\x80\xae\n",
    "up and out": CLIMB.encode() + b"etc\n!" + CLIMB.encode() + b"etc/passwd\n",
    "everything and everything back": b"*\n!*\n" * 500,
}
IGNORE = (
    *(
        BuildCase(f"ignore file: {what}", ALL, Contained(), both(_FILES, _tree, ignore(data)))
        for what, data in PATTERNS.items()
    ),
    *(
        BuildCase(f"ignore file: {what}", ALL, Refused("pattern", 3), both(_FILES, ignore(data)))
        for what, data in (
            ("an open class", b"[[[["),
            ("a class of nothing", b"[]\n"),
            ("a backslash at the end", b"a\\"),
            ("a pattern that paints", b"[\x1b[2J\x07\xe2\x80\xae"),
            ("an open class of 256 KB", b"[" * (1 << 18)),
        )
    ),
    BuildCase(
        "ignore file: 100,000 rules",
        ALL,
        Contained(),
        both(_FILES, ignore(b"".join(b"name%d\n" % n for n in range(100_000)))),
    ),
    BuildCase(
        "ignore file: 20,000 rules with stars",
        ALL,
        Contained(),
        both(_FILES, ignore(b"".join(b"**/x%d*/*y\n" % n for n in range(20_000)))),
    ),
    BuildCase(
        "ignore file: 20,000 rules by turns",
        ALL,
        Contained(),
        both(_FILES, ignore(b"".join(b"a%d*\n!a%d*b\n" % (n, n) for n in range(10_000)))),
    ),
    BuildCase("ignore file: a megabyte of comments", ALL, Accepted(), both(_FILES, ignore(b"# \x1b[2J\n" * 130_000))),
)

GLOBS = (
    *(
        BuildCase(f"COPY of {pattern[:40]}", f'FROM scratch\nCOPY ["{pattern}", "/x/"]\n', Contained(), _tree)
        for pattern in (
            "*a*a*a*a*a*a*a*a*a*a*a*a*b",
            "**/**/**/**/**/**",
            "a*/a*/a*/a*/a*/a*/a*/f",
            "[a-z]*[a-z]*[a-z]*[a-z]*[a-z]*0",
            "*/../*/../*/../*/../*/../*/f",
            "?" * 255,
        )
    ),
    *(
        BuildCase(
            f"COPY --parents of {pattern[:40]}",
            f'FROM scratch\nCOPY --parents ["{pattern}", "/x/"]\n',
            Contained(),
            _tree,
        )
        for pattern in ("**/**/**/**/**/f", "**/a*/**/a*/**/a*/**/a*/f", "*/./*/./*", "/**/../**/../**/f")
    ),
    *(
        BuildCase(f"COPY of {pattern}", f"FROM scratch\nCOPY {pattern} /x/\n", Refused("", status), _tree)
        for pattern, status in (("[[[[", 3), ("[a", 3), ("a[", 3), ("[]a", 3), ("missing", CONTEXT))
    ),
    *(
        BuildCase(
            f"COPY --exclude={pattern[:30]}", f"FROM scratch\nCOPY --exclude={pattern} . /x/\n", Contained(), _tree
        )
        for pattern in ("*a*a*a*a*a*a*a*b", "**/a*/**/a*/**/a*/**/b", "[[[[", "!**", "**", "../../**")
    ),
)

CASES = (*IGNORE, *GLOBS)

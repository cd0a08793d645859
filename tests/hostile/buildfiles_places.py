"""Cases: where an image's own links lead what is put into it, and what its files of names say who somebody is."""

from __future__ import annotations

import os
from collections.abc import Callable

from tests.hostile.buildfiles import BuildCase, Ground
from tests.hostile.contexts import Make, both, files
from tests.hostile.outcomes import Accepted, Contained, Refused
from tests.hostile.tars import UP, file, folder, hard, head, link, long_file
from tests.tree.rawtar import END, FIFO, pax

BUILDFILE = 3
Part = Callable[[bytes], bytes]


def image(*parts: Part, name: str = "evil") -> Make:
    """An image with a layer above that of the base, its parts told where outside is."""

    def make(ground: Ground) -> None:
        outside = os.fsencode(ground.outside.path)
        tar = b"".join(part(outside) for part in parts) + END
        ground.image(name, {"Env": ["PATH=/bin"]}, ground.bench.layer, tar)

    return make


def _plain(data: bytes) -> Part:
    return lambda _: data


_LINKS: dict[str, Part] = {
    "an absolute link out": lambda outside: link(b"d", outside),
    "a link that climbs out": lambda outside: link(b"d", UP + outside[1:]),
    "a hanging link out": lambda outside: link(b"d", outside + b"/new/er"),
    "a link to the canary": lambda outside: link(b"d", outside + b"/canary"),
    "links in a row": lambda outside: link(b"d", b"e/f") + folder(b"e") + link(b"e/f", b"../g") + link(b"g", outside),
    "a link to itself": _plain(link(b"d", b"d")),
    "a ring of links": _plain(link(b"d", b"e") + link(b"e", b"d")),
    "a link to /proc/self/root": lambda outside: link(b"d", b"/proc/self/root" + outside),
    "a link to /proc/self/cwd": _plain(link(b"d", b"/proc/self/cwd")),
    "a link to /dev": _plain(link(b"d", b"/dev")),
    "a link to /": _plain(link(b"d", b"/")),
    "a fifo": _plain(head(b"d", FIFO)),
    "a file": _plain(file(b"d")),
}
_STEPS = {
    "COPY to": "COPY f /d",
    "COPY below": "COPY f /d/canary",
    "COPY a directory to": "COPY t /d/",
    "COPY --parents to": "COPY --parents t/canary /d/",
    "COPY --link to": "COPY --link f /d/canary",
    "COPY --chown to": "COPY --chown=1:1 --chmod=777 f /d/canary",
    "ADD an archive to": "ADD x.tar /d/",
    "WORKDIR": "WORKDIR /d/inner/new",
    "a heredoc to": "COPY <<canary /d/\nevil\ncanary",
}


def _archive(ground: Ground) -> None:
    (ground.context / "x.tar").write_bytes(file(b"canary") + file(b"inner/canary") + link(b"l", b"/") + END)


_SOURCES = both(files(f="evil", t__canary="evil", t__inner__canary="evil"), _archive)
DESTINATIONS = tuple(
    BuildCase(f"{step} {what}", f"FROM oci:../images/evil\n{text}\n", Contained(), both(_SOURCES, image(part)))
    for number, (what, part) in enumerate(_LINKS.items())
    for place, (step, text) in enumerate(_STEPS.items())
    if number < 1 or (number + place) % 4 == 0
)

_RUN = "FROM oci:../images/evil\n"


def _two_archives(ground: Ground) -> None:
    (ground.context / "a.tar").write_bytes(link(b"s", os.fsencode(ground.outside.path)) + END)
    (ground.context / "b.tar").write_bytes(file(b"s/canary") + file(b"s/new") + END)


_CHAIN = (
    BuildCase(
        "WORKDIR through a link out, and a step that writes",
        _RUN + "WORKDIR /d\nRUN echo evil >canary; echo evil >new; cat canary\n",
        Contained(),
        image(_LINKS["an absolute link out"]),
    ),
    BuildCase(
        "a step that makes links out, and a COPY through them",
        "FROM @BASE@\nRUN ln -s @OUT@ /d; ln -s ../../../../../../../..@OUT@ /e\nCOPY f /d/canary\nCOPY f /e/canary\n",
        Accepted(),
        files(f="evil"),
    ),
    BuildCase(
        "COPY --from through a link out",
        "FROM scratch\nCOPY --from=oci:../images/evil /d/canary /x\n",
        Refused("not found", 4),
        image(_LINKS["an absolute link out"]),
    ),
    BuildCase(
        "COPY --from with wildcards through a link out",
        "FROM scratch\nCOPY --from=oci:../images/evil /d/* /x/\n",
        Contained(),
        image(_LINKS["an absolute link out"]),
    ),
    BuildCase(
        "COPY --from of all, links out among it",
        "FROM @BASE@\nCOPY --from=oci:../images/evil / /\nRUN cat /d/canary || true\n",
        Contained(),
        image(_LINKS["an absolute link out"], _plain(folder(b"e") + head(b"e/p", FIFO))),
    ),
    BuildCase(
        "ADD of a link's archive below a directory that becomes a link",
        "FROM scratch\nADD a.tar /d/\nADD b.tar /d/\n",
        Contained(),
        _two_archives,
    ),
    BuildCase(
        "-o type=local of an image of links out",
        "FROM oci:../images/evil\n",
        Contained(),
        image(
            lambda outside: link(b"a", outside) + link(b"b", UP + outside[1:] + b"/canary"),
            lambda outside: file(b"f") + hard(b"h", b"f") + link(b"abs", outside + b"/new"),
        ),
        ("-o", "type=local,dest=../out", "."),
    ),
    BuildCase(
        "-o type=local over links out that an earlier one left",
        "FROM oci:../images/evil\n",
        Contained(),
        both(
            image(_plain(folder(b"d") + file(b"d/canary") + file(b"c") + file(b"x/canary"))),
            lambda ground: _left_links(ground),
        ),
        ("-o", "type=local,dest=../out", "."),
    ),
)


def _left_links(ground: Ground) -> None:
    out = ground.room.path / "out"
    out.mkdir()
    (out / "d").symlink_to(ground.outside.path)
    (out / "c").symlink_to(ground.outside.path / "canary")
    (out / "x").symlink_to("../../outside")


_PASSWD: dict[str, Part] = {
    "a link out": lambda outside: link(b"etc/passwd", outside + b"/canary"),
    "a link to /dev/zero": _plain(link(b"etc/passwd", b"/dev/zero")),
    "a link to itself": _plain(link(b"etc/passwd", b"passwd")),
    "a fifo": _plain(head(b"etc/passwd", FIFO)),
    "a directory": _plain(folder(b"etc/passwd")),
    "an endless line": _plain(file(b"etc/passwd", b"a" * (3 << 20))),
    "of many lines": _plain(file(b"etc/passwd", b"x:x:1:1::/:/bin/sh\n" * 100_000)),
    "of 50 MB": _plain(file(b"etc/passwd", b"x" * (50 << 20))),
    "of negative ids": _plain(file(b"etc/passwd", b"evil:x:-1:-1::/:/bin/sh\n")),
    "of huge ids": _plain(file(b"etc/passwd", b"evil:x:4294967296:99999999999999999999::/:/bin/sh\n")),
    "of ids of 2**32-1": _plain(file(b"etc/passwd", b"evil:x:4294967295:4294967295::/:/bin/sh\n")),
    "with NULs": _plain(file(b"etc/passwd", b"evil\0:x:0:0::/\0:/bin/sh\0\n" * 9)),
    "with a home that paints": _plain(file(b"etc/passwd", b"evil:x:7:7::/\x1b[2J\x07\xff:/bin/sh\n")),
    "with a home of NULs": _plain(file(b"etc/passwd", b"evil:x:7:7::/a\0b:/bin/sh\n")),
    "with digits of other scripts": _plain(file(b"etc/passwd", "evil:x:٣:²::/:/bin/sh\n".encode())),
    "of nonsense": _plain(file(b"etc/passwd", b":::::::::\n\xff\xfe\n+::::::\n" * 50)),
}
_GROUP: dict[str, Part] = {
    "a link out": lambda outside: link(b"etc/group", outside + b"/canary"),
    "a fifo": _plain(head(b"etc/group", FIFO)),
    "of a thousand groups": _plain(file(b"etc/group", b"".join(b"g%d:x:%d:evil\n" % (n, n) for n in range(1000)))),
    "of 70,000 groups": _plain(file(b"etc/group", b"".join(b"g%d:x:%d:evil\n" % (n, n) for n in range(70_000)))),
    "of huge ids": _plain(file(b"etc/group", b"evil:x:99999999999:evil\nevil2:x:-5:evil\n")),
    "with NULs": _plain(file(b"etc/group", b"evil\0:x:1\0:evil\n")),
}
_GOOD = file(b"etc/passwd", b"evil:x:7:7::/:/bin/sh\n")
ACCOUNTS = (
    *(
        BuildCase(
            f"USER and --chown, a passwd {what}",
            _RUN + "COPY --chown=evil f /f\nUSER evil\nWORKDIR /made\nRUN id\n",
            Contained(),
            both(files(f="x"), image(_plain(folder(b"etc")), part)),
        )
        for what, part in _PASSWD.items()
    ),
    *(
        BuildCase(
            f"USER and --chown, a group file {what}",
            _RUN + "COPY --chown=7:evil f /f\nUSER evil\nRUN id\n",
            Contained(),
            both(files(f="x"), image(_plain(folder(b"etc") + _GOOD), part)),
        )
        for what, part in _GROUP.items()
    ),
    *(
        BuildCase(f"USER {user!r}", f"FROM @BASE@\nUSER {user}\nRUN id\n", Contained())
        for user in (
            "-1",
            "4294967295",
            "4294967296",
            "9" * 5000,
            "0x10",
            "1e3",
            "٣",
            "root:-1",
            "1:99999999999",
            ":::",
            "../../etc",
            "\x1b[2J\x07",
            "root\u202e",
        )
    ),
    *(
        BuildCase(f"USER {user}", f"FROM @BASE@\nUSER {user}\nRUN id\n", Refused("cannot run as", 6))
        for user in ("200000", "2147483647:2147483647")
    ),
    *(
        BuildCase(f"--chown={owner!r}", f"FROM @BASE@\nCOPY --chown={owner} f /f\nRUN ls /f", Contained(), files(f="x"))
        for owner in ("-1:-1", "4294967295", "99999999999999999999", "²", "a:b:c", ":", "\x1b[2J", "65536:65536")
    ),
)


_PARENTS = b"".join(long_file(b"%d/" % n + b"d/" * 1900 + b"f", b"") for n in range(400))
"""Few entries, each below directories of its own: what is implied is far more than what is written."""


def _bomb_of_parents(ground: Ground) -> None:
    (ground.context / "x.tar").write_bytes(_PARENTS + END)


def _turns(ground: Ground) -> None:
    """Names that are by turns a file and a directory, beside a great many others."""
    many = b"".join(head(b"d/%d" % n) for n in range(30_000))
    (ground.context / "x.tar").write_bytes(many + (file(b"x") + folder(b"x")) * 5_000 + END)


def _long_links(ground: Ground) -> None:
    """Links that lead through each other, and many files through them."""
    links = b"".join(link(b"l%d" % n, b"l%d/" % (n + 1) + b"./" * 1500) for n in range(39)) + folder(b"l39")
    (ground.context / "x.tar").write_bytes(links + b"".join(file(b"l0/%d" % n) for n in range(2_000)) + END)


def _hard_links(ground: Ground) -> None:
    (ground.context / "x.tar").write_bytes(file(b"f") + b"".join(hard(b"h%d" % n, b"f") for n in range(50_000)) + END)


def _attributes(ground: Ground) -> None:
    marks = pax([(b"SCHILY.xattr.user.overlay.opaque", b"y"), (b"SCHILY.xattr.trusted.x", b"y")])
    (ground.context / "x.tar").write_bytes(marks + folder(b"d") + END)


_WORK: dict[str, Make] = {
    "entries below 1,900 directories each": _bomb_of_parents,
    "names that change their kind": _turns,
    "links of links": _long_links,
    "50,000 hard links": _hard_links,
    "attributes": _attributes,
}
ARCHIVES = (
    *(
        BuildCase(f"ADD of an archive of {what}", "FROM scratch\nADD x.tar /\n", Contained(), make)
        for what, make in _WORK.items()
    ),
    *(
        BuildCase(
            f"a layer of entries below 1,900 directories each, and a {text.split()[0]} on it",
            f"FROM oci:../images/evil\n{text}\n",
            Refused("the directories that a layer has something in", 5),
            both(files(f="x"), image(_plain(_PARENTS))),
        )
        for text in ("RUN true", "COPY f /x/")
    ),
)

CASES = (*DESTINATIONS, *_CHAIN, *ACCOUNTS, *ARCHIVES)

"""Cases: files of a context that are links out of it, no files at all, too large, too deep, or of strange names."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

from tests.hostile.buildfiles import BuildCase, Ground
from tests.hostile.outcomes import Accepted, Contained, Refused

CONTEXT, BUILDFILE = 4, 3
Make = Callable[[Ground], None]


def links(**targets: str) -> Make:
    """Symlinks in the context by their names (`__` is `/`); @OUT@ in a target is the directory outside."""

    def make(ground: Ground) -> None:
        for name, target in targets.items():
            path = ground.context / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(ground.filled(target))

    return make


def files(**contents: str) -> Make:
    """Files in the context by their names (`__` is `/`)."""

    def make(ground: Ground) -> None:
        for name, content in contents.items():
            path = ground.context / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    return make


def both(*makers: Make) -> Make:
    """One after the other."""

    def make(ground: Ground) -> None:
        for maker in makers:
            maker(ground)

    return make


def fifo(name: str) -> Make:
    """A named pipe in the context."""
    return lambda ground: os.mkfifo(ground.context / name)


def a_socket(name: str) -> Make:
    """A socket in the context."""

    def make(ground: Ground) -> None:
        here = os.getcwd()
        os.chdir(ground.context)  # an address has room for 107 bytes
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(name)
        os.chdir(here)

    return make


def sparse(name: str, size: int) -> Make:
    """A file of a size that is on no disk."""

    def make(ground: Ground) -> None:
        with open(ground.context / name, "wb") as stream:
            stream.truncate(size)

    return make


def _copy(source: str, target: str = "/") -> str:
    return f"FROM scratch\nCOPY {source} {target}\n"


CLIMB = "../" * 24
_TARGETS = {
    "an absolute link": "@OUT@/canary",
    "a link that climbs": "../../outside/canary",
    "a link that climbs for ever": CLIMB + "@OUT@/canary",
    "a link to /proc/self/root": "/proc/self/root@OUT@/canary",
    "a link to /proc/self/environ": "/proc/self/environ",
    "a link to /proc/self/fd/0": "/proc/self/fd/0",
    "a link to /dev/zero": "/dev/zero",
    "a link to /etc/passwd": "/etc/passwd",
}
SOURCES = (
    *(
        BuildCase(f"COPY of {what}", _copy("link"), Refused("not found", CONTEXT), links(link=target))
        for what, target in _TARGETS.items()
    ),
    *(
        BuildCase(f"ADD of {what}", "FROM scratch\nADD link /", Refused("not found", CONTEXT), links(link=target))
        for what, target in _TARGETS.items()
    ),
    *(
        BuildCase(f"COPY --parents of {what}", _copy("--parents ./link"), Refused("", CONTEXT), links(link=target))
        for what, target in list(_TARGETS.items())[:2]
    ),
    BuildCase("COPY of everything, links out among it", _copy("."), Accepted(), links(a="@OUT@/canary", b="@OUT@")),
    BuildCase("COPY of a wildcard that matches a link out", _copy("l*"), Contained(), links(link="@OUT@/canary")),
    BuildCase("COPY through a link out", _copy("d/canary"), Refused("", CONTEXT), links(d="@OUT@")),
    BuildCase("COPY of a wildcard through a link out", _copy("d/*", "/x/"), Contained(), links(d="@OUT@")),
    BuildCase("COPY of all wildcards through a link out", _copy("*/*", "/x/"), Contained(), links(d="@OUT@")),
    BuildCase(
        "COPY --parents of ** through a link out", _copy("--parents ./**/canary", "/x/"), Contained(), links(d="@OUT@")
    ),
    BuildCase("COPY through links in a row", _copy("c"), Refused("", CONTEXT), links(a="@OUT@", b="a", c="b/canary")),
    BuildCase("COPY of a link to itself", _copy("l"), Refused("", CONTEXT), links(l="l")),
    BuildCase("COPY of a ring of links", _copy("a"), Refused("", CONTEXT), links(a="b", b="a")),
    BuildCase(
        "COPY through 45 links",
        _copy("l0"),
        Refused("", CONTEXT),
        both(files(l45="x"), links(**{f"l{n}": f"l{n + 1}" for n in range(45)})),
    ),
    BuildCase("COPY of a link to the context's parent", _copy("l", "/x"), Contained(), links(l="..")),
    BuildCase("COPY of a source that climbs", _copy("../../outside/canary"), Refused("not found", CONTEXT)),
    BuildCase("COPY of an absolute source", _copy("@OUT@/canary"), Refused("not found", CONTEXT)),
    BuildCase("COPY of a source that climbs behind a wildcard", _copy("*/../../../outside/*", "/x/"), Contained()),
    BuildCase(
        "COPY of a pivot that climbs", _copy("--parents ../../outside/./canary", "/x/"), Refused("not found", CONTEXT)
    ),
    BuildCase("COPY of an empty source", 'FROM scratch\nCOPY ["", "/x/"]\n', Contained()),
    BuildCase("COPY --from of a path", _copy("--from=@OUT@ canary"), Refused("on this machine's disk", 3)),
    BuildCase("COPY --from of rootfs:", _copy("--from=rootfs:@OUT@ canary"), Refused("on this machine's disk", 3)),
    BuildCase("COPY --from of a climbing path", _copy("--from=../../outside canary"), Refused("disk", 3)),
    BuildCase("FROM a path", "FROM @OUT@\n", Refused("on this machine's disk", 3)),
    BuildCase("FROM a link out", "FROM ./d\n", Refused("on this machine's disk", 3), links(d="@OUT@")),
    BuildCase("FROM a directory of the context", "FROM ./d\n", Accepted(), files(d__f="x")),
    BuildCase("FROM /", "FROM /\n", Refused("on this machine's disk", 3)),
    BuildCase("FROM /proc/self/cwd", "FROM rootfs:/proc/self/cwd/../../outside\n", Refused("disk", 3)),
    BuildCase(
        "a bind mount from a path",
        "FROM @BASE@\nRUN --mount=from=@OUT@,target=/x cat /x/canary\n",
        Refused("on this machine's disk", 3),
    ),
    BuildCase(
        "a named context's link out",
        _copy("--from=more link"),
        Refused("not found", CONTEXT),
        both(files(more__f="x"), links(more__link="@OUT@/canary")),
        ("--build-context", "more=more", "."),
    ),
    BuildCase(
        "a bind mount's source through a link out",
        "FROM @BASE@\nRUN --mount=type=bind,source=d/canary,target=/x cat /x\n",
        Refused("not found", CONTEXT),
        links(d="@OUT@"),
    ),
    BuildCase(
        "a bind mount of all, a link out within",
        "FROM @BASE@\nRUN --mount=type=bind,target=/x cat /x/link || true\n",
        Accepted(),
        links(link="@OUT@/canary"),
    ),
)


def _away(name: str, target: str) -> Make:
    return links(**{name: target})


OWN_FILES = (
    *(
        BuildCase(f"the Buildfile is {what}", None, Refused("Buildfile", CONTEXT), _away("Buildfile", target))
        for what, target in _TARGETS.items()
    ),
    BuildCase("the Buildfile is a fifo", None, Refused("named pipe", CONTEXT), fifo("Buildfile")),
    BuildCase("the Buildfile is a socket", None, Refused("socket", CONTEXT), a_socket("Buildfile")),
    BuildCase(
        "the Buildfile is a directory",
        None,
        Refused("directory", CONTEXT),
        lambda ground: (ground.context / "Buildfile").mkdir(),
    ),
    BuildCase("the Buildfile is a link to itself", None, Refused("", CONTEXT), links(Buildfile="Buildfile")),
    BuildCase("the Buildfile is sparse and 10 TB", None, Refused("larger than", 3), sparse("Buildfile", 10 << 40)),
    BuildCase(
        "the Buildfile named by -f is a device", None, Refused("device", CONTEXT), words=("-f", "/dev/zero", ".")
    ),
    *(
        BuildCase(f"{name} is {what}", _copy("."), Refused("ignore file", CONTEXT), _away(name, target))
        for name in (".dockerignore", "Buildfile.dockerignore")
        for what, target in list(_TARGETS.items())[:7]
    ),
    BuildCase("the ignore file is a fifo", _copy("."), Refused("named pipe", CONTEXT), fifo(".dockerignore")),
    BuildCase(
        "the ignore file is a directory",
        _copy("."),
        Refused("", CONTEXT),
        lambda ground: (ground.context / ".dockerignore").mkdir(),
    ),
    BuildCase("the ignore file is 10 TB", _copy("."), Refused("", CONTEXT), sparse(".dockerignore", 10 << 40)),
    BuildCase("the context is a fifo", None, Refused("", CONTEXT), fifo("p"), ("p",)),
    BuildCase("the context is a file", None, Refused("", CONTEXT), files(p="x"), ("p",)),
    BuildCase("the context is a device", None, Refused("", CONTEXT), words=("/dev/null",)),
    BuildCase(
        "the context is /proc/self", "FROM scratch\nCOPY . /\n", Contained(), words=("-f", "Buildfile", "/proc/self")
    ),
    BuildCase("the context is a link to itself", None, Refused("", CONTEXT), links(p="p"), ("p",)),
    BuildCase("the context's name paints", None, Refused("", CONTEXT), words=("\x1b[2Jno\r\x9b1m",)),
    BuildCase("the Buildfile's name paints", None, Refused("", CONTEXT), words=("-f", "\x1b]0;x\x07\u202e", ".")),
)


def _unreadable(name: str) -> Make:
    def make(ground: Ground) -> None:
        path = ground.context / name
        path.write_text("x")
        path.chmod(0)

    return make


def _closed_directory(ground: Ground) -> None:
    path = ground.context / "d"
    path.mkdir()
    path.chmod(0)


def _deep(depth: int) -> Make:
    """Directories in each other, made one by one: the whole path is longer than the kernel takes."""

    def make(ground: Ground) -> None:
        fd = os.open(ground.context, os.O_RDONLY | os.O_DIRECTORY)
        for _ in range(depth):
            os.mkdir("d", dir_fd=fd)
            below = os.open("d", os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
            os.close(fd)
            fd = below
        os.close(fd)

    return make


def _named(*names: bytes) -> Make:
    def make(ground: Ground) -> None:
        for name in names:
            Path(os.fsdecode(os.fsencode(ground.context) + b"/" + name)).write_text("x")

    return make


def _hard_linked(ground: Ground) -> None:
    (ground.context / "a").write_text("x")
    for number in range(300):
        os.link(ground.context / "a", ground.context / f"a{number}")


def _many(count: int) -> Make:
    def make(ground: Ground) -> None:
        for number in range(count // 1000):
            directory = ground.context / "d" / str(number)
            directory.mkdir(parents=True)
            for name in range(1000):
                os.close(os.open(directory / str(name), os.O_CREAT | os.O_WRONLY))

    return make


_STRANGE = (
    b"-rf",
    b"--from=x",
    b" space ",
    b"new\nline",
    b"\x1b[2J\x07",
    b"\xff\xfe\x80",
    b"n" * 255,
    "\u202eevil".encode(),
    b"*",
    b"[",
    b"\\",
    b"$(x)",
    b".wh.file",
    b".wh..wh..opq",
    b"...",
    b"\x7f\x01",
)
NODES = (
    BuildCase("COPY of a fifo", _copy("p"), Contained(), fifo("p")),
    BuildCase("COPY of everything, a fifo and a socket in it", _copy("."), Contained(), both(fifo("p"), a_socket("s"))),
    BuildCase("COPY of a socket", _copy("s"), Refused("", CONTEXT), a_socket("s")),
    BuildCase("ADD of a fifo", "FROM scratch\nADD p /", Contained(), fifo("p")),
    BuildCase(
        "a bind mount of a context with a fifo",
        "FROM @BASE@\nRUN --mount=type=bind,target=/x ls /x",
        Contained(),
        fifo("p"),
    ),
    BuildCase("COPY of a file nobody may read", _copy("f"), Refused("cannot read", CONTEXT), _unreadable("f")),
    BuildCase("COPY of a directory nobody may read", _copy("d"), Refused("", CONTEXT), _closed_directory),
    BuildCase("COPY of a file of 10 TB", _copy("f"), Refused("", CONTEXT), sparse("f", 10 << 40)),
    BuildCase("ADD of a file of 10 TB", "FROM scratch\nADD f /", Refused("", CONTEXT), sparse("f", 10 << 40)),
    BuildCase(
        "a bind mount of a file of 10 TB",
        "FROM @BASE@\nRUN --mount=type=bind,source=f,target=/x true",
        Refused("", CONTEXT),
        sparse("f", 10 << 40),
    ),
    BuildCase("COPY of directories 1,500 deep", _copy(".", "/x/"), Contained(), _deep(1500)),
    BuildCase("COPY of directories 5,000 deep", _copy(".", "/x/"), Refused("", CONTEXT), _deep(5000)),
    BuildCase("COPY of one of directories 5,000 deep", _copy("d", "/x/"), Refused("", CONTEXT), _deep(5000)),
    BuildCase(
        "COPY of strange names", _copy("."), Contained(), _named(*_STRANGE), ("-t", "x:1", "."), (("ls", "x:1"),)
    ),
    *(
        BuildCase(f"COPY of a name {name[:20]!r}", _copy(pattern), Contained(), _named(name))
        for name, pattern in ((b"\x1b[2J\x07x", "*x"), (b"\xff\xfe", "??"), (b"a\nb\rc", "a*"), (b"-rf", "-rf"))
    ),
    BuildCase("COPY of a missing name that paints", _copy("\x1b]0;x\x07\u202emissing"), Refused("", CONTEXT)),
    BuildCase("COPY of one file under 300 names", _copy("."), Accepted(), _hard_linked),
    BuildCase(
        "100,000 files that are left out",
        _copy("."),
        Accepted(),
        both(_many(100_000), files(**{".dockerignore": "d\n"})),
    ),
)

CASES = (*SOURCES, *OWN_FILES, *NODES)

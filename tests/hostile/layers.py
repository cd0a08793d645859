"""Cases: layers that reach for what is outside, by their names, their links and their whiteouts."""

from __future__ import annotations

from tests.hostile.outcomes import Accepted, Contained
from tests.hostile.tars import BAD, MEGABYTE, UP, LayerCase, file, folder, hard, head, link, long_file, out, tar
from tests.tree.rawtar import CHAR, END, LINK, gnu_long, padded, pax

TRAVERSAL = (
    LayerCase("name that climbs", tar(long_file(UP + b"canary")), Contained()),
    LayerCase(
        "name that climbs to the canary", out(lambda outside: long_file(UP + outside[1:] + b"/canary")), Contained()
    ),
    LayerCase("absolute name", out(lambda outside: long_file(outside + b"/canary")), Contained()),
    LayerCase("name with two slashes", out(lambda outside: long_file(b"/" + outside + b"/canary")), Contained()),
    LayerCase("name that climbs in its middle", tar(folder(b"a"), file(b"a/../../canary")), Contained()),
    LayerCase("name of two dots", tar(file(b"..")), Contained()),
    LayerCase("directory of two dots", tar(folder(b".."), file(b"../canary")), Contained()),
    LayerCase("name of a dot, a file", tar(file(b".")), Contained()),
    LayerCase(
        "name of a dot, a link out", out(lambda outside: link(b".", outside), lambda _: file(b"canary")), Contained()
    ),
    LayerCase(
        "name ./ , a link out", out(lambda outside: link(b"./", outside), lambda _: file(b"./canary")), Contained()
    ),
    LayerCase(
        "name of a slash, a link out", out(lambda outside: link(b"/", outside), lambda _: file(b"canary")), Contained()
    ),
    LayerCase("empty name", tar(file(b"")), Contained()),
    LayerCase("empty name, a link", out(lambda outside: link(b"", outside)), Contained()),
    LayerCase("name with a NUL", tar(long_file(b"a\0../../canary")), Contained()),
    LayerCase("name with line ends", tar(long_file(b"a\nb\r\x1b[2Jc")), Contained()),
    LayerCase("name of bytes", tar(file(b"\xff\xfe\x80")), Accepted()),
    LayerCase("name of 255 bytes", tar(long_file(b"n" * 255)), Accepted()),
    LayerCase("name of 256 bytes", tar(long_file(b"n" * 256)), Contained()),
    LayerCase("path of 5,000 bytes", tar(long_file(b"d/" * 2500 + b"f")), Contained()),
    LayerCase("path of a megabyte", tar(long_file(b"d/" * (MEGABYTE // 2))), Contained()),
    LayerCase(
        "path 2,000 deep, step by step",
        tar(*(pax([(b"path", b"d/" * n)]) + folder(b"x") for n in range(1, 2000, 40))),
        Contained(),
    ),
    LayerCase("file with a slash at its end", tar(file(b"f/")), Contained()),
    LayerCase(
        "GNU long name that climbs",
        out(lambda outside: gnu_long(UP + outside[1:] + b"/canary", b"L") + file(b"x")),
        Contained(),
    ),
    LayerCase("GNU long name of 2 MB", tar(gnu_long(b"n" * (2 * MEGABYTE), b"L") + file(b"x")), Contained()),
    LayerCase("GNU long name and nothing behind it", tar(gnu_long(b"name", b"L")), Contained()),
    LayerCase("prefix that climbs", tar(head(b"canary", prefix=b"../..", size=4) + padded(b"evil")), Contained()),
)

PARENTS = (
    LayerCase(
        "file through a link out", out(lambda outside: link(b"l", outside), lambda _: file(b"l/canary")), Contained()
    ),
    LayerCase(
        "new file through a link out", out(lambda outside: link(b"l", outside), lambda _: file(b"l/new")), Contained()
    ),
    LayerCase(
        "directory through a link out",
        out(lambda outside: link(b"l", outside), lambda _: folder(b"l/new")),
        Contained(),
    ),
    LayerCase(
        "link through a link out", out(lambda outside: link(b"l", outside), lambda _: link(b"l/new", b"x")), Contained()
    ),
    LayerCase(
        "modes through a link out", out(lambda outside: link(b"l", outside), lambda _: folder(b"l", 0o777)), Contained()
    ),
    LayerCase(
        "file through a link that climbs",
        out(lambda outside: link(b"l", UP + outside[1:]), lambda _: file(b"l/canary")),
        Contained(),
    ),
    LayerCase(
        "file through links in a row",
        out(lambda outside: link(b"a", outside), lambda _: link(b"b", b"a"), lambda _: file(b"b/canary")),
        Contained(),
    ),
    LayerCase(
        "file through a link to the root",
        out(lambda _: link(b"r", b"/"), lambda outside: long_file(b"r" + outside + b"/canary")),
        Contained(),
    ),
    LayerCase("file through a link to itself", tar(link(b"l", b"l"), file(b"l/f")), Contained()),
    LayerCase("file through a ring of links", tar(link(b"a", b"b"), link(b"b", b"a"), file(b"a/f")), Contained()),
    LayerCase(
        "directory that becomes a link out",
        out(lambda _: folder(b"d") + file(b"d/f"), lambda outside: link(b"d", outside), lambda _: file(b"d/canary")),
        Contained(),
    ),
    LayerCase(
        "link out that becomes a directory",
        out(lambda outside: link(b"d", outside), lambda _: folder(b"d") + file(b"d/canary")),
        Contained(),
    ),
    LayerCase("file that becomes a parent", tar(file(b"p"), file(b"p/f")), Contained()),
    LayerCase(
        "file that is a link out",
        out(lambda outside: link(b"f", outside + b"/canary"), lambda _: file(b"f")),
        Accepted(),
    ),
    LayerCase(
        "file that is a hanging link out",
        out(lambda outside: link(b"f", outside + b"/new"), lambda _: file(b"f")),
        Accepted(),
    ),
    LayerCase(
        "40 links to climb through",
        tar(*(link(b"l%d" % n, b"l%d" % (n + 1)) for n in range(45)), file(b"l0/f")),
        Contained(),
    ),
    LayerCase(
        "link to /proc/self/root",
        out(lambda _: link(b"l", b"/proc/self/root"), lambda outside: long_file(b"l" + outside + b"/canary")),
        Contained(),
    ),
    LayerCase(
        "link to /proc/self/fd",
        tar(*(link(b"l%d" % n, b"/proc/self/fd/%d" % n) + file(b"l%d/canary" % n) for n in range(12))),
        Contained(),
    ),
    LayerCase("link to /proc/self/cwd", tar(link(b"l", b"/proc/self/cwd"), file(b"l/canary")), Contained()),
    LayerCase("link of a megabyte", tar(link(b"l", b"x" * MEGABYTE)), Contained()),
    LayerCase("link to nothing", tar(link(b"l", b"")), Contained()),
)

HARD_LINKS = (
    LayerCase(
        "hard link that climbs",
        out(lambda outside: hard(b"h", UP + outside[1:] + b"/canary"), lambda _: file(b"h")),
        Contained(),
    ),
    LayerCase(
        "absolute hard link", out(lambda outside: hard(b"h", outside + b"/canary"), lambda _: file(b"h")), Contained()
    ),
    LayerCase("hard link to a host's file", tar(hard(b"h", b"/etc/passwd"), file(b"x")), Contained()),
    LayerCase(
        "hard link through a link out",
        out(lambda outside: link(b"l", outside), lambda _: hard(b"h", b"l/canary") + file(b"h")),
        Contained(),
    ),
    LayerCase(
        "hard link to a link out",
        out(lambda outside: link(b"l", outside + b"/canary"), lambda _: hard(b"h", b"l") + file(b"x")),
        Contained(),
    ),
    LayerCase(
        "hard link made through a link out",
        out(lambda outside: file(b"f") + link(b"l", outside), lambda _: hard(b"l/new", b"f")),
        Contained(),
    ),
    LayerCase("hard link to itself", tar(hard(b"h", b"h")), BAD),
    LayerCase("hard link to nothing", tar(hard(b"h", b"missing")), BAD),
    LayerCase("hard link to an empty name", tar(hard(b"h", b"")), BAD),
    LayerCase("hard link to a directory", tar(folder(b"d"), hard(b"h", b"d")), BAD),
    LayerCase("hard link to what comes later", tar(hard(b"h", b"later"), file(b"later")), Contained()),
    LayerCase(
        "hard link with content",
        tar(file(b"f", b"good"), head(b"h", LINK, link=b"f", size=4) + padded(b"evil")),
        Contained(),
    ),
    LayerCase("hard link to a file below", tar(hard(b"h", b"bin/busybox")), Accepted()),
    LayerCase(
        "hard link to what a whiteout hides",
        tar(file(b"bin/.wh.busybox", b""), hard(b"h", b"bin/busybox")),
        Contained(),
    ),
    LayerCase(
        "hard link to a name with a NUL", tar(pax([(b"linkpath", b"a\0b")]) + head(b"h", LINK, link=b"a")), Contained()
    ),
)

DUPLICATES = (
    LayerCase("the same file twice", tar(file(b"f", b"1"), file(b"f", b"2")), Contained()),
    LayerCase("file, then a directory", tar(file(b"x"), folder(b"x"), file(b"x/f")), Contained()),
    LayerCase("directory, then a file", tar(folder(b"x"), file(b"x/f"), file(b"x")), Contained()),
    LayerCase(
        "link out, then a file, then a link out",
        out(lambda outside: link(b"x", outside) + file(b"x") + link(b"x", outside), lambda _: file(b"x/canary")),
        Contained(),
    ),
    LayerCase("the same file 20,000 times", lambda _: file(b"f", b"x") * 20_000 + END, Contained()),
    LayerCase(
        "a hundred spellings of one path", tar(*(file(b"./" * n + b"f", b"%d" % n) for n in range(40))), Contained()
    ),
)

WHITEOUTS = (
    LayerCase("whiteout that climbs", tar(file(b"../.wh.canary", b"")), Contained()),
    LayerCase(
        "whiteout through a link out",
        out(lambda outside: link(b"l", outside), lambda _: file(b"l/.wh.canary", b"")),
        Contained(),
    ),
    LayerCase(
        "opaque mark through a link out",
        out(lambda outside: link(b"l", outside), lambda _: file(b"l/.wh..wh..opq", b"")),
        Contained(),
    ),
    LayerCase("whiteout of nothing", tar(file(b".wh.", b"")), Contained()),
    LayerCase("whiteout of a dot", tar(file(b".wh..", b"")), Contained()),
    LayerCase("whiteout of two dots", tar(file(b"bin/.wh...", b"")), Contained()),
    LayerCase("whiteout of a whiteout", tar(file(b".wh..wh.f", b"")), Contained()),
    LayerCase("whiteout that is a link out", out(lambda outside: link(b".wh.bin", outside)), Contained()),
    LayerCase("whiteout that is a directory", tar(folder(b".wh.etc"), file(b".wh.etc/f")), Contained()),
    LayerCase("whiteout with content", tar(file(b".wh.etc", b"content")), Contained()),
    LayerCase("whiteout of what this layer makes", tar(file(b"f"), file(b".wh.f", b"")), Contained()),
    LayerCase("whiteout, then the file", tar(file(b".wh.f", b""), file(b"f")), Contained()),
    LayerCase("opaque root", tar(file(b".wh..wh..opq", b"")), Contained()),
    LayerCase(
        "aufs's own files",
        tar(file(b".wh..wh.plnk", b""), folder(b".wh..wh.orph"), file(b".wh..wh.aufs", b"")),
        Contained(),
    ),
    LayerCase("whiteout by a device 0:0", tar(head(b"bin", CHAR, rdev=(0, 0))), Contained()),
    LayerCase("directory under a whiteout's name in the middle", tar(file(b"a/.wh.b/c")), Contained()),
)

CASES = (*TRAVERSAL, *PARENTS, *HARD_LINKS, *DUPLICATES, *WHITEOUTS)

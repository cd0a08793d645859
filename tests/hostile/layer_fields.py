"""Cases: layers whose headers lie, whose entries are no files, and that put things where the builder looks."""

from __future__ import annotations

import functools
import struct

from tests.hostile.outcomes import Accepted, Contained
from tests.hostile.tars import (
    BAD,
    MEGABYTE,
    UP,
    LayerCase,
    attribute,
    base256,
    file,
    folder,
    head,
    link,
    out,
    sized,
    tar,
)
from tests.tree.rawtar import BLOCK, CHAR, DIR, END, FIFO, LINK, SYMLINK, padded, pax, record

NODES = (
    LayerCase("memory device", tar(head(b"mem", CHAR, rdev=(1, 1), mode=0o666)), Contained()),
    LayerCase("disk", tar(head(b"sda", BLOCK, rdev=(8, 0), mode=0o666)), Contained()),
    LayerCase("device of huge numbers", tar(head(b"d", CHAR, rdev=(0o7777777, 0o7777777))), Contained()),
    LayerCase("file over a device", tar(head(b"d", CHAR, rdev=(1, 3)), file(b"d")), Contained()),
    LayerCase("fifo", tar(head(b"p", FIFO)), Accepted()),
    LayerCase("file over a fifo", tar(head(b"p", FIFO), file(b"p")), Contained()),
    LayerCase("fifo in the place of the passwd file", tar(head(b"etc/passwd", FIFO)), Contained()),
    LayerCase("unknown type", tar(head(b"x", b"Z")), Contained()),
    LayerCase("contiguous file", tar(head(b"x", b"7", size=1) + padded(b"x")), Contained()),
    LayerCase("GNU dump directory", tar(head(b"x", b"D", size=3) + padded(b"Yf\0")), Contained()),
    LayerCase("GNU multi-volume", tar(head(b"x", b"M", size=1) + padded(b"x")), Contained()),
    LayerCase("GNU volume label", tar(head(b"x", b"V")), Contained()),
    LayerCase("setuid program of root's", tar(file(b"su", b"#!", 0o6755)), Accepted()),
    LayerCase("all bits of a mode", tar(head(b"f", mode=b"7777777\0")), Contained()),
    LayerCase("mode of letters", tar(head(b"f", mode=b"rwxrwxr\0")), BAD),
    LayerCase("directory nobody may enter", tar(folder(b"d", 0), file(b"d/f")), Accepted()),
    LayerCase("root nobody may enter", tar(folder(b"./", 0)), Contained()),
)

IDS = (
    *(
        LayerCase(
            f"owner {value}", tar(pax([(b"uid", value.encode()), (b"gid", value.encode())]) + file(b"f")), outcome
        )
        for value, outcome in (
            ("65535", Accepted()),
            ("65536", Contained()),
            ("2147483647", Contained()),
            ("4294967295", Contained()),
            ("18446744073709551616", BAD),
            ("-1", BAD),
            ("root", BAD),
            ("1e3", BAD),
            ("", Contained()),
            ("9" * 5000, BAD),
        )
    ),
    LayerCase("owner of base 256", tar(head(b"f", uid=b"\x80\0\0\0\xff\xff\xff\xff")), Contained()),
    LayerCase("negative owner of base 256", tar(head(b"f", uid=b"\xff" * 8)), BAD),
)

ATTRIBUTES = (
    *(
        LayerCase(f"attribute {name[:40].decode('latin-1')!r}{suffix}", tar(attribute(name, value)), outcome)
        for name, value, suffix, outcome in (
            (b"user.overlay.opaque", b"y", "", Contained()),
            (b"user.overlay.redirect", b"/../../..", "", Contained()),
            (b"user.overlay.metacopy", b"", "", Contained()),
            (b"user.overlay.whiteout", b"", "", Contained()),
            (b"trusted.overlay.opaque", b"y", "", Contained()),
            (b"trusted.overlay.redirect", b"/etc", "", Contained()),
            (b"user.pybuild.owner", b"0:0", "", Contained()),
            (b"user.containers.override_stat", b"0:0:4755", "", Contained()),
            (b"security.capability", struct.pack("<5I", 0x02000001, 0xFFFFFFFF, 0, 0xFFFFFFFF, 0), " all", Contained()),
            (b"security.capability", b"nonsense", " nonsense", Contained()),
            (b"security.selinux", b"system_u:object_r:etc_t:s0", "", Contained()),
            (b"security.ima", b"x", "", Contained()),
            (b"system.posix_acl_access", b"nonsense", "", Contained()),
            (b"user.large", b"x" * 70_000, "", Contained()),
            (b"user.huge", b"x" * 900_000, "", Contained()),
            (b"", b"x", " no name", Contained()),
            (b"user.", b"x", "", Contained()),
            (b"noprefix", b"x", "", Contained()),
            (b"user.a\0b", b"x", "", Contained()),
            (b"user." + b"n" * 300, b"x", "", Contained()),
        )
    ),
    LayerCase(
        "a thousand attributes",
        tar(pax([(b"SCHILY.xattr.user.a%d" % n, b"v") for n in range(1000)]) + file(b"f")),
        Contained(),
    ),
    LayerCase("attribute of a link", tar(pax([(b"SCHILY.xattr.user.a", b"v")]) + link(b"l", b"f")), Contained()),
    LayerCase(
        "LIBARCHIVE attribute",
        tar(pax([(b"LIBARCHIVE.xattr.user.overlay.opaque", b"eQ==")]) + folder(b"d")),
        Contained(),
    ),
)

_HUGE_RECORDS = pax(b"".join(record(b"k%d" % n, b"v" * 1000) for n in range(2000)))

PAX_ABUSE = (
    LayerCase("PAX record of length 0", tar(pax(b"0 a=b\n") + file(b"f")), BAD),
    LayerCase("PAX record of negative length", tar(pax(b"-5 a=b\n") + file(b"f")), BAD),
    LayerCase("PAX record too long", tar(pax(b"99 a=b\n") + file(b"f")), BAD),
    LayerCase("PAX record too short", tar(pax(b"5 a=bcdef\n") + file(b"f")), BAD),
    LayerCase("PAX record of 10,000 digits", tar(pax(b"9" * 10_000 + b" a=b\n") + file(b"f")), BAD),
    LayerCase("PAX record without a sign", tar(pax(b"6 abc\n") + file(b"f")), BAD),
    LayerCase("PAX record without an end", tar(pax(b"6 a=bc") + file(b"f")), BAD),
    LayerCase("PAX record without a key", tar(pax(b"6 =ab\n") + file(b"f")), Contained()),
    LayerCase("PAX header of 2 MB", tar(_HUGE_RECORDS + file(b"f")), BAD),
    LayerCase("PAX header that says it is a terabyte", tar(head(b"x", b"x", size=base256(1 << 40)) + file(b"f")), BAD),
    LayerCase("PAX header and nothing behind it", tar(pax([(b"path", b"x")])), Contained()),
    LayerCase("a thousand PAX headers", tar(*([pax([(b"comment", b"x")])] * 1000), file(b"f")), Contained()),
    LayerCase(
        "global PAX header with a path",
        out(lambda outside: pax([(b"path", UP + outside[1:] + b"/canary")], b"g") + file(b"f")),
        Contained(),
    ),
    LayerCase(
        "global PAX header with a link's path",
        out(lambda outside: pax([(b"linkpath", outside)], b"g") + link(b"l", b"x") + file(b"l/canary")),
        Contained(),
    ),
    LayerCase("PAX key twice", tar(pax([(b"path", b"a"), (b"path", b"../canary")]) + file(b"f")), Contained()),
    LayerCase("PAX path of bytes", tar(pax([(b"path", b"\xff\xfe")]) + file(b"f")), Contained()),
    LayerCase("PAX size that differs", tar(pax([(b"size", b"3")]) + head(b"f", size=1024) + bytes(1024)), Contained()),
    LayerCase(
        "PAX size of zero over a tar",
        tar(pax([(b"size", b"0")]) + head(b"f", size=1024) + file(b"inner")[:1024]),
        Contained(),
    ),
    LayerCase("PAX size that is negative", tar(pax([(b"size", b"-1")]) + file(b"f")), BAD),
    LayerCase("PAX size of nonsense", tar(pax([(b"size", b"many")]) + file(b"f")), BAD),
    LayerCase("PAX size of 100 TB", tar(pax([(b"size", b"%d" % (100 << 40))]) + file(b"f")), BAD),
    *(
        LayerCase(f"time {text}", tar(pax([(b"mtime", text.encode())]) + file(b"f")), Contained())
        for text in ("nan", "inf", "-inf", "1e999", "-99999999999999", "9" * 400, "0x10", "", "1.2.3", "٣")
    ),
    LayerCase(
        "GNU sparse 0.1",
        tar(
            pax(
                [
                    (b"GNU.sparse.major", b"0"),
                    (b"GNU.sparse.minor", b"1"),
                    (b"GNU.sparse.map", b"0,1"),
                    (b"GNU.sparse.size", b"99999999999999"),
                ]
            )
            + file(b"f")
        ),
        Contained(),
    ),
    LayerCase(
        "GNU sparse 1.0",
        tar(
            pax(
                [
                    (b"GNU.sparse.major", b"1"),
                    (b"GNU.sparse.minor", b"0"),
                    (b"GNU.sparse.name", b"../canary"),
                    (b"GNU.sparse.realsize", b"9"),
                ]
            )
            + file(b"f", b"1\n0\n1\nx")
        ),
        Contained(),
    ),
    LayerCase("GNU sparse of old", tar(head(b"f", b"S", size=512, magic=b"ustar  \0") + bytes(512)), Contained()),
)

SIZES = (
    LayerCase("size beyond the end", tar(head(b"f", size=100_000) + b"short"), BAD),
    LayerCase("size of 7 GB and nothing there", tar(head(b"f", size=0o77777777777)), BAD),
    LayerCase("size of 21 GB", tar(head(b"f", size=base256(21 << 30))), BAD),
    LayerCase("size of 2**63", tar(head(b"f", size=base256(1 << 63))), BAD),
    LayerCase("size of -1", tar(head(b"f", size=b"\xff" * 12)), BAD),
    LayerCase("size of letters", tar(head(b"f", size=b"a lot\0")), BAD),
    *(
        LayerCase(f"content of a {what}", tar(sized(flag, 1024) + file(b"../canary")), Contained())
        for what, flag in (("directory", DIR), ("link", SYMLINK), ("hard link", LINK), ("device", CHAR), ("fifo", FIFO))
    ),
    LayerCase("wrong checksum", lambda _: file(b"f").replace(b"f\0", b"g\0", 1) + END, BAD),
    LayerCase("no checksum", lambda _: (lambda block: block[:148] + bytes(8) + block[156:])(head(b"f")) + END, BAD),
    LayerCase(
        "one empty block and more behind it", lambda _: file(b"a") + bytes(512) + file(b"../canary") + END, Contained()
    ),
    LayerCase("a tar behind the end", lambda _: file(b"a") + END + file(b"../canary") + END, Contained()),
    LayerCase("no end at all", lambda _: file(b"a"), Contained()),
    LayerCase("half a header", lambda _: file(b"a") + head(b"b")[:200], BAD),
    LayerCase("nothing at all", lambda _: b"", Contained()),
    LayerCase("nonsense", lambda _: b"nonsense" * 1000, BAD),
    LayerCase("a megabyte of zeros", lambda _: bytes(MEGABYTE), Contained()),
    LayerCase("old tar without a magic", tar(head(b"f", magic=bytes(8))), Contained()),
    LayerCase("50,000 empty files", lambda _: b"".join(head(b"d/%d" % n) for n in range(50_000)) + END, Contained()),
)


def _replaced(name: bytes, outside: bytes) -> bytes:
    return file(b".wh." + name, b"") + link(name, outside)


def _to_canary(name: bytes, outside: bytes) -> bytes:
    return link(name, outside + b"/canary")


PLACES = (
    *(
        LayerCase(
            f"/{name.decode()} is a link out",
            out(functools.partial(_replaced, name)),
            Contained(),
        )
        for name in (b"dev", b"proc", b"sys", b"etc", b"tmp", b"run")
    ),
    *(
        LayerCase(f"/{name.decode()} is a file", tar(file(name)), Contained())
        for name in (b"dev", b"proc", b"sys", b"etc/hosts", b"etc/resolv.conf")
    ),
    *(
        LayerCase(
            f"/{name.decode()} is a link to the canary",
            out(functools.partial(_to_canary, name)),
            Contained(),
        )
        for name in (
            b"etc/hosts",
            b"etc/resolv.conf",
            b"etc/hostname",
            b"etc/passwd",
            b"dev/null",
            b"dev/console",
            b"dev/shm",
            b"dev/pts",
            b"dev/fd",
        )
    ),
    *(
        LayerCase(f"/{name.decode()} is a fifo", tar(head(name, FIFO)), Contained())
        for name in (b"etc/hosts", b"etc/resolv.conf", b"etc/group", b"dev/null")
    ),
    LayerCase(
        "the program is a script of /proc/self/exe", tar(file(b"bin/sh", b"#!/proc/self/exe\n", 0o755)), Contained()
    ),
    LayerCase(
        "the libraries are links out", out(lambda outside: link(b"lib", outside) + link(b"lib64", outside)), Contained()
    ),
    LayerCase("passwd of 50 MB", lambda _: file(b"etc/passwd", b"x:x:1:1::/:/\n" * 4_000_000) + END, Contained()),
)

CASES = (*NODES, *IDS, *ATTRIBUTES, *PAX_ABUSE, *SIZES, *PLACES)

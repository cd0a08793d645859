"""Cases: what `RUN --mount` is asked to show, where, and what an earlier step left in a cache."""

from __future__ import annotations

from tests.hostile.buildfiles import BuildCase
from tests.hostile.buildfiles_places import image
from tests.hostile.contexts import CLIMB, both, files, links
from tests.hostile.outcomes import Accepted, Contained, Refused
from tests.hostile.tars import UP, file, folder, head, link
from tests.tree.rawtar import FIFO

_LOOK = "cat @OUT@/canary /x/canary /x/outside/canary 2>/dev/null; ls /x >/dev/null 2>&1; true"


def _run(mount: str, command: str = "true") -> str:
    return f"FROM @BASE@\nRUN --mount={mount} {command}\n"


_OURS = {
    **dict.fromkeys(("/dev", "/proc", "/sys", "//proc//", "/proc/self", "/sys/fs", "/x/../proc", "/../../dev"), 4),
    **dict.fromkeys(("/", ".", "../../.."), 3),
}
TARGETS = (
    *(
        BuildCase(f"{kind} over {target}", _run(f"type={kind},target={target}", _LOOK), Refused("mount", status))
        for number, (target, status) in enumerate(_OURS.items())
        for kind in ("tmpfs", "cache")[number % 2 :]
    ),
    *(
        BuildCase(f"{kind} at {target}", _run(f"type={kind},target={target}", _LOOK), Contained())
        for kind, target in (
            ("tmpfs", "/dev/shm"),
            ("tmpfs", "/dev/null"),
            ("tmpfs", "/dev/fd/x"),
            ("cache", "/dev/pts/0"),
            ("cache", "/etc/passwd"),
            ("tmpfs", "/etc/hosts"),
            ("tmpfs", "/etc"),
            ("cache", "/bin"),
            ("tmpfs", "@OUT@"),
            ("cache", "../../../../../../@OUT@"),
            ("tmpfs", "/" + "d/" * 2000),
            ("tmpfs", "/" + "n" * 300),
            ("cache", "\x1b[2J\x07"),
            ("secret,id=x", "/proc/self/mem"),
            ("bind,source=f", "/etc/passwd"),
            ("bind", "/bin/busybox"),
            ("bind,rw", "/dev"),
        )
    ),
)

_IMAGE_LINKS = {
    "/proc": link(b"l", b"/proc"),
    "/proc/self/root": link(b"l", b"/proc/self/root"),
    "/dev": link(b"l", b"dev"),
    "/": link(b"l", b"/"),
    "itself": link(b"l", b"l"),
    "a fifo": link(b"l", b"p") + head(b"p", FIFO),
}
_EVIL = "FROM oci:../images/evil\n"
THROUGH_LINKS = (
    *(
        BuildCase(
            f"{kind} at a link of the image to {what}{below and ', and below'}",
            _EVIL + f"RUN --mount=type={kind},target=/l{below} true\n",
            Contained(),
            image(lambda _, data=data: data),  # type: ignore[misc]
        )
        for kind in ("tmpfs", "cache")
        for below in ("", "/x/y")
        for what, data in _IMAGE_LINKS.items()
    ),
    BuildCase(
        "a mount at a link of the image out",
        _EVIL + "RUN --mount=type=cache,target=/l/new touch /l/new/f && ls /l/new\n",
        Accepted(),
        image(lambda outside: link(b"l", outside)),
    ),
    BuildCase(
        "a mount at a link of the image into another mount",
        _EVIL + "RUN --mount=type=cache,target=/c --mount=type=tmpfs,target=/l/x touch /c/x/f; ls /c/x\n",
        Accepted(),
        image(lambda _: link(b"l", b"c")),
    ),
    BuildCase(
        "a bind mount of a hostile image's link out",
        "FROM @BASE@\nRUN --mount=type=bind,from=oci:../images/evil,source=/l,target=/x cat /x/canary\n",
        Refused("", 4),
        image(lambda outside: link(b"l", outside)),
    ),
    BuildCase(
        "a bind mount of a hostile image's link that climbs",
        "FROM @BASE@\nRUN --mount=type=bind,from=oci:../images/evil,source=/l/canary,target=/x cat /x\n",
        Refused("", 4),
        image(lambda outside: link(b"l", UP + outside[1:])),
    ),
    *(
        BuildCase(
            f"a {kind} mount of a hostile image's {what}",
            f"FROM @BASE@\nRUN --mount=type={kind},from=oci:../images/evil,source=/l,target=/x {_LOOK}\n",
            Contained(),
            image(lambda _, data=data: data),  # type: ignore[misc]
        )
        for kind in ("bind", "cache")
        for what, data in (
            ("fifo", head(b"l", FIFO)),
            ("link to /proc", link(b"l", b"/proc")),
            ("ring", link(b"l", b"l")),
        )
    ),
    BuildCase(
        "a cache seeded by a hostile image",
        "FROM @BASE@\nRUN --mount=type=cache,from=oci:../images/evil,target=/x cat /x/l /x/d/canary; true\n",
        Contained(),
        image(lambda outside: link(b"l", outside + b"/canary") + link(b"d", outside) + head(b"p", FIFO) + file(b"f")),
    ),
    BuildCase(
        "a writable bind of a hostile image",
        "FROM @BASE@\nRUN --mount=type=bind,rw,from=oci:../images/evil,target=/x echo evil >/x/l/canary; true\n",
        Contained(),
        image(lambda outside: link(b"l", outside) + folder(b"d")),
    ),
)

_CACHE = "--mount=type=cache,id=c,target=/c"
_LEAVE = f"RUN {_CACHE} cd /c; ln -sfn @OUT@ l; ln -sfn / r; ln -sfn {CLIMB}@OUT@ up; ln -sfn /dev d; ln -sfn /proc p\n"
LEFT_IN_CACHES = (
    *(
        BuildCase(
            f"a {kind} mount at a link that a step left in a cache: {target}",
            f"FROM @BASE@\n{_LEAVE}RUN {_CACHE} --mount=type={kind},target=/c/{target} touch /c/{target}/f; true\n",
            Contained(),
        )
        for kind in ("tmpfs", "bind")
        for target in ("l", "l/new", "r", "r/bin", "up", "up/new", "d", "d/null", "p", "p/self")
    ),
    BuildCase(
        "a cache inside a cache's link, and steps that write through both",
        f"FROM @BASE@\n{_LEAVE}RUN {_CACHE} --mount=type=cache,id=e,target=/c/up/x cd /c; "
        "(echo evil >l/canary; echo evil >up/canary); true\n",
        Contained(),
    ),
    BuildCase(
        "a cache that becomes links and fifos",
        f"FROM @BASE@\nRUN {_CACHE} busybox mkfifo /c/fifo; ln -sf @OUT@/canary /c/passwd\n"
        f"RUN {_CACHE} --mount=type=secret,id=s,target=/c/fifo true; true\n",
        Contained(),
        files(s="secret"),
        ("--secret", "id=s,src=s", "."),
    ),
    BuildCase(
        "WORKDIR in a cache's link out",
        f"FROM @BASE@\n{_LEAVE}WORKDIR /c/l\nRUN {_CACHE} echo evil >canary; echo evil >new; true\n",
        Contained(),
    ),
    BuildCase(
        "a cache with a set-id program and devices",
        f"FROM @BASE@\nRUN {_CACHE} cp /bin/busybox /c/su; chmod 6755 /c/su; busybox mknod /c/mem c 1 1; true\n"
        f"USER 1000\nRUN {_CACHE} /c/su id; cat /c/mem; true\n",
        Contained(),
    ),
)

_IDS = (
    "..",
    "../../../../../../../@OUT@",
    "/",
    "/etc",
    ".",
    "a/b",
    "\x1b[2J",
    "x" * 4096,
    "0.lock",
    "caches",
    "٣",
    "$(id)",
)
FIELDS = (
    *(
        BuildCase(f"cache id {name[:30]!r}", _run(f'type=cache,target=/x,"id={name}"', "touch /x/f"), Accepted())
        for name in _IDS
    ),
    *(
        BuildCase(f"mount {fields}", _run(fields), Refused("", 3))
        for fields in (
            "type=bind,target=/x,bind-propagation=shared",
            "type=bind,target=/x,propagation=rshared",
            "type=bind,target=/x,rslave",
            "type=bind,target=/x,Z",
            "type=bind,target=/x,options=suid",
            "type=tmpfs,target=/x,tmpfs-mode=4777",
            "type=volume,target=/x",
            "type=cache,target=/x,mode=99999",
            "type=cache,target=/x,mode=-1",
            "type=cache,target=/x,uid=-1",
            "type=cache,target=/x,uid=4294967296",
            "type=cache,target=/x,uid=root",
            "type=tmpfs,target=/x,size=-1",
            "type=tmpfs,target=/x,size=many",
            "type=cache,target=/x,sharing=public",
            'type=cache,target=/x,\\"id=a',
            "type=cache,target=",
            "type=secret",
            "target=/x,type=\x1b[2J",
            ",,,,",
            "=",
        )
    ),
    *(
        BuildCase(f"mount of {fields}", _run(fields), Contained())
        for fields in (
            "type=tmpfs,target=/x,size=99999999999999999999",
            "type=tmpfs,target=/x,size=1",
            "type=tmpfs,target=/x,size=9g,size=0",
            "type=cache,target=/x,mode=7777",
            "type=cache,target=/x,uid=65536",
            "type=cache,target=/x,uid=4294967295",
            "type=bind,target=/x,source=../../..",
            "type=bind,target=/x,source=/proc",
            "type=bind,target=/x,from=\x1b[2J",
            "type=bind,target=/x,from=0",
            "type=bind,target=/x,from=99999999999999999999",
            "type=bind,target=/x,from=scratch",
            "type=secret,id=../../etc/passwd,required=true",
            "type=secret,id=x,target=/etc/shadow",
            "type=secret,id=x,env=LD_PRELOAD",
            "type=ssh,id=../../x,required",
        )
    ),
    BuildCase(
        "a hundred mounts in each other",
        "FROM @BASE@\nRUN " + " ".join(f"--mount=type=tmpfs,target=/x{'/d' * n}" for n in range(100)) + " true\n",
        Accepted(),
    ),
    BuildCase(
        "mounts in the wrong order",
        "FROM @BASE@\nRUN --mount=type=tmpfs,target=/a/b/c --mount=type=tmpfs,target=/a --mount=type=tmpfs,target=/a/b"
        " touch /a/b/c/f\n",
        Accepted(),
    ),
    BuildCase(
        "the same target twice",
        "FROM @BASE@\nRUN --mount=type=tmpfs,target=/a --mount=type=cache,target=/a touch /a/f\n",
        Contained(),
    ),
    BuildCase(
        "a thousand mounts", "FROM @BASE@\nRUN " + "--mount=type=tmpfs,target=/x " * 1000 + "true\n", Contained()
    ),
    BuildCase(
        "a secret that is a link of the context",
        _run("type=secret,id=s,target=/s", "true"),
        Contained(),
        files(s="x"),
        ("--secret", "id=s,src=s", "."),
    ),
    BuildCase(
        "a bind of the context, written to",
        _run("type=bind,rw,target=/x", "sh -c 'echo evil >/x/f; ln -s @OUT@ /x/l; echo evil >/x/l/canary'; true"),
        Contained(),
        both(files(f="x"), links(link="@OUT@")),
    ),
)

CASES = (*TARGETS, *THROUGH_LINKS, *LEFT_IN_CACHES, *FIELDS)

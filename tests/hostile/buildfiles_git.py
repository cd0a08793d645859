"""Cases: ADD of git repositories whose names, refs and directories are options, and whose trees mean harm."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

from tests.hostile.buildfiles import BuildCase, Ground
from tests.hostile.contexts import Make
from tests.hostile.outcomes import Contained, Refused
from tests.support.repositories import Working

BUILDFILE, CONTEXT = 3, 4


def repository(*spoil: Callable[[Working, Ground], None]) -> Make:
    """A repository at `served/evil.git` beside the context, made by these and served as plain files by the test."""

    def make(ground: Ground) -> None:
        work = Working.new(ground.room.path / "served" / "work")
        work.commit(f="x", d__g="y")
        for one in spoil:
            one(work, ground)
        work.publish(ground.room.path / "served" / "evil.git")

    return make


def _links(work: Working, ground: Ground) -> None:
    (work.path / "out").symlink_to(ground.outside.path)
    (work.path / "up").symlink_to("../" * 24 + str(ground.outside.path))
    (work.path / "file").symlink_to(ground.outside.path / "canary")
    work.commit_all()


def _tree(work: Working, entries: list[tuple[str, str, str]]) -> str:
    """A tree put together by hand, which git's own commands would refuse: (mode and type, id, name)."""
    rows = b"".join(
        b"%b %b\0%b" % (mode.encode(), os.fsencode(name), bytes.fromhex(sha)) for mode, sha, name in entries
    )
    done = subprocess.run(
        ["git", "hash-object", "-t", "tree", "-w", "--stdin", "--literally"],
        input=rows,
        cwd=work.path,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        capture_output=True,
        check=True,
    )
    return done.stdout.decode().strip()


def _commit_tree(work: Working, tree: str) -> None:
    commit = work.git("commit-tree", "-m", "x", tree)
    work.git("update-ref", "refs/heads/main", commit)


def _blob(work: Working, text: str) -> str:
    path = work.path.parent / "blob"
    path.write_text(text)
    return work.git("hash-object", "-w", str(path))


def with_entry(name: str, mode: str = "100644") -> Callable[[Working, Ground], None]:
    """A tree with an entry of this name."""

    def spoil(work: Working, ground: Ground) -> None:
        content = str(ground.outside.path) if mode == "120000" else "[core]\n\tfsmonitor = touch @OUT@/owned\n"
        sha = _blob(work, ground.filled(content))
        if mode == "40000":
            sha = _tree(work, [("100755", sha, "post-checkout"), ("100644", sha, "config")])
        _commit_tree(work, _tree(work, [(mode, sha, name)]))

    return spoil


def _link_then_directory(work: Working, ground: Ground) -> None:
    """A link and a directory of the same name, or of one that differs by case."""
    sha, inner = _blob(work, str(ground.outside.path)), _blob(work, "evil")
    below = _tree(work, [("100644", inner, "canary")])
    _commit_tree(work, _tree(work, [("120000", sha, "A"), ("40000", below, "a")]))


def _link_and_directory(work: Working, ground: Ground) -> None:
    sha, inner = _blob(work, str(ground.outside.path)), _blob(work, "evil")
    below = _tree(work, [("100644", inner, "canary")])
    _commit_tree(work, _tree(work, [("120000", sha, "a"), ("40000", below, "a")]))


def submodule(name: str, url: str, path: str = "sub") -> Callable[[Working, Ground], None]:
    """A .gitmodules with this name, URL and path, and the entry that goes with it."""

    def spoil(work: Working, ground: Ground) -> None:
        text = f'[submodule "{name}"]\n\tpath = {path}\n\turl = {ground.filled(url)}\n\tupdate = !touch @OUT@/owned\n'
        (work.path / ".gitmodules").write_text(ground.filled(text))
        head = work.git("rev-parse", "HEAD")
        work.git("update-index", "--add", "--cacheinfo", f"160000,{head},{path}")
        work.git("add", ".gitmodules")
        work.git("commit", "--quiet", "-m", "x")

    return spoil


def _attributes(work: Working, ground: Ground) -> None:
    """Filters and hooks that a repository would like to be run."""
    (work.path / ".gitattributes").write_text("* filter=evil diff=evil merge=evil ident export-subst\n")
    (work.path / ".gitconfig").write_text(ground.filled('[filter "evil"]\n\tsmudge = touch @OUT@/owned\n'))
    (work.path / ".lfsconfig").write_text("[lfs]\n\turl = file:///etc\n")
    work.commit_all()


def _bomb(work: Working, ground: Ground) -> None:
    """Ten names for a tree of ten names … : ten thousand million files in a few objects."""
    del ground
    sha = _blob(work, "x")
    tree = _tree(work, [("100644", sha, f"f{n}") for n in range(10)])
    for _ in range(9):
        tree = _tree(work, [("40000", tree, f"d{n}") for n in range(10)])
    _commit_tree(work, tree)


def _deep(work: Working, ground: Ground) -> None:
    """Directories 1,500 deep."""
    del ground
    work.git("update-index", "--add", "--cacheinfo", f"100644,{_blob(work, 'x')},{'d/' * 1500}f")
    work.git("commit", "--quiet", "-m", "x")


def _many_refs(work: Working, ground: Ground) -> None:
    del ground
    head = work.git("rev-parse", "HEAD")
    packed = "".join(f"{head} refs/heads/b{n}\n" for n in range(3_000))
    (work.path / ".git" / "packed-refs").write_text(packed)


def _large(work: Working, ground: Ground) -> None:
    """A few kilobytes that are 64 MB."""
    del ground
    with open(work.path / "zeros", "wb") as stream:
        stream.truncate(64 << 20)
    work.commit_all()


def _add(url: str) -> str:
    return f'FROM scratch\nADD ["{url}", "/x/"]\n'


NAMES = tuple(
    BuildCase(f"ADD {url[:60]}", _add(url), Contained())
    for url in (
        "--upload-pack=touch @OUT@/owned.git",
        "-oProxyCommand=touch@x:evil.git",
        "ssh://-oProxyCommand=touch%20owned/x.git",
        "ssh://x@-oProxyCommand=x/x.git",
        "git@-oProxyCommand=touch:x.git",
        "-u@host:x.git",
        "ext::sh -c touch% @OUT@/owned",
        "ext::sh",
        "fd::0",
        "file://@OUT@/x.git",
        "https://file://@OUT@/x.git",
        "http://127.0.0.1:1/x.git#--upload-pack=touch",
        "http://127.0.0.1:1/x.git#-f",
        "http://127.0.0.1:1/x.git#a..b",
        "http://127.0.0.1:1/x.git#refs/heads/../../x",
        "http://127.0.0.1:1/x.git#a%0ab",
        "http://127.0.0.1:1/x.git#%00",
        "http://127.0.0.1:1/x.git?ref=--exec=x",
        "http://127.0.0.1:1/x.git?subdir=../..",
        "http://127.0.0.1:1/x.git?checksum=--x",
        "http://127.0.0.1:1/x.git?" + "a=b&" * 1000,
        "http://user:secret@127.0.0.1:1/x.git",
        "git://127.0.0.1:1/x%0d%0ahost=evil.git",
        "git://127.0.0.1:1/../../etc",
        "http://127.0.0.1:1/\u202ex.git",
        "https://evil.example\\@127.0.0.1:1/x.git",
    )
)

_OUTSIDE = (
    ":../../",
    ":../../../../../..@OUT@",
    ":out",
    ":up",
    ":file",
    ":d/../out",
    ":.git",
    ":-rf",
    ":\u202e",
    ":d\0",
)
_SPOILT: dict[str, tuple[Callable[[Working, Ground], None], ...]] = {
    "links out": (_links,),
    "an entry .git": (with_entry(".git", "40000"),),
    "an entry .GIT": (with_entry(".GIT", "40000"),),
    "an entry .git that is a link": (with_entry(".git", "120000"),),
    "an entry git~1": (with_entry("git~1", "40000"),),
    "an entry of two dots": (with_entry("..", "40000"),),
    "an entry of a dot": (with_entry(".", "120000"),),
    "an entry with a slash": (with_entry("../canary"),),
    "an entry that is absolute": (with_entry("/etc/x"),),
    "an entry of controls": (with_entry("\x1b[2J\x07"),),
    "an entry without a name": (with_entry(""),),
    "a .gitmodules that is a link": (with_entry(".gitmodules", "120000"),),
    "a link and a directory of one name": (_link_and_directory,),
    "a link and a directory that differ by case": (_link_then_directory,),
    "a submodule of an option": (submodule("evil", "--upload-pack=touch @OUT@/owned"),),
    "a submodule of ext::": (submodule("evil", "ext::sh -c touch% @OUT@/owned"),),
    "a submodule of a path": (submodule("evil", "@OUT@"),),
    "a submodule of file:": (submodule("evil", "file://@OUT@"),),
    "a submodule whose name climbs": (submodule("../../x", "./evil.git"),),
    "a submodule of itself": (submodule("evil", "./"),),
    "a submodule of an ssh option": (submodule("evil", "ssh://-oProxyCommand=touch/x"),),
    "filters": (_attributes,),
    "ten thousand million files": (_bomb,),
    "directories 1,500 deep": (_deep,),
    "3,000 branches": (_many_refs,),
    "64 MB of zeros": (_large,),
}
REPOSITORIES = (
    *(
        BuildCase(f"ADD of a repository with {what}", _add("@GIT@/evil.git"), Contained(), repository(*spoil))
        for what, spoil in _SPOILT.items()
    ),
    *(
        BuildCase(
            f"ADD of the directory {place!r} of one",
            _add(f"@GIT@/evil.git#main{place}"),
            Contained(),
            repository(_links),
        )
        for place in _OUTSIDE[:-1]
    ),
    BuildCase(
        "ADD --keep-git-dir of one with filters",
        "FROM scratch\nADD --keep-git-dir=true @GIT@/evil.git /x/\n",
        Contained(),
        repository(_attributes, _links),
    ),
    *(
        BuildCase(
            f"a context of a repository, its Buildfile {what}",
            None,
            Refused("", CONTEXT),
            repository(_links),
            ("-f", name, "@GIT@/evil.git"),
        )
        for what, name in (
            ("a link out", "file"),
            ("through a link out", "out/canary"),
            ("climbing", "../../../../../../../../..@OUT@/canary"),
            ("absolute", "@OUT@/canary"),
        )
    ),
)

CASES = (*NAMES, *REPOSITORIES)

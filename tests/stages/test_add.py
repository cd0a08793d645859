"""ADD: archives are unpacked as tar would, files come by URL, and what is damaged or hostile is told."""

from __future__ import annotations

import base64
import bz2
import gzip
import hashlib
import http.server
import io
import lzma
import random
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
import zstandard

from builder.errors import BuildfileError, ContextError
from tests.stages.builds import Bench, base, content, row
from tests.support.tars import archive

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.compress,
}
MEMBERS = {"d/": {"mode": "0750", "uid": 5, "gid": 6}, "d/f": {"content": "text", "mode": "4711", "mtime": 1234567890}}


@pytest.mark.parametrize("how", PACKERS)
def test_archives_are_unpacked(bench: Bench, how: str) -> None:
    """An archive in any compression gives its members with their modes, owners and times."""
    bench.file("a.bin", PACKERS[how](archive(MEMBERS)))
    image = bench.build("FROM scratch\nADD a.bin /x/\n")
    assert content(image, "/x/d/f") == "text"
    directory, file = image.node("/x/d"), image.node("/x/d/f")
    assert directory is not None and file is not None
    assert (directory.info.mode, directory.info.uid, directory.info.gid) == (0o750, 5, 6)
    assert (file.info.mode, file.info.mtime) == (0o4711, 1234567890)


@pytest.mark.parametrize("how", PACKERS)
def test_a_truncated_archive(bench: Bench, how: str) -> None:
    """An archive that is cut short is an error with its name, and no layer with half of it."""
    members = {f"f{number}": {"content": str(number) * 5000} for number in range(40)}
    data = PACKERS[how](archive(members))
    noise = PACKERS[how](archive({"noise": {"content_b64": _noise()}}))
    for name, whole in (("a.tar", data), ("b.tar", noise)):
        bench.file(name, whole[: len(whole) * 2 // 3])
    error = bench.fails(ContextError, "FROM scratch\nADD b.tar /\n")
    assert error.message.startswith("ADD cannot unpack b.tar: ") and "too early" in error.message
    assert error.span is not None and error.span.first == 2
    if how in ("plain", "gzip"):
        assert "a.tar" in bench.fails(ContextError, "FROM scratch\nADD a.tar /\n").message


def _noise() -> str:
    return base64.b64encode(random.Random(1).randbytes(2_500_000)).decode()


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 1024, b"\x1f\x8bno gzip at all", gzip.compress(b"no tar", mtime=0), b"BZh9xx"]
)
def test_what_is_no_archive_is_copied(bench: Bench, data: bytes) -> None:
    """A file that only looks compressed, or whose content is no tar, is copied as it is."""
    bench.file("f.tar.gz", data)
    node = bench.build("FROM scratch\nADD f.tar.gz /d/\n").node("/d/f.tar.gz")
    assert node is not None and node.content == data


def test_unpack_both_ways(bench: Bench) -> None:
    """--unpack=false copies an archive; COPY always does."""
    data = bench.file("a.tar", archive(MEMBERS)).read_bytes()
    image = bench.build("FROM scratch\nADD --unpack=false a.tar /\nCOPY a.tar /b.tar\n")
    for path in ("/a.tar", "/b.tar"):
        node = image.node(path)
        assert node is not None and node.content == data


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "a/.."])
def test_names_that_lead_out(bench: Bench, name: str) -> None:
    """An archive with `..` in a name is refused."""
    bench.file("a.tar", archive({"fine": "1", name: "evil"}))
    error = bench.fails(ContextError, "FROM scratch\nADD a.tar /\n")
    assert "a.tar" in error.message and "lead out of the root" in error.message


def test_names_stay_in_the_destination(bench: Bench) -> None:
    """An absolute name is one below the destination."""
    bench.file("a.tar", archive({"/abs": "1", "./dot": "2"}))
    image = bench.build("FROM scratch\nADD a.tar /x/\n")
    assert (content(image, "/x/abs"), content(image, "/x/dot")) == ("1", "2")


def test_a_member_behind_a_link_of_the_archive(bench: Bench) -> None:
    """A link that the archive itself brings leads on inside the image only (CVE-2018-15664's kind)."""
    bench.file("a.tar", archive({"out": {"symlink": "/../../../etc"}, "out/passwd": "mine"}))
    image = bench.build("FROM scratch\nADD a.tar /x/\n")
    assert content(image, "/etc/passwd") == "mine"
    node = image.node("/x/out")
    assert node is not None and node.kind == "symlink"


def test_links_in_archives(bench: Bench) -> None:
    """Hard links are names of one file, also of a link; one to nothing is refused, and so is one to a directory."""
    members: dict[str, Any] = {"f": "1", "h": {"hardlink": "f"}, "s": {"symlink": "f"}, "hs": {"hardlink": "s"}}
    bench.file("a.tar", archive(members))
    image = bench.build("FROM scratch\nADD a.tar /\n")
    assert image.node("/f") is image.node("/h") and content(image, "/h") == "1"
    node = image.node("/hs")
    assert node is not None and (node.kind, node.info.linkname) == ("symlink", "f")
    for wrong in ({"h": {"hardlink": "f"}, "f": "1"}, {"d/": None, "h": {"hardlink": "d"}}):
        bench.file("b.tar", archive(wrong))
        assert "hard link" in bench.fails(ContextError, "FROM scratch\nADD b.tar /\n").message


def test_the_archive_wins_over_what_is_there(bench: Bench) -> None:
    """A member replaces what has its name, a link and a tree of another kind too; a directory joins a directory."""
    lower = [
        {"path": "lib", "type": "symlink", "to": "usr/lib"},
        *(row("usr"), row("usr/lib"), row("usr/lib/so", "1")),
        *(row("tree"), row("tree/below", "2"), row("etc"), row("etc/kept", "3"), row("etc/file", "4")),
    ]
    members = {"lib/": None, "lib/new": "a", "tree": "b", "etc/": None, "etc/file/": None, "etc/file/in": "c"}
    bench.file("a.tar", archive(members))
    image = bench.build(f"FROM {base(bench.room / 'base', [lower])}\nADD a.tar /\n")
    node = image.node("/lib")
    assert node is not None and node.kind == "dir"
    assert content(image, "/lib/new") == "a" and content(image, "/usr/lib/so") == "1"
    assert content(image, "/tree") == "b" and image.node("/tree/below") is None
    assert content(image, "/etc/kept") == "3" and content(image, "/etc/file/in") == "c"


def test_a_later_member_replaces_an_earlier_one(bench: Bench) -> None:
    """The last entry of a name counts, whatever kind the earlier one was."""
    members = (("x", tarfile.DIRTYPE, b""), ("x/in", tarfile.REGTYPE, b"1"), ("x", tarfile.REGTYPE, b"2"))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, kind, data in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.mode = kind, len(data), 0o755
            tar.addfile(info, io.BytesIO(data))
    bench.file("a.tar", out.getvalue())
    image = bench.build("FROM scratch\nADD a.tar /\n")
    assert content(image, "/x") == "2" and image.node("/x/in") is None


def test_several_archives_in_one_add(bench: Bench) -> None:
    """Archives beside plain files: each is dealt with in its own way, the later one wins."""
    bench.file("one.tar", archive({"f": "1", "g": "1"}))
    bench.file("two.tar", archive({"f": "2"}))
    bench.file("three", "3")
    image = bench.build("FROM scratch\nADD one.tar two.tar three /d/\n")
    assert [content(image, f"/d/{name}") for name in ("f", "g", "three")] == ["2", "1", "3"]


def test_devices_and_whiteouts_are_left_out(bench: Bench) -> None:
    """Device nodes and names that mean something only between layers do not come from an archive."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, kind in (("null", tarfile.CHRTYPE), ("pipe", tarfile.FIFOTYPE), ("etc/.wh.x", tarfile.REGTYPE)):
            info = tarfile.TarInfo(name)
            info.type = kind
            tar.addfile(info)
    bench.file("a.tar", out.getvalue())
    layout = base(bench.room / "base", [[row("etc"), row("etc/x", "kept")]])
    image = bench.build(f"FROM {layout}\nADD a.tar /\n")
    assert content(image, "/etc/x") == "kept" and image.node("/null") is None
    assert image.node("/pipe") is not None


class _Site(http.server.BaseHTTPRequestHandler):
    files: ClassVar[dict[str, tuple[bytes, dict[str, str]]]] = {}
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        data, headers = self.files[self.path]
        self.send_response(200)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _site(files: dict[str, tuple[bytes, dict[str, str]]]) -> Iterator[str]:
    _Site.files, _Site.asked = files, []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Site) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_file_from_a_url(bench: Bench) -> None:
    """It is readable by its owner alone, and as old as the server says."""
    date = {"Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}
    with _site({"/d/file.bin": (b"data", date), "/plain": (b"x", {})}) as url:
        image = bench.build(f"FROM scratch\nADD {url}/d/file.bin /in/\nADD --chmod=644 {url}/plain /as\n")
    node, plain = image.node("/in/file.bin"), image.node("/as")
    assert node is not None and plain is not None
    assert (node.content, node.info.mode, node.info.mtime) == (b"data", 0o600, 1445412480)
    assert plain.info.mode == 0o644


def test_a_changed_url_is_noticed(bench: Bench) -> None:
    """Without a checksum the file is fetched by every build, and its content decides."""
    files: dict[str, tuple[bytes, dict[str, str]]] = {"/f": (b"one", {})}
    with _site(files) as url:
        buildfile = f"FROM scratch\nADD {url}/f /f\n"
        bench.build(buildfile)
        bench.build(buildfile)
        assert bench.cached != []
        files["/f"] = (b"two", {})
        assert content(bench.build(buildfile), "/f") == "two"


def test_a_checksum_needs_no_second_fetch(bench: Bench) -> None:
    """With a checksum a known file is not asked for again; a wrong one is refused with both digests."""
    good, bad = (f"sha256:{hashlib.sha256(text).hexdigest()}" for text in (b"data", b"other"))
    with _site({"/f": (b"data", {})}) as url:
        bench.build(f"FROM scratch\nADD --checksum={good} {url}/f /f\n")
        bench.build(f"FROM scratch\nADD --checksum={good} {url}/f /f\n")
        assert _Site.asked == ["/f"] and bench.cached != []
        error = bench.fails(ContextError, f"FROM scratch\nADD --checksum={bad} {url}/f /f\n")
    assert good in error.message and bad in error.message and error.span is not None
    assert (
        "unsupported checksum" in bench.fails(BuildfileError, f"FROM scratch\nADD --checksum=md5:1 {url}/f /\n").message
    )


def test_an_archive_from_a_url(bench: Bench) -> None:
    """It is kept as it is unless --unpack asks; a damaged one is then told by its name."""
    data = gzip.compress(archive({"f": {"content_b64": _noise()}}))
    with _site({"/a.tgz": (data, {}), "/b.tgz": (data[:500_000], {})}) as url:
        image = bench.build(f"FROM scratch\nADD {url}/a.tgz /\nADD --unpack=true {url}/a.tgz /x/\n")
        assert image.node("/a.tgz") is not None and image.node("/x/f") is not None
        error = bench.fails(ContextError, f"FROM scratch\nADD --unpack=true {url}/b.tgz /x/\n")
    assert "cannot unpack b.tgz" in error.message


def test_names_that_change_their_kind_take_no_time(bench: Bench) -> None:
    """Entries that are by turns a file and a directory, beside many others, cost no more than their number."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for number in range(5_000):
            tar.addfile(tarfile.TarInfo(f"d/{number}"))
        for number in range(4_000):
            info = tarfile.TarInfo("x")
            info.type = tarfile.DIRTYPE if number % 2 else tarfile.REGTYPE
            tar.addfile(info)
    bench.file("a.tar", out.getvalue())
    started = time.process_time()
    image = bench.build("FROM scratch\nADD a.tar /\n")
    assert time.process_time() - started < 8
    node = image.node("/x")
    assert node is not None and node.kind == "dir"

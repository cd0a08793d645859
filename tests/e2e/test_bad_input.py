"""Bad input and missing things, as people meet them: one error that says where, what and what to do; nothing stays."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.store.check import check
from builder.store.store import Store
from tests.oci.images import sample
from tests.oci.rogue import running_rogue, status
from tests.registry import free_port
from tests.support.bases import LayoutWriter
from tests.support.command import Ended, Pybuild
from tests.support.tars import layer

STEP, USAGE, BUILDFILE, CONTEXT, IMAGE, MACHINE, STORE = range(1, 8)
"""The exit codes of the README."""


def assert_one_error(ended: Ended, code: int, *says: str) -> None:
    """One message of one line and one hint, under this exit code, that holds these words."""
    assert ended.status == code, ended.text
    assert "internal error" not in ended.text, ended.text
    lines = ended.err.splitlines()
    assert sum(line.startswith("pybuild: ") for line in lines) == 1, ended.text
    assert sum(line.startswith("  hint: ") for line in lines) == 1, ended.text
    assert not ended.out, ended.out
    for words in says:
        assert words in ended.err, ended.text


def assert_nothing_is_left(pybuild: Pybuild) -> None:
    """The store is sound, no image has a name in it, and no work is lying about."""
    if pybuild.store.exists():
        with Store.open(pybuild.store) as store:
            assert check(store) == [] and store.images.all() == []
        assert not any((pybuild.store / "pybuild" / "tmp").iterdir())


def refused(pybuild: Pybuild, *words: str, code: int, says: tuple[str, ...]) -> None:
    """The command line is refused so, and leaves nothing behind."""
    ended = pybuild.run("--iidfile", "iid", *words, status=None)
    assert_one_error(ended, code, *says)
    assert_nothing_is_left(pybuild)
    assert not (pybuild.room / "iid").exists()


BUILDFILES: dict[str, tuple[Callable[[Path], object], int, tuple[str, ...]]] = {
    "missing": (lambda _: None, CONTEXT, ("no Buildfile in .", "-f")),
    "empty": (lambda path: path.write_text(""), BUILDFILE, ("Buildfile is empty", "FROM")),
    "only comments": (lambda path: path.write_text("# FROM x\n\n"), BUILDFILE, ("Buildfile is empty", "FROM")),
    "directory": (Path.mkdir, CONTEXT, ("Buildfile is a directory", "-f")),
    "named pipe": (os.mkfifo, CONTEXT, ("Buildfile is a named pipe", "-f")),
    "ring of links": (lambda path: path.symlink_to(path.name), CONTEXT, ("Buildfile", "symbolic links")),
    "link to nothing": (lambda path: path.symlink_to("nowhere"), CONTEXT, ("no Buildfile Buildfile", "-f")),
    "unreadable": (lambda path: path.touch(0), CONTEXT, ("Buildfile cannot be read: Permission denied",)),
    "binary": (lambda path: path.write_bytes(b"\x7fELF\0\1"), BUILDFILE, ("not a text file", "-f")),
    "Latin-1": (lambda path: path.write_bytes(b"FROM a\nRUN \xe9\n"), BUILDFILE, ("Buildfile:2 is not UTF-8",)),
    "huge": (lambda path: path.write_bytes(b"#" * (17 << 20)), BUILDFILE, ("larger than 8 MiB",)),
    "no FROM": (lambda path: path.write_text("RUN x\n"), BUILDFILE, (">>> 1 | RUN x", "ARG")),
    "unknown instruction": (lambda path: path.write_text("FROM a\nRUM x\n"), BUILDFILE, (">>> 2 | RUM x", "RUN?")),
}


@pytest.mark.parametrize("what", BUILDFILES)
def test_bad_buildfiles(pybuild: Pybuild, what: str) -> None:
    """A Buildfile that is none is an error with its name, found by its usual name and by -f alike."""
    make, code, says = BUILDFILES[what]
    make(pybuild.room / "Buildfile")
    refused(pybuild, ".", code=code, says=says)
    if what in ("directory", "link to nothing", "ring of links"):  # a link given with -f is followed
        refused(pybuild, "-f", "Buildfile", ".", code=code, says=says)


def test_a_buildfile_that_f_cannot_find(pybuild: Pybuild) -> None:
    """-f of nothing names what was given."""
    refused(pybuild, "-f", "sub/nope", ".", code=CONTEXT, says=("there is no Buildfile sub/nope", "-f"))


@pytest.mark.parametrize(("data", "says"), [(b"", "standard input is empty"), (b"\0\1", "standard input is not")])
def test_bad_standard_input(pybuild: Pybuild, data: bytes, says: str) -> None:
    """A Buildfile on standard input is called that."""
    done = subprocess.run(
        pybuild.argv("-f", "-", "."),
        cwd=pybuild.room,
        env=pybuild.env(None),
        input=data,
        capture_output=True,
        check=False,
    )
    assert_one_error(Ended(done.returncode, done.stdout.decode(), done.stderr.decode()), BUILDFILE, says)


CONTEXTS: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "missing": (lambda _: None, ("the build context place does not exist",)),
    "file": (Path.touch, ("the build context place is not a directory",)),
    "unreadable": (lambda path: path.mkdir(0), ("the build context place cannot be read: Permission denied",)),
    "unsearchable": (lambda path: path.mkdir(0o444), ("the build context place cannot be read: Permission denied",)),
}


@pytest.mark.parametrize("what", CONTEXTS)
def test_bad_contexts(pybuild: Pybuild, what: str) -> None:
    """A context that cannot be used is refused at once, whether a step needs it or not."""
    make, says = CONTEXTS[what]
    make(pybuild.room / "place")
    pybuild.write("Buildfile", "FROM scratch\n")
    refused(pybuild, "place", code=CONTEXT, says=says)
    refused(pybuild, "-f", "Buildfile", "place", code=CONTEXT, says=says)


def test_a_named_context_that_is_missing(pybuild: Pybuild) -> None:
    """--build-context of a missing directory is refused even where nothing uses it: it was asked for."""
    pybuild.write("Buildfile", "FROM scratch\n")
    refused(pybuild, "--build-context", "x=./nope", ".", code=CONTEXT, says=("x=./nope", "no such directory"))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("COPY nope /x", '"/nope" not found in the build context'),
        ("COPY hiddem /x", "did you mean hidden?"),
        ("COPY closed /x", "cannot read closed: Permission denied"),
        ("COPY closed/ /x", "Permission denied"),
        ("COPY hidden /x", "the ignore file excludes it"),
        ("ADD http://127.0.0.1:1/x /x", "127.0.0.1:1 refuses the connection"),
    ],
)
def test_missing_files_of_the_context(pybuild: Pybuild, line: str, says: str) -> None:
    """A source that cannot be had is shown with its line."""
    pybuild.write("Buildfile", f"FROM scratch\n{line}\n")
    pybuild.write(".dockerignore", "hidden\n" if "hidden" in line else "")
    pybuild.write("hidden", "")
    if line.startswith("COPY closed/"):
        (pybuild.room / "closed").mkdir(0)
    else:
        (pybuild.room / "closed").touch(0)
    refused(pybuild, "-t", "x:1", ".", code=CONTEXT, says=("Buildfile:2", f">>> 2 | {line}", says))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("-t", "App:1"), ("-t/--tag", "'App'", "lower case")),
        (("-t", "a b"), ("-t/--tag", "'a b'")),
        (("-t", ""), ("-t/--tag", "empty")),
        (("-t", "a:b:c"), ("-t/--tag", "'a:b:c'")),
        (("-t", "a@sha256:" + "0" * 64), ("-t/--tag",)),
        (("--build-arg", "=x"), ("--build-arg", "name")),
        (("--build-arg", "a b=x"), ("--build-arg", "'a b'")),
        (("--label", "=x"), ("--label", "'=x'")),
        (("--platform", "quux"), ("--platform", "'quux'")),
        (("--ulimit", "x"), ("--ulimit", "'x'")),
        (("--memory", "lots"), ("--memory", "'lots'")),
        (("--secret", "id=a,src=nope"), ("--secret", "nope: No such file")),
        (("--target", "nope"), ("--target nope", "no such stage")),
        (("-o", "type=local"), ("-o/--output", "dest")),
        (("-o", "type=lokal,dest=x"), ("-o/--output", "type=lokal")),
        (("--no-such",), ("--no-such",)),
        (("--iidfile", "nope/x"), ("nope", "mkdir -p")),
    ],
)
def test_malformed_words(pybuild: Pybuild, words: tuple[str, ...], says: tuple[str, ...]) -> None:
    """A word of the command line that cannot be understood is named with its option and the form it should have."""
    pybuild.write("Buildfile", "FROM scratch\n")
    refused(pybuild, *words, ".", code=USAGE, says=says)


@pytest.mark.parametrize(
    ("base", "says"),
    [
        ("No/Case", "lower case"),
        ("a@sha256:12", "'sha256:12'"),
        ("oci:./nope", "nope does not exist"),
        ("oci-archive:./nope", "nope does not exist"),
        ("docker-archive:./text", "not a tar archive"),
        ("rootfs:./text", "not a tar archive"),
        ("rootfs:./nope", "nope does not exist"),
        ("nosuch.invalid/x:1", "nosuch.invalid was not found"),
    ],
)
def test_bases_that_there_are_not(pybuild: Pybuild, base: str, says: str) -> None:
    """A base that cannot be had is shown with its FROM."""
    pybuild.write("text", "this is no archive\n")
    pybuild.write("Buildfile", f"FROM {base}\n")
    refused(pybuild, "-t", "x:1", ".", code=IMAGE, says=(f">>> 1 | FROM {base}", says))


def test_an_image_that_its_registry_lacks(pybuild: Pybuild, registry: str) -> None:
    """404: the name and the registry are said."""
    for name in (f"{registry}/nope:1", f"{registry}/busybox:nope", f"{registry}/busybox@sha256:{'0' * 64}"):
        pybuild.write("Buildfile", f"FROM {name}\n")
        refused(pybuild, ".", code=IMAGE, says=(f">>> 1 | FROM {name}", f"{name} was not found at {registry}"))


def test_a_registry_that_is_down(pybuild: Pybuild) -> None:
    """Nobody listens: said at once, without trying again and again."""
    address = f"127.0.0.1:{free_port()}"
    pybuild.write("Buildfile", f"FROM {address}/x:1\n")
    refused(pybuild, ".", code=IMAGE, says=("Buildfile:1", f"{address} refuses the connection", "running?"))


@pytest.mark.kernel
def test_no_network(pybuild: Pybuild) -> None:
    """In a network namespace of its own nothing is reached: the host's name and the network are named."""
    pybuild.write("Buildfile", "FROM debian:12\n")
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--net", *pybuild.argv(".")],
        cwd=pybuild.room,
        env=pybuild.env(None),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert_one_error(Ended(done.returncode, done.stdout, done.stderr), IMAGE, ">>> 1 | FROM debian:12", "network")
    assert_nothing_is_left(pybuild)


def test_no_image_for_this_platform(pybuild: Pybuild, tmp_path: Path) -> None:
    """The error lists the platforms that there are."""
    writer = LayoutWriter(tmp_path / "base")
    tar = layer([{"path": "file", "type": "file", "content": "x"}])
    kind = "application/vnd.oci.image.layer.v1.tar"
    writer.finish([writer.image(platform, {}, [(tar, kind)]) for platform in ("linux/s390x", "linux/riscv64")])
    base = f"oci:{tmp_path / 'base'}:latest"
    pybuild.write("Buildfile", f"FROM {base}\n")
    refused(pybuild, ".", code=IMAGE, says=("Buildfile:1", "linux/s390x", "linux/riscv64"))


def test_an_only_image_for_another_platform(pybuild: Pybuild, busybox: str) -> None:
    """Where a platform was asked for, an image without an index must be for it too."""
    pybuild.write("Buildfile", f"FROM {busybox}\n")
    refused(pybuild, "--platform", "linux/s390x", ".", code=IMAGE, says=("Buildfile:1", "linux/s390x"))


@pytest.mark.parametrize("part", ["index", "manifest", "config", "layer", "layer cut short"])
def test_a_damaged_layout(pybuild: Pybuild, part: str) -> None:
    """A flipped byte anywhere is found before anything is made of it, and the place is where it was needed."""
    image = sample(media_types=("application/vnd.oci.image.layer.v1.tar+gzip",))
    directory = pybuild.room / "base"
    image.write_blobs(directory / "blobs/sha256")
    (directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (directory / "index.json").write_text(
        '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",'
        f'"digest":"{image.image.manifest.digest}","size":{image.image.manifest.size}}}]}}'
    )
    digest = {
        "manifest": image.image.manifest.digest,
        "config": image.image.config_descriptor.digest,
    }.get(part, image.image.layers[0].descriptor.digest)
    path = directory / "index.json" if part == "index" else directory / "blobs/sha256" / digest.hex
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data[:50] if part == "layer cut short" else data)
    pybuild.write("Buildfile", "FROM oci:./base\nCOPY Buildfile /\n")
    says = "not valid JSON" if part == "index" else ("truncated" if part == "layer cut short" else "damaged")
    ended = pybuild.run("-t", "x:1", ".", status=None)
    assert_one_error(ended, IMAGE, "COPY" if part.startswith("layer") else "FROM oci:./base", says)
    assert_nothing_is_left(pybuild)


def test_a_registry_that_damages(pybuild: Pybuild) -> None:
    """A blob that comes with other bytes than its digest says is refused, and the line that needed it is shown."""
    image = sample(media_types=("application/vnd.oci.image.layer.v1.tar",))
    digest = image.image.layers[0].descriptor.digest
    with running_rogue() as rogue:
        rogue.serve("bad", image)
        blob = bytearray(image.layer_bytes())
        blob[600] ^= 1
        rogue.routes[f"/v2/bad/blobs/{digest}"] = lambda exchange: exchange.send(200, bytes(blob))
        pybuild.write("Buildfile", f"FROM {rogue.address}/bad:1\nCOPY Buildfile /file0/x\n")
        refused(pybuild, ".", code=IMAGE, says=(">>> 2 |", f"blob {digest} is damaged"))


def test_a_registry_that_wants_a_login(pybuild: Pybuild) -> None:
    """401: said plainly, with the way round."""
    with running_rogue() as rogue:
        rogue.routes["/v2/x/manifests/1"] = status(401, WWW_Authenticate='Basic realm="r"')
        pybuild.write("Buildfile", f"FROM {rogue.address}/x:1\n")
        refused(pybuild, ".", code=IMAGE, says=("Buildfile:1", "401", "login"))


def test_a_store_of_a_newer_version(pybuild: Pybuild) -> None:
    """It is left as it is, by every command."""
    (pybuild.store / "pybuild").mkdir(parents=True)
    (pybuild.store / "pybuild" / "version").write_text('{"version":99}')
    pybuild.write("Buildfile", "FROM scratch\n")
    for words in (("-t", "x:1", "."), ("images",), ("store", "check"), ("inspect", "x:1")):
        assert_one_error(pybuild.run(*words, status=None), STORE, "made by a newer pybuild", "--root")
    assert os.listdir(pybuild.store) == ["pybuild"] and os.listdir(pybuild.store / "pybuild") == ["version"]


def test_stores_that_cannot_be(pybuild: Pybuild) -> None:
    """Somebody's directory, a file, and a place that may not be written to are not made stores."""
    pybuild.write("Buildfile", "FROM scratch\n")
    (pybuild.room / "closed").mkdir(0o500)
    for root, says in (
        (".", "not a pybuild store"),
        ("Buildfile", "ot a directory"),
        ("closed/s", "Permission denied"),
    ):
        assert_one_error(pybuild.run("--root", root, ".", status=None), STORE, says)
    assert sorted(os.listdir(pybuild.room)) == ["Buildfile", "closed"]


def test_outputs_that_cannot_be_written(pybuild: Pybuild) -> None:
    """An output's own place is named."""
    pybuild.write("Buildfile", "FROM scratch\n")
    (pybuild.room / "closed").mkdir(0o500)
    for path in ("closed/layout", "closed/image.tar", "Buildfile/x"):
        assert_one_error(pybuild.run("-o", f"type=oci,dest={path}", ".", status=None), STORE, path)
    assert sorted(os.listdir(pybuild.room)) == ["Buildfile", "closed"]


def test_a_command_in_the_wrong_place(pybuild: Pybuild) -> None:
    """Options of a build before a command's name make it a context; the hint says how it is written."""
    ended = pybuild.run("-q", "images", status=None)
    assert_one_error(ended, USAGE, "images is a command", "pybuild images")

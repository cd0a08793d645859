"""What a build leaves besides the image in the store, as people ask for it and as other programs read it."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.errors import ImageError
from tests.registry import free_port, skopeo
from tests.support.command import Pybuild

BUILDFILE = """
FROM {base}
WORKDIR /srv
COPY Buildfile tree/
RUN echo made >made && chown 1000:33 made && ln made again && ln -s /etc/passwd outside && rm /bin/yes \
 && mkdir -m 1777 sticky && chmod 4755 made && mkfifo pipe && touch -d @1500000000 old && chmod 640 old
"""


@pytest.fixture
def built(pybuild: Pybuild, busybox: str) -> Pybuild:
    """The command in a directory with BUILDFILE."""
    pybuild.write("Buildfile", BUILDFILE.format(base=busybox))
    return pybuild


@pytest.fixture
def plain(pybuild: Pybuild) -> Pybuild:
    """The command in a directory with a Buildfile that needs no namespace."""
    pybuild.write("Buildfile", "FROM scratch\nCOPY Buildfile /d/f\n")
    return pybuild


def described(root: Path) -> dict[str, tuple[object, ...]]:
    """Each path with its kind, its mode, its time, and its content or target; names of one file know each other."""
    found: dict[str, tuple[object, ...]] = {}
    inodes: dict[int, list[str]] = {}
    for path in sorted(root.rglob("*")):
        facts, name = path.lstat(), str(path.relative_to(root))
        what = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        mode = 0o777 if path.is_symlink() else stat.S_IMODE(facts.st_mode)
        names = [] if path.is_dir() else inodes.setdefault(facts.st_ino, [])
        names.append(name)
        found[name] = (stat.S_IFMT(facts.st_mode), mode, int(facts.st_mtime), what, names)
    return found


def client(*words: str, cwd: Path | None = None) -> str:
    """Run somebody else's program and give what it printed."""
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


def test_through_a_pipe(plain: Pybuild) -> None:
    """`pybuild -o - . | tar t` lists the files; nothing else is on standard output."""
    build = subprocess.Popen(
        plain.argv("-o", "-", "."), cwd=plain.room, env=plain.env(None), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    listed = subprocess.run(["tar", "tf", "-"], stdin=build.stdout, capture_output=True, text=True, timeout=60)
    assert (build.wait(), listed.returncode, listed.stdout.split()) == (0, 0, ["d/", "d/f"])


def test_several_outputs(plain: Pybuild) -> None:
    """All are written, and the summary has a line for each."""
    words = ("-o", "files", "-o", "type=tar,dest=f.tar", "-o", "type=docker,dest=d.tar", "-o", "type=oci,dest=layout")
    ended = plain.run(*words, "-t", "app:1", ".")
    for line in ("files (files)", "f.tar (tar of files)", "d.tar (docker archive)", "layout (OCI layout)"):
        assert f"  written:    {line}\n" in ended.err
    assert (plain.room / "files/d/f").exists()


def test_files_where_other_files_are(plain: Pybuild, tmp_path: Path) -> None:
    """Links that are there are replaced or refused, and never followed; what else is there stays."""
    outside = tmp_path / "outside"
    outside.mkdir()
    out = plain.room / "out"
    out.mkdir()
    (out / "mine").touch()
    (out / "d").symlink_to(outside)
    ended = plain.run("-o", "out", ".", status=7)
    assert "pybuild: out/d is a symbolic link, where the image has a directory\n" in ended.err
    (out / "d").unlink()
    (out / "d").mkdir()
    (out / "d/f").symlink_to(outside / "f")
    plain.run("-o", "out", ".")
    assert os.listdir(outside) == [] and sorted(os.listdir(out)) == ["d", "mine"]
    assert (out / "d/f").read_bytes() == (plain.room / "Buildfile").read_bytes()


def test_words_that_are_wrong(plain: Pybuild) -> None:
    """They are found before anything is built."""
    for words, message in (
        (("-o", "type=oci,dest=x,compresion=zstd"), "did you mean compression?"),
        (("-o", "type=loca,dest=x"), "did you mean local?"),
        (("--push",), "there is no name to push the image by"),
        (("-o", "type=tar,dest=."), "is a directory"),
    ):
        ended = plain.run(*words, ".", status=2)
        assert message in ended.err and not plain.store.exists()


def test_a_push(plain: Pybuild, registry: str) -> None:
    """--push sends the image; the metadata has its digest and name, and the summary where it is."""
    name = f"{registry}/outputs/app:1"
    ended = plain.run("-t", name, "--push", "-o", "files", "--metadata-file", "meta.json", "--iidfile", "iid", ".")
    document = json.loads((plain.room / "meta.json").read_text())
    shown = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{name}"))
    assert document["containerimage.digest"] == shown["Digest"] and document["image.name"] == name
    assert f"  pushed:     {name}@{shown['Digest']}\n" in ended.err
    assert (plain.room / "iid").read_text() == document["containerimage.config.digest"]


def test_a_push_that_fails(plain: Pybuild) -> None:
    """It is exit code 5, and the image is in the store, as the hint says."""
    name = f"127.0.0.1:{free_port()}/app:1"
    ended = plain.run("-t", name, "--push", ".", status=ImageError.exit_code)
    assert f"the image is built and in the store: pybuild push {name}" in ended.err
    assert "127.0.0.1" in plain.run("images").out


def test_an_output_again_does_no_work(plain: Pybuild) -> None:
    """A build that changed nothing writes the same bytes, in whatever compression."""
    words = ("-o", "type=oci,dest=a.tar,compression=zstd,compression-level=12,annotation.a=b", ".")
    plain.run(*words)
    first = (plain.room / "a.tar").read_bytes()
    plain.run(*words)
    assert (plain.room / "a.tar").read_bytes() == first


@pytest.mark.kernel
@pytest.mark.clients
def test_the_files_are_those_that_umoci_unpacks(built: Pybuild, tmp_path: Path) -> None:
    """type=local gives what `umoci unpack --rootless` gives, but for special files and bits that lend rights."""
    ended = built.run("-o", "files", "-o", "type=oci,dest=layout", "-t", "app:1", ".")
    assert "note: 1 named pipe left out of files" in ended.err
    client("umoci", "unpack", "--rootless", "--image", f"{built.room / 'layout'}:1", str(tmp_path / "bundle"))
    root = tmp_path / "bundle/rootfs"
    os.unlink(root / "srv/pipe")
    os.chmod(root / "srv/made", 0o755)
    os.utime(root / "srv", ns=((built.room / "files/srv").stat().st_mtime_ns,) * 2)
    assert described(built.room / "files") == described(root)


@pytest.mark.kernel
@pytest.mark.clients
def test_the_tar_is_that_of_buildah(built: Pybuild, busybox: str, tmp_path: Path) -> None:
    """type=tar has the paths, kinds, modes, owners and targets that buildah's has."""
    storage = tempfile.mkdtemp(prefix="pbou-")
    words = ["--root", f"{storage}/root", "--runroot", f"{storage}/run", "--storage-driver", "vfs"]
    theirs, ours = tmp_path / "theirs.tar", tmp_path / "ours.tar"
    built.write("Buildfile", BUILDFILE.format(base="base"))
    try:
        client("buildah", *words, "pull", "-q", busybox)
        image = client("buildah", *words, "images", "-q").split()[0]
        client("buildah", *words, "tag", image, "base")
        output = f"type=tar,dest={theirs}"
        build = ("build", "--isolation", "chroot", "--pull-never", "-o", output, "-f", "Buildfile", ".")
        client("buildah", *words, *build, cwd=built.room)
    finally:
        subprocess.run(["buildah", "unshare", "rm", "-rf", storage], check=True, timeout=60)
    built.run("--build-context", f"base={busybox}", "-o", f"type=tar,dest={ours}", ".")
    mine, other = _members(ours), _members(theirs)
    for path in ("srv/made", "srv/again"):  # buildah takes the setuid bit away; in a tar it belongs to root still
        assert (mine[path].pop("mode"), other[path].pop("mode")) == (0o4755, 0o755)
    mounted = {"etc/hosts", "etc/hostname", "etc/resolv.conf", "run", "run/.containerenv", "."}
    for path in mounted:
        mine.pop(path, None)
        other.pop(path, None)
    assert mine == other


def _members(path: Path) -> dict[str, dict[str, object]]:
    """What a tar has, by name. Which name of a file comes first is the writer's choice, so all are described alike."""
    found: dict[str, dict[str, object]] = {}
    with tarfile.open(path) as tar:
        members = {member.name.removeprefix("./"): member for member in tar}
        for name, member in members.items():
            first = members[member.linkname.removeprefix("./")] if member.islnk() else member
            reader = tar.extractfile(first) if first.isreg() else None
            found[name] = {
                "kind": "file" if reader else first.type,
                "mode": 0 if first.issym() else first.mode & 0o7777,
                "owner": (first.uid, first.gid),
                "what": reader.read() if reader else first.linkname,
            }
    return found


@pytest.fixture
def storage() -> Iterator[list[str]]:
    """A storage for podman: its own, without overlay, below a short path."""
    directory = tempfile.mkdtemp(prefix="pbou-")
    yield ["--root", f"{directory}/root", "--runroot", f"{directory}/run", "--storage-driver", "vfs"]
    subprocess.run(["buildah", "unshare", "rm", "-rf", directory], check=True, timeout=60)


@pytest.mark.clients
@pytest.mark.kernel
def test_podman_loads_the_docker_archive(plain: Pybuild, storage: list[str]) -> None:
    """By the name of -t; skopeo reads it too."""
    plain.run("-o", "type=docker,dest=d.tar", "-t", "localhost/app:7", ".")
    assert "localhost/app:7" in client("podman", *storage, "load", "-i", str(plain.room / "d.tar"))
    assert "localhost/app:7" in client("skopeo", "list-tags", f"docker-archive:{plain.room / 'd.tar'}")


@pytest.mark.clients
@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_skopeo_reads_every_compression(plain: Pybuild, compression: str, tmp_path: Path) -> None:
    """A layout says how its layers are compressed, and a copy of it is verified while it is made."""
    plain.run("-o", f"type=oci,dest=layout,compression={compression},force-compression=true", "-t", "app:1", ".")
    raw = json.loads(client("skopeo", "inspect", "--raw", f"oci:{plain.room / 'layout'}:1"))
    ending = {"gzip": "tar+gzip", "zstd": "tar+zstd", "none": "tar"}[compression]
    assert [layer["mediaType"].rpartition(".")[2] for layer in raw["layers"]] == [ending]
    client("skopeo", "copy", "-q", f"oci:{plain.room / 'layout'}:1", f"dir:{tmp_path / 'copy'}")


@pytest.mark.clients
def test_docker_media_types_in_a_registry(plain: Pybuild, registry: str) -> None:
    """With oci-mediatypes=false the registry has an image of schema 2, which skopeo reads."""
    name = f"{registry}/outputs/docker:1"
    plain.run("-o", f"type=image,name={name},push=true,oci-mediatypes=false", ".")
    raw = json.loads(skopeo("inspect", "--tls-verify=false", "--raw", f"docker://{name}"))
    assert raw["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    assert json.loads(skopeo("inspect", "--tls-verify=false", "--config", f"docker://{name}"))["os"] == "linux"

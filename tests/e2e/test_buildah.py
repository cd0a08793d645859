"""The same Buildfile built by Debian's buildah gives the same image. What differs is listed, with the reason."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.registry import push
from tests.support.bases import LayoutWriter
from tests.support.command import Pybuild
from tests.support.images import ReadImage, read_layout
from tests.support.tars import layer

pytestmark = [pytest.mark.kernel, pytest.mark.clients]

BUILDFILE = r"""
ARG BASE
FROM $BASE AS first
RUN mkdir /out && echo made >/out/made && chmod 600 /out/made && ln -s made /out/sym
FROM $BASE AS parent
ENV PARENT=1
ONBUILD RUN echo from the parent >/onbuild
FROM $BASE
ARG WHO=world
ENV GREETING="hello $WHO" PATH=$PATH:/opt/bin
LABEL a=b "c d"="e $WHO"
WORKDIR /srv/app
COPY one .
COPY --chown=1000:33 dir /srv/dir/
COPY --chown=app dir/sub /srv/named/
COPY --chmod=0640 one /srv/modes/one
COPY --from=first /out /srv/out/
COPY --from=first /out/made /out/sym /srv/picked/
ADD t.tar /srv/tar/
ADD t.tar.gz /srv/tar.gz/
RUN echo $GREETING >/srv/greeting && chown 12:34 /srv/greeting && chmod 4755 /srv/greeting \
 && ln -s /srv/greeting /srv/sym && ln /srv/greeting /srv/hard && mkfifo -m 644 /srv/fifo \
 && mkdir -m 1777 /srv/sticky && ln -s nowhere /srv/dangling && touch "/srv/a name" /srv/$(printf 'n\303\244me')
RUN rm /srv/app/one /srv/dir/a && rm -r /srv/out && mkdir /srv/out && touch /srv/out/new && chown -R 3:4 /srv/named \
 && chmod 711 /srv/modes && mv /srv/picked /srv/moved && rm /bin/yes && ln -s /srv /bin/yes
WORKDIR made/below
USER 1000:33
RUN id >/tmp/id && umask >/tmp/umask && env | grep -v HOSTNAME | sort >/tmp/env && pwd >/tmp/pwd
USER app
SHELL ["/bin/sh", "-ec"]
RUN id >/tmp/id2; mkdir -m 2775 /tmp/setgid
USER root
RUN id >/tmp/id3; stat -c '%a %u:%g %n' /srv/[!t]* >/tmp/seen; grep -E '^(CapInh|CapAmb)' /proc/self/status >/tmp/caps
EXPOSE 80 53/udp
VOLUME /data /more
ENTRYPOINT ["/bin/sh"]
CMD ["-c", "true"]
STOPSIGNAL SIGUSR1
HEALTHCHECK --interval=5s --timeout=2m --retries=2 CMD true
ONBUILD RUN echo onbuild
USER app:33
"""

THEIR_MOUNT_POINTS = {"etc/hosts", "etc/hostname", "etc/resolv.conf"}
"""buildah leaves the empty files over which it mounted its own; ours are in no layer."""

OTHERWISE: dict[str, tuple[Any, Any, str]] = {
    "srv/tar": ((0, 0), (7, 8), "the archive's own `.` has no say over a directory that is there; BuildKit's way"),
    "srv/tar.gz": ((0, 0), (7, 8), "the same"),
}
"""Path → (our owner, theirs, why)."""

DOCKER_ONLY = {
    *("AttachStdin", "AttachStdout", "AttachStderr", "OpenStdin", "StdinOnce", "Tty"),
    *("Domainname", "Hostname", "Image"),
}
"""Fields of Docker's format that say nothing about the image and are not in OCI's config."""


@pytest.fixture
def storage() -> Iterator[list[str]]:
    """buildah with a storage of its own, without overlay, below a short path."""
    if shutil.which("buildah") is None:
        pytest.skip("buildah is not installed")
    directory = tempfile.mkdtemp(prefix="pbbu-")
    yield ["buildah", "--root", f"{directory}/root", "--runroot", f"{directory}/run", "--storage-driver", "vfs"]
    # Its files belong to sub-ids.
    subprocess.run(["buildah", "unshare", "rm", "-rf", directory], check=True, timeout=60)


@pytest.fixture
def context(pybuild: Pybuild) -> Path:
    """A build context with modes, links and archives."""
    pybuild.write("Buildfile", BUILDFILE)
    pybuild.write("one", "one\n")
    pybuild.write("dir/a", "a\n")
    pybuild.write("dir/sub/b", "b\n").chmod(0o750)
    (pybuild.room / "dir/link").symlink_to("a")
    (pybuild.room / "dir/sub").chmod(0o700)
    for name, how in (("t.tar", "-c"), ("t.tar.gz", "-cz")):
        owners = ["--owner=7", "--group=8", "--numeric-owner", "--sort=name"]
        subprocess.run(["tar", *owners, "-C", "dir", how, "-f", name, "."], cwd=pybuild.room, check=True)
    return pybuild.room


def run(*words: str, cwd: Path) -> None:
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def by_buildah(storage: list[str], context: Path, base: str) -> ReadImage:
    """The image as buildah makes it, read as it lies: its config in Docker's form."""
    words = ["bud", "--isolation", "chroot", "--format", "docker", "--tls-verify=false", "--build-arg", f"BASE={base}"]
    run(*storage, *words, "-t", "theirs:1", "-f", "Buildfile", ".", cwd=context)
    room = context.parent / "theirs"
    run(*storage, "push", "-q", "theirs:1", f"dir:{room}", cwd=context)
    layout = context.parent / "their-layout"
    (layout / "blobs/sha256").mkdir(parents=True)
    for path in room.iterdir():
        data = path.read_bytes()
        (layout / "blobs/sha256" / hashlib.sha256(data).hexdigest()).write_bytes(data)
    manifest = (room / "manifest.json").read_bytes()
    descriptor = {"digest": f"sha256:{hashlib.sha256(manifest).hexdigest()}", "size": len(manifest)}
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (layout / "index.json").write_text(json.dumps({"manifests": [descriptor]}))
    return read_layout(layout)


def facts(image: ReadImage) -> dict[str, dict[str, Any]]:
    """All that is to be the same of every path; names of one file know each other."""
    names: dict[int, list[str]] = {}
    for path, node in image.files.items():
        names.setdefault(id(node), []).append(path)
    return {
        path: {
            "kind": node.kind,
            "mode": oct(node.info.mode & 0o7777),
            "owner": (node.info.uid, node.info.gid),
            "link": node.info.linkname if node.kind == "symlink" else "",
            "content": node.content if len(node.content) < 4096 else hashlib.sha256(node.content).hexdigest(),
            "xattrs": node.xattrs,
            "names": sorted(names[id(node)]),
        }
        for path, node in image.files.items()
    }


def plain(config: dict[str, Any]) -> dict[str, Any]:
    """A run config without what only Docker's format has, and with ENV as what it means: names and values."""
    rest = {
        name: value for name, value in config.items() if name not in DOCKER_ONLY and value not in (None, "", [], {})
    }
    rest["Env"] = dict(pair.split("=", 1) for pair in config["Env"])
    rest["Labels"] = {name: value for name, value in config["Labels"].items() if name != "io.buildah.version"}
    return rest


def test_the_same_image(pybuild: Pybuild, context: Path, storage: list[str], registry: str) -> None:
    """Files, modes, owners, link targets, hard links, xattrs and config are those of buildah's image."""
    base = f"{registry}/busybox:latest"
    pybuild.run("--build-arg", f"BASE={base}", "-o", f"type=oci,dest={context.parent / 'ours'}", ".")
    ours, theirs = read_layout(context.parent / "ours"), by_buildah(storage, context, base)
    mine, other = facts(ours), facts(theirs)
    assert set(other) - set(mine) == THEIR_MOUNT_POINTS
    assert set(mine) - set(other) == set()
    for path, expected in other.items():
        if path in THEIR_MOUNT_POINTS:
            continue
        if path in OTHERWISE:
            assert (mine[path].pop("owner"), expected.pop("owner")) == OTHERWISE[path][:2], path
        assert mine[path] == expected, path
    assert plain(ours.config["config"]) == plain(theirs.config["config"])
    assert {name: ours.config[name] for name in ("os", "architecture")} == {
        name: theirs.config[name] for name in ("os", "architecture")
    }


def test_attributes_of_a_base(
    pybuild: Pybuild, context: Path, storage: list[str], bases: Path, tmp_path: Path, registry: str
) -> None:
    """File capabilities and user attributes survive a step that changes their file, as they do with buildah."""
    index = json.loads((bases / "busybox" / "index.json").read_text())["manifests"][0]
    manifest = json.loads((bases / "busybox/blobs/sha256" / index["digest"][7:]).read_text())
    shell = gzip.decompress((bases / "busybox/blobs/sha256" / manifest["layers"][0]["digest"][7:]).read_bytes())
    attributes = {"security.capability": "0100000200040000000000000000000000000000", "user.note": "c3a900ff"}
    rows = [{"path": name, "type": "file", "mode": "0755", "xattrs": attributes} for name in ("kept", "changed")]
    writer = LayoutWriter(tmp_path / "base")
    kind = "application/vnd.oci.image.layer.v1.tar+gzip"
    writer.finish([writer.image("linux/amd64", {"Env": ["PATH=/bin"]}, [(shell, kind), (layer(rows), kind)])])
    name = f"{registry}/attributes:latest"
    push(f"oci:{tmp_path / 'base'}:latest", name)
    pybuild.write("Buildfile", "ARG BASE\nFROM $BASE\nRUN chmod 751 /changed\n")
    pybuild.run("--build-arg", f"BASE={name}", "-o", f"type=oci,dest={context.parent / 'ours'}", ".")
    mine, other = facts(read_layout(context.parent / "ours")), facts(by_buildah(storage, context, name))
    for path in ("kept", "changed"):
        assert mine[path] == other[path]
        assert set(mine[path]["xattrs"]) == set(attributes)


def test_a_base_with_triggers(pybuild: Pybuild, context: Path, storage: list[str], bases: Path, registry: str) -> None:
    """ONBUILD of a base is carried out alike."""
    if not (bases / "onbuild").is_dir():
        pytest.skip("the conformance bases are not here")
    name = f"{registry}/onbuild:latest"
    run(
        "skopeo",
        "copy",
        "-q",
        "--dest-tls-verify=false",
        f"oci:{bases / 'onbuild'}:latest",
        f"docker://{name}",
        cwd=context,
    )
    pybuild.write("Buildfile", "ARG BASE\nFROM $BASE\nRUN echo own >own\n")
    pybuild.write("src.txt", "source\n")
    pybuild.run("--build-arg", f"BASE={name}", "-o", f"type=oci,dest={context.parent / 'ours'}", ".")
    mine, other = facts(read_layout(context.parent / "ours")), facts(by_buildah(storage, context, name))
    assert {path: mine[path] for path in mine if path.startswith("app")} == {
        path: other[path] for path in other if path.startswith("app")
    }
    assert mine["app/built.txt"]["content"] == b"source\n"

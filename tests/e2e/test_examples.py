"""Every example builds as its comment says, and other people's tools read and run what came out."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.command import Pybuild
from tests.support.conformance import REPOSITORY
from tests.support.images import ReadImage, read_layout

pytestmark = [pytest.mark.kernel, pytest.mark.clients]
EXAMPLES = REPOSITORY / "Buildfile.examples"


def built(pybuild: Pybuild, name: str, *options: str) -> tuple[Path, ReadImage]:
    """Build an example into a layout; its directory and what is in it."""
    layout = pybuild.room / "layout"
    pybuild.run("-t", f"{name}:1", "-o", f"type=oci,dest={layout}", *options, str(EXAMPLES / name))
    read_by_clients(layout, "1")
    return layout, read_layout(layout, "1")


def read_by_clients(layout: Path, tag: str) -> None:
    """skopeo and umoci take the layout as it is."""
    shown = client("skopeo", "inspect", f"oci:{layout}:{tag}")
    assert json.loads(shown)["Digest"].startswith("sha256:")
    bundle = layout.parent / "bundle"
    client("umoci", "unpack", "--rootless", "--image", f"{layout}:{tag}", str(bundle))
    assert (bundle / "rootfs").is_dir()
    subprocess.run(["chmod", "-R", "u+rwx", str(bundle)], check=True)
    shutil.rmtree(bundle)


def client(*words: str) -> str:
    """Run somebody else's program."""
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


def run_in_image(pybuild: Pybuild, layout: Path, *command: str) -> str:
    """Unpack the image with umoci and run its command with runc, as this ordinary user."""
    bundle = pybuild.room / "run"
    client("umoci", "unpack", "--rootless", "--image", f"{layout}:1", str(bundle))
    config = json.loads((bundle / "config.json").read_text())
    config["process"]["terminal"] = False
    config["process"]["user"] = {"uid": 0, "gid": 0}  # umoci's rootless bundles map a single id
    if command:
        config["process"]["args"] = list(command)
    config["linux"].pop("resources", None)
    (bundle / "config.json").write_text(json.dumps(config))
    name = f"pybuild-{pybuild.room.parent.name[-20:]}"
    return client("runc", "--root", str(pybuild.room / "runc"), "run", "--bundle", str(bundle), name)


def test_hello_runs(pybuild: Pybuild, busybox: str) -> None:
    """hello: a file is copied, a command runs, and the image says hello under runc."""
    layout, image = built(pybuild, "hello", "--build-arg", f"BASE={busybox}")
    node = image.node("/hello/greeting.txt")
    assert node is not None and node.content == b"Hello, builder, from Linux.\n"
    assert run_in_image(pybuild, layout) == "Hello, world, from Linux.\n"


def test_the_demo_base_is_enough(pybuild: Pybuild) -> None:
    """hello builds and runs on a base made of this machine's own programs."""
    base = pybuild.room / "base"
    subprocess.run([EXAMPLES / "make-base", base], check=True, timeout=60)
    layout, _ = built(pybuild, "hello", "--build-arg", "BASE=machine", "--build-context", f"machine=rootfs:{base}")
    assert run_in_image(pybuild, layout) == "Hello, world, from Linux.\n"


def test_static_program_on_scratch(pybuild: Pybuild) -> None:
    """static-scratch: nothing is in the image but the program and its file."""
    layout, image = built(pybuild, "static-scratch", "--build-context", "tools=/bin")
    assert sorted(image.files) == ["busybox", "etc", "etc/motd"]
    assert run_in_image(pybuild, layout) == "One program is enough.\n"


def test_compile_keeps_only_the_program(pybuild: Pybuild, debian: str) -> None:
    """compile: gcc is in no layer of the image, and the program computes."""
    layout, image = built(pybuild, "compile", "--build-arg", f"BASE={debian}")
    assert image.node("/usr/bin/gcc") is None
    assert image.config["config"]["User"] == "nobody"
    assert len(image.layers) == 2
    assert run_in_image(pybuild, layout, "/usr/local/bin/primes", "12").split() == ["2", "3", "5", "7", "11"]


def test_debian_packages_and_owners(pybuild: Pybuild, debian: str) -> None:
    """debian-apt: packages are installed as root, a tree is copied for a user, who then owns what a step wrote."""
    _, image = built(pybuild, "debian-apt", "--build-arg", f"BASE={debian}")
    for path in ("/home/backup-user/jobs/nightly.sh", "/home/backup-user/version.txt"):
        node = image.node(path)
        assert node is not None and (node.info.uid, node.info.gid) == (1000, 1000), path
    assert image.node("/usr/bin/rsync") is not None


def test_python_web_app(pybuild: Pybuild, debian: str) -> None:
    """python-web: its config says all that its Buildfile says, and the ignore file is kept to."""
    _, image = built(pybuild, "python-web", "--build-arg", f"BASE={debian}", "--build-arg", "PORT=9000")
    config = image.config["config"]
    assert config["ExposedPorts"] == {"9000/tcp": {}}
    assert "PORT=9000" in config["Env"]
    assert config["Healthcheck"]["Interval"] == 30_000_000_000
    assert config["Labels"]["org.opencontainers.image.title"] == "guestbook"
    assert image.node("/srv/guestbook/Buildfile") is None
    assert image.node("/srv/guestbook/guestbook.py") is not None

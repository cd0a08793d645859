"""The command with a configuration file and a registries.conf, as a person writes them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.registry import free_port, push
from tests.support.command import Pybuild
from tests.support.images import read_layout

pytestmark = pytest.mark.clients


def configured(pybuild: Pybuild, text: str) -> dict[str, str]:
    """The variables of a person whose configuration this is, and who has no registries.conf."""
    pybuild.write("config.toml", text)
    pybuild.write("registries.conf", "")
    return {"PYBUILD_CONFIG": "config.toml", "CONTAINERS_REGISTRIES_CONF": "registries.conf"}


def test_a_base_of_docker_hub_from_a_mirror(pybuild: Pybuild, registry: str) -> None:
    """Nothing but the mirror can be reached: the base comes from there, under the name that the Buildfile says."""
    env = configured(
        pybuild,
        f'[build]\ncompression = "zstd"\n[registries]\ntimeout = "2m"\n'
        f'[registries.mirrors]\n"docker.io/library" = ["127.0.0.1:{free_port()}", "{registry}"]\n',
    )
    pybuild.write("f", "x")
    pybuild.write("Buildfile", "FROM busybox\nCOPY f /f\n")
    first = pybuild.run("-o", "type=oci,dest=layout", ".", env=env)
    assert f"comes from {registry}" in first.err
    layout = pybuild.room / "layout"
    digest = read_layout(layout).digest.partition(":")[2]
    layers = json.loads((layout / "blobs/sha256" / digest).read_text())["layers"]
    assert layers[-1]["mediaType"].endswith("+zstd")
    shutil.rmtree(layout)
    again = pybuild.run("-o", "type=oci,dest=layout", ".", env=env)
    assert "comes from" not in again.err


def test_a_cached_build_reads_no_registries_conf(pybuild: Pybuild, registry: str) -> None:
    """strace sees which files are opened: the first build reads it, the second does not."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    env = configured(pybuild, "")
    pybuild.write("registries.conf", f'unqualified-search-registries = ["{registry}"]\n')
    push(f"docker://{registry}/busybox:latest", f"{registry}/mine/box:1", "--src-tls-verify=false")
    pybuild.write("Buildfile", "FROM mine/box:1\nENV A=1\n")
    opened = []
    for _ in range(2):
        trace = pybuild.room.parent / "trace"
        argv = [strace, "-f", "-e", "trace=openat", "-o", str(trace), *pybuild.argv("-t", "app:1", ".")]
        subprocess.run(argv, cwd=pybuild.room, env=pybuild.env(env), capture_output=True, check=True, timeout=120)
        opened.append(
            [line for line in trace.read_text().splitlines() if "registries.conf" in line or "tomllib" in line]
        )
    assert any("registries.conf" in line for line in opened[0])
    assert not any("registries.conf" in line for line in opened[1])


def test_a_short_name_in_every_command(pybuild: Pybuild, registry: str, tmp_path: Path) -> None:
    """pull, FROM and copy agree on what a name without a registry means; config tells which file says so."""
    env = configured(pybuild, "")
    pybuild.write("registries.conf", f'[aliases]\nbox = "{registry}/busybox"\n')
    digest = pybuild.run("pull", "box", env=env).out.strip()
    pybuild.write("Buildfile", "FROM box\n")
    assert "box is" not in pybuild.run(".", env=env).err  # it is here already
    pybuild.run("copy", "docker://box", f"oci:{tmp_path}/there:1", env=env)
    index = json.loads((tmp_path / "there/index.json").read_text())
    assert index["manifests"][0]["digest"] == digest
    told = json.loads(pybuild.run("config", "--format", "json", env=env).out)
    assert str(pybuild.room / "registries.conf") in told["registriesConf"]


def test_a_mistake_in_the_file(pybuild: Pybuild) -> None:
    """One line with the place, exit code 2, in whatever command."""
    env = configured(pybuild, "[build]\nnetwrk = 'none'\n")
    pybuild.write("Buildfile", "FROM scratch\nENV A=1\n")
    for words in ((".",), ("images",), ("config",)):
        ended = pybuild.run(*words, status=2, env=env)
        assert ended.err.splitlines()[:2] == [
            f"pybuild: {pybuild.room}/config.toml:2: [build] has no netwrk",
            "  hint: did you mean network?",
        ]


@pytest.mark.kernel
def test_limits(pybuild: Pybuild, registry: str) -> None:
    """A base that is larger than the configuration allows is refused by the worker, with the option that allows it."""
    env = configured(pybuild, '[limits]\nlayer = "1m"\n')
    pybuild.write("Buildfile", f"FROM {registry}/busybox\nRUN true\n")
    refused = pybuild.run(".", env=env, status=5)
    assert "larger than 1048576 bytes" in refused.err and "--limit layer=" in refused.err
    pybuild.run("--limit", "layer=1g", ".", env=env)

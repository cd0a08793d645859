"""One registries.conf, read by skopeo and by us."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.errors import ImageError
from builder.oci.layout import write_layout
from builder.oci.registries_conf import ConfiguredRules, RegistriesFiles
from builder.oci.registry import RegistrySource
from builder.values.access import Access
from builder.values.digest import Digest
from builder.values.image import MEDIA_LAYER_GZIP
from tests.oci.images import AMD64, sample
from tests.oci.test_registries_conf import written
from tests.registry import free_port, push, running_registry

SHARED = """
unqualified-search-registries = ["{registry}"]

[[registry]]
location = "{registry}"
insecure = true

[[registry]]
prefix = "plain.example"
location = "{registry}/plain"
insecure = true

[[registry]]
prefix = "plain.example/special"
location = "{registry}/special"
insecure = true

[[registry]]
prefix = "*.wild.example"
location = "{registry}/wild"
insecure = true

[[registry]]
prefix = "mirrored.example"
location = "{registry}/plain"
insecure = true
[[registry.mirror]]
location = "{dead}"
insecure = true
[[registry.mirror]]
location = "{registry}/none"
insecure = true
[[registry.mirror]]
location = "{registry}/mirror"
insecure = true

[[registry]]
prefix = "pinned.example"
location = "{registry}/plain"
insecure = true
mirror-by-digest-only = true
[[registry.mirror]]
location = "{registry}/mirror"
insecure = true

[[registry]]
prefix = "replaced.example"
location = "{registry}/plain"
insecure = true

[[registry]]
prefix = "{registry}/mirror/blocked"
location = "{registry}/mirror/blocked"
insecure = true
blocked = true
"""
DROP_IN = """
[[registry]]
prefix = "replaced.example"
location = "{registry}/special"
insecure = true
"""


def _skopeos_digest(name: str, home: Path) -> str | None:
    """The digest that skopeo finds a name to have, or None where it fails."""
    program = shutil.which("skopeo")
    if program is None:
        pytest.skip("skopeo is not installed")
    done = subprocess.run(
        [program, "--insecure-policy", "inspect", "--raw", f"docker://{name}"],
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=False,
    )
    return str(Digest.of(done.stdout)) if done.returncode == 0 else None


def _our_digest(name: str, home: Path) -> str | None:
    rules = ConfiguredRules(RegistriesFiles(home / "etc", home / ".config/containers"))
    try:
        return str(RegistrySource(name, Access(rules=rules)).root(AMD64).digest)
    except ImageError:
        return None


@pytest.fixture
def own_registry(tmp_path: Path) -> Iterator[str]:
    """A registry that no other test fills: skopeo sends what it believes to be the same layer there instead of ours."""
    (tmp_path / "own").mkdir()
    with running_registry(tmp_path / "own") as address:
        yield address


@pytest.mark.clients
def test_skopeo_reads_the_same_file_in_the_same_way(own_registry: str, tmp_path: Path) -> None:
    """Locations, longest prefixes, wildcards, mirrors in order, drop-ins and blocked names lead to the same image."""
    digests: dict[str, str] = {}
    for number, kind in enumerate(("plain", "special", "wild", "mirror"), 1):
        image = sample(media_types=(MEDIA_LAYER_GZIP,) * number)
        image.write_blobs(tmp_path / "blobs")
        write_layout(tmp_path / kind, image.image, lambda digest: tmp_path / "blobs" / digest.hex, ())
        push(f"oci:{tmp_path}/{kind}", f"{own_registry}/{kind}/app:1")
        if kind == "mirror":
            push(f"oci:{tmp_path}/{kind}", f"{own_registry}/mirror/blocked/app:1")
        digests[kind] = str(image.image.manifest.digest)
    where = {"registry": own_registry, "dead": f"127.0.0.1:{free_port()}"}
    config = tmp_path / ".config/containers"
    written(config, SHARED.format(**where))
    written(config, DROP_IN.format(**where), "registries.conf.d/1.conf")
    expected: dict[str, str | None] = {
        "plain.example/app:1": "plain",
        "plain.example/special/app:1": "special",
        "one.two.wild.example/app:1": "wild",
        "mirrored.example/app:1": "mirror",
        "pinned.example/app:1": "plain",
        f"pinned.example/app@{digests['plain']}": "plain",
        "replaced.example/app:1": "special",
        f"{own_registry}/mirror/blocked/app:1": None,
        f"{own_registry}/mirror/app:1": "mirror",
        f"{own_registry}/none/app:1": None,
    }
    for name, wanted in expected.items():
        digest = None if wanted is None else digests[wanted]
        assert (_our_digest(name, tmp_path), _skopeos_digest(name, tmp_path)) == (digest, digest), name

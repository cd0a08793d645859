"""What is below all builders: tools that do only one part of a build, and so say how fast that part can be."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import execute, measured
from benchmarks.registry import registry
from benchmarks.values import Command, Place, Run


@dataclass(frozen=True, slots=True)
class Floor:
    """A tool in one workload; it has its turn in each round as the builders have."""

    name: str
    program: str
    measure: Callable[[Place], dict[str, Run]]
    """The runs by the key of their row. Raises CommandFailed."""


def tar_and_gzip(key: str, context: Path) -> Floor:
    """GNU tar and gzip: a tar of the context, which nobody hashes."""

    def measure(place: Place) -> dict[str, Run]:
        line = f"tar -C {shlex.quote(str(context))} -cf - . | gzip > {shlex.quote(str(place.archive))}"
        return {key: _timed(Command(("sh", "-c", line)), place)}

    return Floor("tar+gzip", "tar", measure)


def umoci_repack(key: str, context: Path) -> Floor:
    """umoci repack of an unpacked image into which the same files were copied; the copying is not measured."""

    def measure(place: Place) -> dict[str, Run]:
        layout, bundle = place.directory / "layout", place.directory / "bundle"
        image = ("--image", f"{layout}:new")
        for argv in (
            ("umoci", "init", "--layout", str(layout)),
            ("umoci", "new", *image),
            ("umoci", "unpack", "--rootless", *image, str(bundle)),
            ("cp", "-r", str(context), str(bundle / "rootfs" / "made")),
        ):
            execute(Command(argv), place.directory)
        return {key: _timed(Command(("umoci", "repack", *image, str(bundle))), place)}

    return Floor("umoci", "umoci", measure)


def skopeo_push(key: str, layout: Path) -> Floor:
    """skopeo copying a layout to an empty registry, and again."""

    def measure(place: Place) -> dict[str, Run]:
        with registry(place.directory / "registry") as address:
            words = ("copy", "-q", "--dest-tls-verify=false", f"oci:{layout}", f"docker://{address}/pushed:1")
            command = Command(("skopeo", "--insecure-policy", *words))
            return {key: _timed(command, place), f"{key} again": _timed(command, place)}

    return Floor("skopeo", "skopeo", measure)


def _timed(command: Command, place: Place) -> Run:
    os.sync()
    return measured((command,), place.directory)

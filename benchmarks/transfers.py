"""Pull, push, save and load of a large image, beside skopeo's: `python -m benchmarks.transfers [MEGABYTES [RUNS]]`.

A Debian docker-registry on loopback holds an image of four layers, half of it random. Both tools move it in turn, as
the user who starts this, each time from or to a place that has nothing of it yet; each push goes to a new
registry, so that nothing is there or can be mounted, and then once again. Printed are the median and least wall
time, the median of CPU time and the largest peak memory (of one process, from wait4) of each, and the ratio of the
medians. A pull of ours also reads every layer to prove its diff-id and to make its index; skopeo's does not.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LAYERS = 4
_PIECE = 1 << 20
_REGISTRY = """version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {directory}}}}}
http: {{addr: "{address}"}}
"""


@dataclass(frozen=True)
class Run:
    """One run: wall and CPU time in seconds, peak memory in KiB."""

    wall_s: float
    cpu_s: float
    peak_kib: int


Work = Callable[[int], list[str]]
"""The command of run number N; each number has places of its own."""


def main() -> None:
    """Prepare, run in turn, print."""
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory(prefix="pybuild-bench-") as name, registry(Path(name), "source") as address:
        room = Path(name)
        make_layout(room / "image", megabytes)
        skopeo = ["skopeo", "--insecure-policy", "copy", "-q"]
        first = [*skopeo, "--dest-tls-verify=false", f"oci:{room}/image:1", f"docker://{address}/image:1"]
        subprocess.run(first, check=True)
        subprocess.run(ours(room, "ours", "pull", "-q", f"{address}/image:1"), check=True, stdout=subprocess.DEVNULL)
        for work, tools in works(room, address, skopeo).items():
            report(work, measured(tools, runs, room))
        for work, found in measured_pushes(pushes(room, address, skopeo), runs, room).items():
            report(work, found)


def works(room: Path, address: str, skopeo: list[str]) -> dict[str, dict[str, Work]]:
    """Each work as each tool does it."""
    image = f"{address}/image:1"
    pull = [*skopeo, "--src-tls-verify=false", f"docker://{image}"]
    save = [*skopeo, f"oci:{room}/image:1"]
    return {
        "pull": {
            "pybuild": lambda n: ours(room, f"new-{n}", "pull", "-q", image),
            "skopeo": lambda n: [*pull, f"oci:{room}/new-skopeo-{n}:1"],
        },
        "save": {
            "pybuild": lambda n: ours(room, "ours", "save", "-o", f"{room}/new-{n}.tar", image),
            "skopeo": lambda n: [*save, f"docker-archive:{room}/new-skopeo-{n}.tar:a/b:1"],
        },
        "load": {"pybuild": lambda n: ours(room, f"new-{n}", "load", "-q", "-i", f"{room}/kept.tar")},
    }


def pushes(room: Path, address: str, skopeo: list[str]) -> dict[str, Callable[[str], list[str]]]:
    """A push as each tool does it, to a registry of this address."""
    push = [*skopeo, "--dest-tls-verify=false", f"oci:{room}/image:1"]
    return {
        "pybuild": lambda target: ours(room, "ours", "push", "-q", f"{address}/image:1", f"{target}/image:1"),
        "skopeo": lambda target: [*push, f"docker://{target}/image:1"],
    }


def measured_pushes(
    tools: dict[str, Callable[[str], list[str]]], runs: int, room: Path
) -> dict[str, dict[str, list[Run]]]:
    """Every tool in turn, so many times, each to a registry of its own, where it pushes twice."""
    found: dict[str, dict[str, list[Run]]] = {work: {tool: [] for tool in tools} for work in ("push", "push again")}
    for number in range(runs):
        for tool, command in tools.items():
            with registry(room, f"{tool}-{number}") as target:
                os.sync()
                for runs_of in found.values():
                    runs_of[tool].append(watched(command(target)))
            shutil.rmtree(room / f"{tool}-{number}")
    return found


def ours(room: Path, store: str, *words: str) -> list[str]:
    """A command of ours with a store below the room."""
    return [sys.executable, "-m", "builder", words[0], "--root", str(room / store), *words[1:]]


def measured(tools: dict[str, Work], runs: int, room: Path) -> dict[str, list[Run]]:
    """Every tool in turn, so many times; what each run has made is removed when it is over."""
    found: dict[str, list[Run]] = {tool: [] for tool in tools}
    for number in range(runs):
        for tool, work in tools.items():
            command = work(number)
            os.sync()  # what others have written is not this run's to wait for
            found[tool].append(watched(command))
            for made in room.glob("new-*"):
                if made.suffix == ".tar" and not (room / "kept.tar").exists() and tool == "pybuild":
                    made.rename(room / "kept.tar")
                elif made.is_dir():
                    shutil.rmtree(made)
                else:
                    made.unlink()
    return found


def watched(command: list[str]) -> Run:
    """Run a command to its end."""
    begun = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"{' '.join(command)}\n{said.read().decode()}")
    return Run(time.perf_counter() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)


def report(work: str, found: dict[str, list[Run]]) -> None:
    """Print the figures of one work."""
    for tool, runs in found.items():
        walls = [run.wall_s for run in runs]
        print(
            f"{work:10}  {tool:8} median {statistics.median(walls):6.2f} s  least {min(walls):6.2f} s"
            f"  CPU {statistics.median(run.cpu_s for run in runs):6.2f} s"
            f"  peak {max(run.peak_kib for run in runs) // 1024:4} MiB"
        )
    if len(found) > 1:
        ours_s, theirs_s = (statistics.median(run.wall_s for run in found[tool]) for tool in ("pybuild", "skopeo"))
        print(f"{work:10}  pybuild takes {ours_s / theirs_s:.2f} of skopeo's time", flush=True)


@contextmanager
def registry(room: Path, name: str) -> Iterator[str]:
    """Debian's docker-registry on loopback, with a directory of its own; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    config = room / f"{name}.yml"
    config.write_text(_REGISTRY.format(directory=room / name, address=address))
    environment = {"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"}
    process = subprocess.Popen(
        ["docker-registry", "serve", str(config)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        time.sleep(1)
        yield address
    finally:
        process.kill()
        process.wait()


def make_layout(directory: Path, megabytes: int) -> None:
    """An OCI layout of one image: half of it is random, half compresses well."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    layers, diff_ids = [], []
    for number in range(LAYERS):
        path, diff_id = _layer(directory / f"layer{number}", megabytes // LAYERS, number)
        layers.append(_placed(path, blobs, "application/vnd.oci.image.layer.v1.tar+gzip"))
        diff_ids.append(diff_id)
    config = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    (directory / "config").write_text(json.dumps(config))
    kind = "application/vnd.oci.image.manifest.v1+json"
    point = _placed(directory / "config", blobs, "application/vnd.oci.image.config.v1+json")
    manifest = {"schemaVersion": 2, "mediaType": kind, "config": point, "layers": layers}
    (directory / "manifest").write_text(json.dumps(manifest))
    entry = {**_placed(directory / "manifest", blobs, kind), "annotations": {"org.opencontainers.image.ref.name": "1"}}
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')


def _layer(path: Path, megabytes: int, seed: int) -> tuple[Path, str]:
    source, digest = random.Random(seed), hashlib.sha256()

    class Both(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]
            digest.update(data)
            return out.write(data)

    with gzip.GzipFile(path, "wb", 1, mtime=0) as out, tarfile.open(fileobj=Both(), mode="w|") as tar:
        for number in range(megabytes):
            data = source.randbytes(_PIECE // 2) + b"%08d" % number * (_PIECE // 16)
            member = tarfile.TarInfo(f"layer{seed}/file{number}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path, f"sha256:{digest.hexdigest()}"


def _placed(path: Path, blobs: Path, media_type: str) -> dict[str, object]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    size = path.stat().st_size
    path.rename(blobs / digest)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": size}


if __name__ == "__main__":
    main()

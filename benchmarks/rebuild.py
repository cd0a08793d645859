"""A rebuild in which nothing changed, beside buildah's: `python -m benchmarks.rebuild [RUNS]`.

Both tools build the same eight-step Buildfile on the same base until it is cached, then again in turn, as the user
who starts this. Printed are the median and the least wall time of each, and the ratio of the medians.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

BUILDFILE = """\
FROM {base}
ENV COLOUR=green
WORKDIR /work
COPY one .
RUN cat one > first
COPY two .
RUN cat two > second
COPY three .
RUN cat one two three > all
"""


def main() -> None:
    """Prepare, run in turn, print."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    with tempfile.TemporaryDirectory(prefix="pybuild-bench-") as name:
        room = Path(name)
        prepare(room)
        tools = {"pybuild": pybuild(room)}
        if shutil.which("buildah"):
            tools["buildah"] = buildah(room)
        times: dict[str, list[float]] = {tool: [] for tool in tools}
        for command in tools.values():
            timed(command)
        for _ in range(runs):
            for tool, command in tools.items():
                times[tool].append(timed(command))
        report(times)
        if "buildah" in tools:  # its files belong to sub-ids
            subprocess.run(["buildah", "unshare", "rm", "-rf", str(room / "buildah")], check=True)
        subprocess.run([sys.executable, "-m", "builder", "unshare", "rm", "-rf", str(room / "store")], check=True)


def prepare(room: Path) -> None:
    """The base as an OCI layout made from busybox, and a context of three files."""
    rootfs = room / "rootfs"
    (rootfs / "bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", rootfs / "bin" / "busybox")
    for applet in ("sh", "cat"):
        (rootfs / "bin" / applet).symlink_to("busybox")
    (room / "base").write_text(f"FROM rootfs:{rootfs}\nENV PATH=/bin\n")
    words = ["--root", str(room / "store"), "-q", "-f", str(room / "base"), "-o", f"type=oci,dest={room / 'layout'}"]
    subprocess.run(
        [sys.executable, "-m", "builder", *words, "-t", "base:1", str(rootfs)], check=True, stdout=subprocess.DEVNULL
    )
    (room / "context").mkdir()
    for name in ("one", "two", "three"):
        (room / "context" / name).write_text(name * 100)


def pybuild(room: Path) -> Callable[[], None]:
    """Our rebuild."""
    (room / "ours").write_text(BUILDFILE.format(base=f"oci:{room / 'layout'}:1"))
    words = [sys.executable, "-m", "builder", "--root", str(room / "store"), "-q", "-f", str(room / "ours"), "-t", "a"]
    return quietly([*words, str(room / "context")])


def buildah(room: Path) -> Callable[[], None]:
    """buildah's, with its cache on and its fastest isolation."""
    (room / "theirs").write_text(BUILDFILE.format(base=f"oci:{room / 'layout'}:1"))
    stores = ["--root", str(room / "buildah" / "root"), "--runroot", str(room / "buildah" / "run")]
    words = [
        "buildah",
        *stores,
        "bud",
        "--layers",
        "--isolation",
        "chroot",
        "-q",
        "-f",
        str(room / "theirs"),
        "-t",
        "a",
    ]
    return quietly([*words, str(room / "context")])


def quietly(command: Sequence[str]) -> Callable[[], None]:
    """A function that runs a command whose output nobody wants."""

    def run() -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}\n{done.stderr}")

    return run


def timed(run: Callable[[], None]) -> float:
    """How long it takes, in seconds."""
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def report(times: dict[str, list[float]]) -> None:
    """Print the figures."""
    for tool, values in times.items():
        print(f"{tool:8} median {statistics.median(values):.3f} s   least {min(values):.3f} s   {len(values)} runs")
    if "buildah" in times:
        ratio = statistics.median(times["pybuild"]) / statistics.median(times["buildah"])
        print(f"pybuild takes {ratio:.2f} of buildah's time")


if __name__ == "__main__":
    main()

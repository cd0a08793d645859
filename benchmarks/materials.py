"""What builds start from: bases in a registry and contexts on disk. Made when first asked for, kept in the cache."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import generate, images, registry

_MIB = 1 << 20
_APPLETS = ("sh", "cat", "sleep", "true", "mkdir", "dd", "cp", "ls", "env")


@dataclass(frozen=True, slots=True)
class Materials:
    """Bases and contexts, in a cache directory and in the registry at this address."""

    cache: Path
    address: str
    scale: float
    """1 for the whole sizes; less for a quick run."""

    def base(self, name: str) -> str:
        """The name in the registry of a base: small, debian or python."""
        label = f"{name}:1"
        if not registry.has(self.address, label):
            registry.put_layout(
                self.address, self._kept(f"layouts/{label}", lambda path: self._make_base(name, path)), label
            )
        return f"{self.address}/{label}"

    def files(self, count: int, size: int = 4096) -> Path:
        """A context of so many files, half compressible, in directories of a hundred."""
        return self._kept(f"contexts/{count}x{size}", lambda path: generate.small_files(path, count, size))

    def random(self, size: int) -> Path:
        """A context of one file of random bytes."""

        def make(path: Path) -> None:
            path.mkdir()
            generate.random_file(path / "big", size)

        return self._kept(f"contexts/random{size}", make)

    def big_files(self, count: int, size: int) -> Path:
        """A context of so many large files, half compressible."""

        def make(path: Path) -> None:
            path.mkdir()
            generate.large_files(path, count, size)

        return self._kept(f"contexts/large{count}x{size}", make)

    def layout_of(self, context: Path) -> Path:
        """An image of one layer that has these files in /data."""

        def make(path: Path) -> None:
            plain = path.with_name(path.name + ".tar")
            with tarfile.open(plain, "w", format=tarfile.GNU_FORMAT) as tar:
                tar.add(context, "data")
            images.make_layout(path, (plain,))
            plain.unlink()

        return self._kept(f"layouts/of-{context.name}", make)

    def size(self, whole: int) -> int:
        """A size or number, smaller where the run is a quick one."""
        return max(1, int(whole * self.scale))

    def _kept(self, name: str, make: Callable[[Path], None]) -> Path:
        path = self.cache / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            making = path.with_name(path.name + ".new")
            shutil.rmtree(making, ignore_errors=True)
            print(f"making {name}", file=sys.stderr, flush=True)
            make(making)
            making.rename(path)
        return path

    def _make_base(self, name: str, path: Path) -> None:
        tars: tuple[Path, ...]
        match name:
            case "small":
                tars = (self._tar("small.tar", _busybox),)
            case "debian":
                tars = (self._tar("debian.tar", _debian),)
            case "python":
                tars = (self._tar("debian.tar", _debian), *(self._part(seed) for seed in (1, 2, 3)))
            case _:
                raise ValueError(name)
        images.make_layout(path, tars)

    def _part(self, seed: int) -> Path:
        count, size = {1: (9000, 260), 2: (5000, 130), 3: (2500, 40)}[seed]
        return self._tar(f"part{seed}.tar", lambda path: generate.system_tar(path, seed, count, size * _MIB))

    def _tar(self, name: str, make: Callable[[Path], None]) -> Path:
        return self._kept(f"tars/{name}", make)


def _busybox(path: Path) -> None:
    """busybox and links to it: 2 MB, which every machine has at hand."""
    program = shutil.which("busybox")
    if program is None:
        raise FileNotFoundError("busybox is not installed (Debian: apt-get install busybox-static)")
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for directory, mode in (
            ("bin", 0o755),
            ("dev", 0o755),
            ("etc", 0o755),
            ("proc", 0o755),
            ("sys", 0o755),
            ("tmp", 0o1777),
        ):
            member = tarfile.TarInfo(directory)
            member.type, member.mode = tarfile.DIRTYPE, mode
            tar.addfile(member)
        tar.add(program, "bin/busybox", filter=_of_root)
        for name in _APPLETS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)


def _debian(path: Path) -> None:
    """Debian minbase where mmdebstrap and a mirror can be had; else busybox and as many generated files."""
    program = shutil.which("mmdebstrap")
    if program:
        done = subprocess.run(
            [program, "--quiet", "--variant=minbase", "--format=tar", "bookworm", str(path)],
            cwd=path.parent,
            check=False,
        )
        if done.returncode == 0:
            return
    print("no Debian by mmdebstrap: a generated base stands in for it", file=sys.stderr)
    generate.system_tar(path, 7, 8000, 164 * _MIB)
    with tarfile.open(path, "a", format=tarfile.GNU_FORMAT) as tar:
        busybox = path.with_name("busybox.tar")
        _busybox(busybox)
        with tarfile.open(busybox) as source:
            for member in source:
                tar.addfile(member, source.extractfile(member) if member.isreg() else None)
        busybox.unlink()


def _of_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = "root"
    member.mode = 0o755
    return member

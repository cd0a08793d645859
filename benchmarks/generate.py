"""Files made from a seed: the same on every machine, half of them compressible as programs and texts are."""

from __future__ import annotations

import io
import random
import tarfile
from collections.abc import Iterator
from pathlib import Path

_PIECE = 1 << 20
_LINE = b"def handle(request, response, context):  # the same words again and again\n"


def half_compressible(source: random.Random, size: int) -> bytes:
    """Random bytes, and as many of a text."""
    head = source.randbytes(size // 2)
    text = b"%016x " % source.getrandbits(64) + _LINE
    return head + (text * (size // 2 // len(text) + 2))[: size - len(head)]


def small_files(directory: Path, count: int, size: int, per_directory: int = 100) -> None:
    """So many files of a size, in directories of a hundred."""
    source = random.Random(count)
    for number in range(count):
        parent = directory / f"d{number // per_directory:04d}"
        if number % per_directory == 0:
            parent.mkdir(parents=True)
        (parent / f"f{number:06d}").write_bytes(half_compressible(source, size))


def random_file(path: Path, size: int) -> None:
    """One file that nothing can compress."""
    source = random.Random(size)
    with path.open("wb") as file:
        for start in range(0, size, _PIECE):
            file.write(source.randbytes(min(_PIECE, size - start)))


def large_files(directory: Path, count: int, size: int) -> None:
    """So many files, written a piece at a time."""
    source = random.Random(size)
    for number in range(count):
        with (directory / f"large{number:03d}").open("wb") as file:
            for start in range(0, size, _PIECE):
                file.write(half_compressible(source, min(_PIECE, size - start)))


def system_tar(path: Path, seed: int, count: int, total: int) -> None:
    """A tar of `count` files of sizes as a distribution's packages have, `total` bytes in all, below /usr/lib."""
    source = random.Random(seed)
    sizes = list(_sizes(source, count, total))
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for name in ("usr", "usr/lib", f"usr/lib/part{seed}"):
            tar.addfile(_member(name, tarfile.DIRTYPE, 0o755))
        for number, size in enumerate(sizes):
            parent = f"usr/lib/part{seed}/d{number // 20:05d}"
            if number % 20 == 0:
                tar.addfile(_member(parent, tarfile.DIRTYPE, 0o755))
            member = _member(f"{parent}/f{number:06d}", tarfile.REGTYPE, 0o644)
            data = half_compressible(source, size)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def _sizes(source: random.Random, count: int, total: int) -> Iterator[int]:
    """Most files are small and few are large: a log-normal distribution, scaled to the total."""
    raw = [source.lognormvariate(0, 1.8) for _ in range(count)]
    scale = total / sum(raw)
    return (max(16, min(int(value * scale), 64 << 20)) for value in raw)


def _member(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.mtime = kind, mode, 1_700_000_000
    return member

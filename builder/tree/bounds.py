"""The limits in force in this process, as a process has its rlimits: set once by who starts the work, never passed.

Bytes of strangers are read in some thirty places on four floors, on threads and in forked jobs. A limit that one of
them was not handed would be a hole, and nobody would notice; so whoever reads asks here, and who never was told has the
defaults. See docs/decisions/0027-limits-are-of-the-process.md.
"""

from __future__ import annotations

from builder.errors import ImageError
from builder.values.limits import Limits, raised_by

MADE_BYTES = 16 << 20
"""How long the names of directories may be together that no entry is for, and that others lie below all the same.

An entry of 4 KB can imply two thousand directories with names of 4 MB: a few kilobytes of such entries, compressed,
would else fill the memory, and keep the kernel walking for minutes.
"""

_current = [Limits()]


def limits() -> Limits:
    """What holds now."""
    return _current[0]


def enforce(wanted: Limits) -> None:
    """From here on these hold, on every thread and in every child of this process."""
    _current[0] = wanted


def check_growth(count: int, source_bytes: int) -> None:
    """Raise ImageError where `source_bytes` of a layer may not have become `count` bytes (CVE-2017-14992)."""
    most = _current[0]
    if count > most.layer_bytes:
        raise ImageError(
            f"a layer is larger than {most.layer_bytes} bytes, the most that is unpacked", hint=raised_by("layer")
        )
    if count > most.ratio_from_bytes and count > most.ratio * source_bytes:
        raise ImageError(
            f"a layer grows to more than {most.ratio} times its size",
            hint=f"no ordinary layer does: it seems made to fill the disk; {raised_by('ratio')}",
        )


def check_made(count: int) -> None:
    """Raise ImageError where the names of directories that a layer only implies are `count` bytes together."""
    if count > MADE_BYTES:
        raise ImageError(
            f"the directories that a layer has something in, and no entry for, have names of over {MADE_BYTES} bytes",
            hint="no ordinary layer has: it seems made to fill the memory",
        )

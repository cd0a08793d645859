"""What is said when a build is over: the names, the size, and how to look at it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from builder.report.inspection import size_of
from builder.report.text import human_size, printable
from builder.values.event import PUSHED, Exported
from builder.values.image import Image


def summary(image: Image, names: Sequence[str], exported: Sequence[Exported], command: str) -> str:
    """The last lines of a build; `command` is how pybuild is called to find this store (`pybuild --root x`)."""
    shown = [printable(name) for name in names]
    built = f"Built {', '.join(shown)}" if shown else "Built an image without a name"
    count = len(image.layers)
    lines = [f"{built}: {human_size(size_of(image))} in {count} layer{'' if count == 1 else 's'}"]
    lines.append(f"  digest:     {image.manifest.digest}")
    lines += [_output(output, image) for output in exported]
    look = shown[0] if shown else str(image.manifest.digest)
    lines.append(f"  look at it: {printable(command).replace('pybuild', 'pybuild inspect', 1)} {look}")
    return "\n".join(lines)


def _output(output: Exported, image: Image) -> str:
    """The line of an output; its digest where that is not the image's own, and always for a registry."""
    where = "standard output" if output.destination == "-" else printable(output.destination)
    if output.kind == PUSHED:
        return f"  pushed:     {where}@{output.digest}"
    digest = f", {output.digest}" if output.digest not in (None, image.manifest.digest) else ""
    return f"  written:    {where} ({printable(output.kind)}{digest})"

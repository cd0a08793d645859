"""`-o`, `--push` and `--load` together → the outputs of a build.

Destinations are looked at here, so that a build does not find out at its end that it had nowhere to go; nothing is
made yet. How one `-o` is written is the business of `output_kinds`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from builder.commands.arguments import read_tag
from builder.commands.caller import Caller
from builder.commands.options import BuildOptions
from builder.commands.output_kinds import OPTION, STDOUT, check_level, read_output
from builder.declare import replace
from builder.errors import UsageError
from builder.values.compression import Compression
from builder.values.output import (
    Destination,
    DockerOutput,
    ImageOutput,
    LocalOutput,
    OciArchiveOutput,
    OciOutput,
    Output,
    PushOutput,
    Stream,
    TarOutput,
)


def outputs_of(options: BuildOptions, caller: Caller) -> tuple[Output, ...]:
    """All outputs of a command line, in its order. Raises UsageError."""
    outputs = [output for word in options.output if (output := read_output(word)) is not None]
    if options.push:
        outputs = _pushed(outputs)
    _require_names(outputs, options)
    _require_stdout(outputs, options, caller)
    _require_places(outputs)
    stream = [Stream(caller.stdout.fileno()) for output in outputs if destination_of(output) == STDOUT]
    return tuple(_to(output, stream[0]) if destination_of(output) == STDOUT else output for output in outputs)


def destination_of(output: Output) -> Destination | None:
    """Where an output goes, if that is a place of this machine other than the store."""
    return None if isinstance(output, ImageOutput | PushOutput) else output.destination


def pushed_to(outputs: Sequence[Output], tags: Sequence[str]) -> tuple[str, ...]:
    """The names by which something is pushed, those of -t among them; none where nothing is.

    Names that Reference calls bare are the store's alone.
    """
    pushed = [output for output in outputs if isinstance(output, PushOutput)]
    names = (*map(read_tag, tags), *(name for output in pushed for name in output.names)) if pushed else ()
    return tuple(str(name) for name in names if not name.is_bare)


def require_levels(outputs: Sequence[Output], compression: Compression) -> None:
    """Raises UsageError for a level without a compression of its own that the build's `compression` does not have."""
    for output in outputs:
        if not isinstance(output, LocalOutput | TarOutput) and output.options.level is not None:
            check_level(output.options.level, output.options.compression or compression)


def _pushed(outputs: list[Output]) -> list[Output]:
    """`--push`: what is an image already is pushed too, else there is one more output, as in buildx."""
    if not any(isinstance(output, ImageOutput | PushOutput) for output in outputs):
        return [*outputs, PushOutput()]
    return [PushOutput(each.names, each.options) if isinstance(each, ImageOutput) else each for each in outputs]


def _require_names(outputs: list[Output], options: BuildOptions) -> None:
    for output in outputs:
        if isinstance(output, PushOutput) and not output.names and not options.tag:
            raise UsageError(
                "there is no name to push the image by",
                hint="give one with -t REGISTRY/NAME:TAG, or -o type=image,name=REGISTRY/NAME:TAG,push=true",
            )
        if isinstance(output, PushOutput) and not pushed_to([output], options.tag):
            name = (*output.names, *map(read_tag, options.tag))[0].familiar
            raise UsageError(
                f"{name} names no registry to push the image to", hint=f"give it one too: -t REGISTRY/{name}"
            )


def _require_stdout(outputs: list[Output], options: BuildOptions, caller: Caller) -> None:
    to_stdout = [output for output in outputs if destination_of(output) == STDOUT]
    if len(to_stdout) > 1:
        raise UsageError(f"{OPTION}: two outputs cannot share standard output", hint="give one of them a file")
    if to_stdout and options.quiet:
        raise UsageError(
            "-q/--quiet and an output without a file (dest=FILE) both write to standard output",
            hint="use --metadata-file FILE for the digest",
        )
    if to_stdout and caller.stdout.isatty():
        raise UsageError(
            f"{OPTION}: standard output is a terminal, which cannot take a tar",
            hint="redirect it (pybuild ... >FILE), or name a file: dest=FILE",
        )


def _require_places(outputs: list[Output]) -> None:
    """Each output has a place of its own, which is not something else already."""
    taken: set[Path] = set()
    for output in outputs:
        place = destination_of(output)
        if not isinstance(place, Path):
            continue
        if place in taken:
            raise UsageError(f"{OPTION}: two outputs go to {place}", hint="give each a place of its own")
        taken.add(place)
        is_directory = isinstance(output, OciOutput | LocalOutput)
        if not is_directory and os.path.isdir(place):
            raise UsageError(f"{OPTION}: {place} is a directory, and a file is to be written", hint="name a file")
        if is_directory and os.path.exists(place) and not os.path.isdir(place):
            raise UsageError(f"{OPTION}: {place} is not a directory", hint="name a directory, or one to be made")


def _to(output: Output, stream: Stream) -> Output:
    if isinstance(output, OciArchiveOutput | DockerOutput | TarOutput):
        return replace(output, destination=stream)
    return output

"""`pybuild build`, the default command: from options to an image, and what is said and written at its end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from builder.commands import results
from builder.commands.arguments import bad
from builder.commands.caller import Caller, store_root
from builder.commands.options import BuildOptions
from builder.commands.request import request_of
from builder.errors import MachineError, PybuildError
from builder.report import Mode, open_reporter
from builder.report.errors import mask_bug, masked
from builder.report.mask import Mask
from builder.tree import bounds
from builder.values.event import Emit, Event, Exported
from builder.values.reference import Reference
from builder.values.request import BuildRequest

if TYPE_CHECKING:
    from builder.pipeline import BuildResult


def build(options: BuildOptions, caller: Caller) -> int:
    """Build, or only check. Raises whatever PybuildError it ends with, with the values of secrets taken out.

    0 where all is well; 1 where a check (`--check`) has findings.
    """
    _require_utf8()
    mode = read_mode(options, caller)
    request = request_of(options, caller)
    bounds.enforce(request.limits)
    if wants_check(options):
        return _check(request, mode, options, caller)
    files = results.prepare(options.iidfile, options.metadata_file, caller)
    if request.secrets:
        from builder.kernel.dumps import forbid_core_dumps

        forbid_core_dumps()
    mask = Mask(secret.value for secret in request.secrets)
    exported: list[Exported] = []
    reporter = open_reporter(mode, caller.stderr, mask, caller.color)

    def emit(event: Event) -> None:
        if isinstance(event, Exported):
            exported.append(event)
        reporter.handle(event)

    try:
        built = _run(request, options, caller, emit)
    except PybuildError as error:
        raise masked(error, mask) from error.__cause__
    except Exception as error:
        mask_bug(error, mask)
        raise
    finally:
        reporter.close()
    results.write(files, built.exported, names_of(request))
    if options.quiet:
        caller.say([str(built.image.manifest.digest)])
    else:
        from builder.report.summary import summary

        names = tuple(name.familiar for name in names_of(request))
        caller.remark(summary(built.image, names, exported, _command(options)))
    return 0


def names_of(request: BuildRequest) -> tuple[Reference, ...]:
    """The names that the image gets in the store: those of -t, then those of outputs that are an image there."""
    if not request.outputs:
        return request.tags
    from builder.values.output import ImageOutput, PushOutput

    outputs = [output for output in request.outputs if isinstance(output, ImageOutput | PushOutput)]
    return tuple(dict.fromkeys((*request.tags, *(name for output in outputs for name in output.names))))


def _require_utf8() -> None:
    """Names in Buildfiles and layers are UTF-8: an image must not depend on the locale that it was built in.

    Python takes UTF-8 by itself in every locale but one that names another encoding. Raises MachineError.
    """
    encoding = sys.getfilesystemencoding()
    if encoding != "utf-8":
        raise MachineError(
            f"this locale's encoding for names of files is {encoding}; names in images are UTF-8",
            hint="call it with another one: LC_ALL=C.UTF-8 pybuild ...",
        )


def read_mode(options: BuildOptions, caller: Caller) -> Mode:
    """How the build is shown: -q, --progress, and what standard error is. Raises UsageError."""
    if options.progress not in (None, "auto", "plain"):
        other = {"quiet": "; -q is quiet", "tty": "; auto is a live view on a terminal"}.get(options.progress or "", "")
        raise bad("--progress", f"{options.progress!r} is not supported", f"--progress auto or plain{other}")
    if options.quiet:
        return Mode.QUIET
    return Mode.TTY if options.progress != "plain" and caller.live else Mode.PLAIN


def wants_check(options: BuildOptions) -> bool:
    """Whether only the checks are asked for: --check, or --call=check as buildx has it. Raises UsageError."""
    if options.call not in (None, "", "build", "check"):
        raise bad("--call", f"{options.call!r} is not supported", "--call build or --call check")
    return options.check or options.call == "check"


def _check(request: BuildRequest, mode: Mode, options: BuildOptions, caller: Caller) -> int:
    from builder.pipeline import check
    from builder.store import Store

    reporter = open_reporter(mode, caller.stderr, Mask(()), caller.color)
    try:
        with Store.open(store_root(options.root, caller)) as store:
            found = check(request, store, reporter.handle)
    finally:
        reporter.close()
    if not options.quiet:
        count = {0: "no warnings", 1: "1 warning"}.get(len(found), f"{len(found)} warnings")
        caller.remark(f"checked: {count}")
    return 1 if found else 0


def _run(request: BuildRequest, options: BuildOptions, caller: Caller, emit: Emit) -> BuildResult:
    # The words are all understood: only now is the machinery worth its imports.
    from builder.pipeline import build as build_image
    from builder.store import Store

    with Store.open(store_root(options.root, caller)) as store:
        return build_image(request, store, emit)


def _command(options: BuildOptions) -> str:
    """How to call pybuild so that it finds the same store."""
    if options.root is None:
        return "pybuild"
    import shlex

    return f"pybuild --root {shlex.quote(options.root)}"

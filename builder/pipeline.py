"""The corridor: a build is its stages, called in order.

    text → instructions → plan (every outside name a digest) → keys → layers → image → outputs

Nothing is decided here but the order. The door into the namespace is opened by the first step that needs it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, closing, nullcontext, suppress

from builder.declare import dataclass
from builder.errors import PybuildError
from builder.lang.checks import refusal
from builder.lang.grammar import parse
from builder.lang.syntax import foreign_frontend
from builder.stages.buildlog import logged
from builder.stages.check import GuessedImages, findings, findings_of_check, with_asked_checks
from builder.stages.door import Door
from builder.stages.export import Built, Left, assemble, publish
from builder.stages.gather import Contexts, read_buildfile
from builder.stages.hands import Hands
from builder.stages.images import Images
from builder.stages.layers import Layers
from builder.stages.resolve import resolve, survey
from builder.stages.targets import perform_all
from builder.stages.tidy import keep_limit, make_room, tidy, tidying
from builder.store.store import Store
from builder.values.event import Emit, Note, Warned
from builder.values.image import Image
from builder.values.instruction import Buildfile, CheckWarning, Run
from builder.values.request import BuildRequest
from builder.values.step import Plan


@dataclass(frozen=True, slots=True)
class BuildResult:
    """The image that was built, the names it got, and the image as the last output that holds one has it."""

    image: Image
    names: tuple[str, ...]
    exported: Image


def build(request: BuildRequest, store: Store, emit: Emit) -> BuildResult:
    """Build what was asked for. Raises a PybuildError of the kind that says what went wrong."""
    with logged(request, store, emit) as hear, _brought(request, store, hear) as near:
        return _build(near, store, hear)


def _brought(request: BuildRequest, store: Store, emit: Emit) -> AbstractContextManager[BuildRequest]:
    """The request with every context in a directory of this machine, for as long as they are needed."""
    if request.elsewhere is None and not request.build_contexts:
        return nullcontext(request)
    from builder.stages.bring import brought  # with all that unpacks and checks out

    return brought(request, store, emit)


def _build(request: BuildRequest, store: Store, emit: Emit) -> BuildResult:
    buildfile = _read(request, emit)
    images = Images(store, request, emit)
    for name, _ in request.build_contexts:
        images.directory_of(name)  # one that is missing is refused even where nothing uses it: it was asked for
    layers = Layers(store, emit)
    images.on_found = layers.learn
    contexts = Contexts(request, store, images)
    with closing(contexts), Door(store.root, emit) as door:
        if any(isinstance(each, Run) for block in buildfile.blocks for each in block.instructions):
            images.on_unknown = door.open_early
        plan = _plan(buildfile, request, images, emit)
        hands = Hands(request, store, images, layers, contexts, door, emit, plan.source_date_epoch)
        if request.secrets:
            from builder.stages.leaks import tell_of_plain_ones

            tell_of_plain_ones(hands)
        try:
            outcomes = perform_all(plan, hands)
        except (PybuildError, OSError) as error:
            with suppress(PybuildError):  # where a disk is full it may not work, and is not what went wrong
                contexts.mirrors.discard()
            make_room(error, store, door)
            if request.secrets:
                tidy(store, door)  # what a step has written of a secret does not wait for the next build
            raise
        door.rest()
        contexts.mirrors.discard()
        with tidying(store, door):
            plans = {target.index: target for target in plan.targets}
            built = assemble(plan.targets[-1], outcomes, plans, hands)
            names = publish(built.image, hands)
            left = _exported(built, hands)
            contexts.save()
        keep_limit((built.image, left.named, left.last), hands)
        tidy(store, door)
    return BuildResult(left.named, names, left.last)


def _exported(built: Built, hands: Hands) -> Left:
    if not hands.request.outputs:
        return Left(built.image, built.image)
    from builder.stages.outputs import write_outputs

    return write_outputs(built, hands)


def check(request: BuildRequest, store: Store, emit: Emit) -> tuple[CheckWarning, ...]:
    """Run the build checks and nothing else: no step, no namespace. Every stage is looked at unless one is wanted.

    Bases that cannot be had are told of and leave the rules about them without an answer. Raises a PybuildError for
    what cannot be built at all.
    """
    with _brought(request, store, emit) as near:
        return _check(near, store, emit)


def _check(request: BuildRequest, store: Store, emit: Emit) -> tuple[CheckWarning, ...]:
    buildfile = _read(request, emit)
    images = GuessedImages(store, request, emit)
    plan = survey(buildfile, request, images, lambda name: name in images.unknown)
    found = findings_of_check(buildfile, plan, request, images.unknown)
    _warn(found, emit)
    return found


def _read(request: BuildRequest, emit: Emit) -> Buildfile:
    buildfile = with_asked_checks(parse(read_buildfile(request)), request)
    frontend = foreign_frontend(buildfile.directives.syntax)
    if frontend is not None:
        emit(Note(f"{buildfile.source.name} asks for the frontend {frontend}; it is read as a Dockerfile all the same"))
    return buildfile


def _plan(buildfile: Buildfile, request: BuildRequest, images: Images, emit: Emit) -> Plan:
    """The plan, with what the checks have found told; where there is none, at least what the text has shown."""
    try:
        plan = resolve(buildfile, request, images)
    except PybuildError:
        _warn(buildfile.warnings, emit)
        raise
    found = findings(buildfile, plan, request)
    _warn(found, emit)
    error = refusal(buildfile, found)
    if error is not None:
        raise error
    return plan


def _warn(warnings: tuple[CheckWarning, ...], emit: Emit) -> None:
    for warning in warnings:
        emit(Warned(warning.rule, warning.message, warning.span))

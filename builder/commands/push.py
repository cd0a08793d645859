"""`pybuild push NAME [DESTINATION]`: images of the store into registries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from builder.commands.arguments import read_media_types
from builder.commands.caller import Caller, store_root
from builder.commands.connection import Connection, access_of
from builder.commands.line import Line
from builder.commands.lookup import find_named, is_store, missing
from builder.commands.progress import shown
from builder.commands.results import prepare_file, write_file
from builder.declare import dataclass, replace
from builder.errors import UsageError
from builder.oci.push import Amount, Pushed
from builder.report.text import human_size, printable
from builder.stages.pushing import in_media_types, push_from_store
from builder.store import Store
from builder.values.digest import Digest
from builder.values.image import Descriptor
from builder.values.reference import Reference

_REGISTRY = "docker://"
_TRANSPORTS = ("oci:", "oci-archive:", "docker-archive:", "store:", "dir:", "containers-storage:", "docker-daemon:")


@dataclass(frozen=True, slots=True)
class _Job:
    """A manifest of the store, and the names that it is to get in registries."""

    manifest: Descriptor
    names: tuple[Reference, ...]


def run(line: Line, caller: Caller) -> int:
    """Push, and print the digest of each image. Raises UsageError, ImageError, StoreError."""
    media_types = read_media_types(line.text("format"))
    digest_file = prepare_file("--digestfile", line.text("digestfile"), caller)
    quiet, root = line.flag("quiet"), store_root(line.text("root"), caller)
    if not is_store(root):
        raise missing(line.word("name"), [])
    with Store.open(root) as store:
        jobs = _all_tags(line, store) if line.flag("all_tags") else [_one(line, store)]
        names = [str(name) for job in jobs for name in job.names]
        access = access_of(Connection.of(line), caller, names)
        done: list[tuple[_Job, Pushed]] = []
        try:
            with shown(caller, quiet) as emit:
                for job in jobs:
                    manifest = in_media_types(job.manifest, media_types, store, emit)
                    done.append((job, push_from_store(manifest, job.names, store, access, emit)))
        finally:  # what has arrived before an error is there
            _tell(done, quiet, caller)
    _write([pushed.digest for _, pushed in done], digest_file)
    return 0


def _one(line: Line, store: Store) -> _Job:
    """The image that NAME says, for DESTINATION or, without one, for the registry of its own name."""
    text, destination = line.word("name"), line.text("destination")
    found = find_named(text, store)
    if destination is not None:
        return _Job(found.manifest, (_destination(destination),))
    if found.typed is None:
        raise UsageError(f"{text} is no name to push to", hint=f"pybuild push {text} REGISTRY/NAME:TAG")
    return _Job(found.manifest, (_own(found.typed.name),))


def _all_tags(line: Line, store: Store) -> list[_Job]:
    """Every image of the store whose name is NAME with any tag, each once with all of its tags."""
    text = line.word("name")
    wanted = _destination(text)
    if line.text("destination") is not None:
        raise UsageError("--all-tags: the tags go to where their names say", hint="leave DESTINATION out")
    if replace(wanted, tag="latest") != wanted or text.endswith(":latest"):
        raise UsageError(f"--all-tags: {text} names one of them", hint="leave the tag out")
    if line.text("digestfile") is not None:
        raise UsageError("--all-tags: there may be several digests", hint="leave --digestfile out")
    jobs: dict[Digest, _Job] = {}
    for image in sorted(store.images.all(), key=lambda image: image.name):
        for name in _of_repository(image.name, wanted):
            before = jobs.get(image.manifest.digest, _Job(image.manifest, ()))
            jobs[image.manifest.digest] = replace(before, names=(*before.names, name))
    if not jobs:
        raise missing(text, [image.name for image in store.images.all()])
    return list(jobs.values())


def _of_repository(stored: str, wanted: Reference) -> Iterator[Reference]:
    try:
        name = Reference.parse(stored)
    except ValueError:
        return
    if (name.registry, name.repository) == (wanted.registry, wanted.repository) and name.digest is None:
        yield _own(stored)


def _own(stored: str) -> Reference:
    """A name of the store as one of a registry. Raises UsageError where it is surely none."""
    name = Reference.parse(stored)
    if name.is_bare:
        raise UsageError(
            f"{name.familiar} names no registry",
            hint=f"pybuild push {name.familiar} REGISTRY/{name.familiar}, or build it with such a name",
        )
    return name


def _destination(text: str) -> Reference:
    """A name in a registry, with or without docker:// in front. Raises UsageError."""
    if text.startswith(_TRANSPORTS):
        raise UsageError(
            f"{text} is not in a registry", hint=f"pybuild copy NAME {text} brings an image there, or pybuild save"
        )
    try:
        return Reference.parse(text.removeprefix(_REGISTRY))
    except ValueError as error:
        raise UsageError(str(error), hint="a destination is [docker://]REGISTRY/NAME[:TAG]") from None


def _tell(done: list[tuple[_Job, Pushed]], quiet: bool, caller: Caller) -> None:
    for job, pushed in done:
        if not quiet:
            caller.remark(printable(_summary(job, pushed)))
    caller.say([str(pushed.digest) for _, pushed in done])


def _summary(job: _Job, pushed: Pushed) -> str:
    """`pushed registry.test/app:1: 2 blobs sent (1.2 MB), 1 blob mounted (30 MB), 3 blobs there already (5 kB)`."""
    amounts = ((pushed.sent, "sent"), (pushed.mounted, "mounted"), (pushed.there, "there already"))
    parts = [_amount(amount, what) for amount, what in amounts if amount.blobs]
    return f"pushed {', '.join(name.familiar for name in job.names)}: {', '.join(parts)}"


def _amount(amount: Amount, what: str) -> str:
    return f"{amount.blobs} blob{'' if amount.blobs == 1 else 's'} {what} ({human_size(amount.size)})"


def _write(digests: list[Digest], file: Path | None) -> None:
    if file is not None:
        write_file(file, "".join(str(digest) for digest in digests).encode())

"""Leaks: secrets that would be in the image. What a build makes is looked through while it is packed.

A hit ends the build before anything is kept: the layer is not in the store, its step not in the cache. Steps that are
known from an earlier build are looked through once for each secret (by its id) that they were not made with. Only
builds that were given secrets come here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from builder.declare import replace
from builder.errors import BuildfileError
from builder.stages.hands import Hands
from builder.tree.index import read_index
from builder.tree.leaks import Hit, place_of, search_blob
from builder.tree.safe import shown
from builder.values.entry import Entry
from builder.values.event import Note
from builder.values.image import ImageConfig
from builder.values.key import CacheKey
from builder.values.output import ImageOptions
from builder.values.record import StepRecord
from builder.values.request import BuildRequest
from builder.values.traces import SHORTEST_TELLING_BYTES, traces


class Sought(NamedTuple):
    """Bytes that are looked for, of which secret, and in which form they have it."""

    secret: str
    data: bytes
    form: str

    def __repr__(self) -> str:
        return f"Sought(secret={self.secret!r}, form={self.form!r})"


def sought_of(request: BuildRequest) -> tuple[Sought, ...]:
    """All that is looked for in what this build makes."""
    return tuple(
        Sought(secret.id, trace.data, trace.form)
        for secret in request.secrets
        if secret.is_sought
        for trace in traces(secret.value)
    )


def tell_of_plain_ones(hands: Hands) -> None:
    """Say which secrets cannot be looked for."""
    looked_for = {one.secret for one in sought_of(hands.request)}
    for secret in hands.request.secrets:
        value = secret.value.strip()
        if secret.is_sought and value and secret.id not in looked_for and b"-----BEGIN" not in value:
            hands.emit(
                Note(
                    f"layers are not searched for the secret {secret.id!r}: a value of under {SHORTEST_TELLING_BYTES}"
                    " bytes, or one plain word, is found anywhere"
                )
            )


def refuse_new(hits: Sequence[tuple[int, int]], sought: Sequence[Sought], files: tuple[Path, Path]) -> NoReturn:
    """Remove a layer's blob and index (`files`, not kept yet), and raise BuildfileError for the hits in it."""
    entries = read_index(files[1])
    for path in files:
        path.unlink(missing_ok=True)
    _refuse([Hit(*hit) for hit in hits], sought, entries)


def look_through(key: CacheKey, record: StepRecord, hands: Hands) -> StepRecord:
    """The record of a step that is known, its layer looked through for what it was not made with.

    Raises BuildfileError for a leak; then the step is not known any more.
    """
    new = [one for one in sought_of(hands.request) if one.secret not in record.searched]
    layer = None if record.diff_id is None or not new else hands.layers.known(record.diff_id)
    if layer is None:
        return record
    held = hands.layers.ensure(layer)
    hits = search_blob(hands.layers.blob_path(held), held.descriptor.media_type, [one.data for one in new])
    if hits:
        hands.store.records.discard(key)
        _refuse(hits, new, hands.layers.index(held))
    searched = replace(record, searched=tuple(sorted({*record.searched, *(one.secret for one in new)})))
    hands.store.records.put(key, searched)
    return searched


def refuse_in_config(config: ImageConfig, hands: Hands) -> None:
    """Raise BuildfileError where the image's config, history or annotations have a secret."""
    sought = sought_of(hands.request)
    for place, text in (*_of_config(config), *_of_annotations(hands.request)):
        data = text.encode("utf-8", "surrogateescape")
        for one in sought:
            if one.data in data:
                raise _leak(place, one)


def _of_config(config: ImageConfig) -> Iterator[tuple[str, str]]:
    """Places of the config as one says them, each with its text."""
    run = config.config
    for name, value in run.env:
        yield f"the variable {_name(name)} of the image's environment", f"{name}={value}"
    for name, value in run.labels:
        yield f"the label {_name(name)}", f"{name}={value}"
    for line in config.history:
        yield "the image's history (commands and build arguments are in it)", f"{line.created_by}\n{line.comment}"
    words = (run.entrypoint, run.cmd, run.shell, run.on_build, run.volumes, run.exposed_ports)
    check = run.healthcheck.test if run.healthcheck is not None else ()
    plain = (run.user, run.working_dir, run.stop_signal, config.author)
    yield "the image's config", "\n".join((*plain, *check, *(word for group in words for word in group or ())))


def _of_annotations(request: BuildRequest) -> Iterator[tuple[str, str]]:
    options = [getattr(output, "options", None) for output in request.outputs]
    groups = [request.annotations, *(each.annotations for each in options if isinstance(each, ImageOptions))]
    for annotation in (each for group in groups for each in group):
        yield f"the annotation {_name(annotation.key)}", f"{annotation.key}={annotation.value}"


def _refuse(hits: Sequence[Hit], sought: Sequence[Sought], entries: Sequence[Entry]) -> NoReturn:
    """Raise for the hit that tells most: a file's content before a name, the value itself before a form of it."""
    found = [(place_of(hit, sought[hit.number].data, entries), sought[hit.number]) for hit in hits]
    found.sort(key=lambda one: (not one[0].startswith("/"), one[1].form != "as it is"))
    raise _leak(*found[0])


def _leak(place: str, one: Sought) -> BuildfileError:
    return BuildfileError(
        f"the secret {one.secret!r} would be in the image: {place} has its value, or a part of it, {one.form}",
        hint="a command finds a secret in its mount and must not keep it; what it writes all the same has to be gone at"
        " the end of\nthe same RUN, and files of the context stay out by .dockerignore. Is it meant for the image? Then"
        f" --secret id={one.secret},...,search=false",
    )


def _name(text: str) -> str:
    return shown(text.encode("utf-8", "surrogateescape"))

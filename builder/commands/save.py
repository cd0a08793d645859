"""`pybuild save NAME...`: images of the store in one archive, for `docker load`, `podman load` and `pybuild load`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from builder.commands.arguments import bad, read_media_types, read_platform
from builder.commands.caller import Caller, store_root
from builder.commands.connection import Connection, access_of
from builder.commands.line import Line
from builder.commands.looking import suited
from builder.commands.lookup import Found, find_named, is_store, load, missing
from builder.errors import UsageError
from builder.oci.archive import NamedImage, write_archive_of
from builder.oci.convert import as_oci
from builder.oci.docker_save import write_docker_archive_of
from builder.oci.layout import blobs_of
from builder.oci.sink import send_to
from builder.stages.stock import Stock
from builder.store import Store
from builder.values.digest import Digest
from builder.values.output import MediaTypes, Stream
from builder.values.platform import Platform
from builder.values.reference import Reference


def run(line: Line, caller: Caller) -> int:
    """Write the archive to a file or to standard output. Raises UsageError, ImageError, StoreError."""
    destination = _destination(line.text("output"), caller)
    kind = read_media_types(line.text("format")) or MediaTypes.DOCKER
    platform = read_platform(line.text("platform"))
    root = store_root(line.text("root"), caller)
    if not is_store(root):
        raise missing(line.texts("name")[0], [])
    with Store.open(root) as store:
        images = _images(line.texts("name"), platform, store)
        if kind is MediaTypes.OCI:
            images = [_in_oci_words(named, store) for named in images]
        blobs = (blob for named in images for blob in blobs_of(named.image))
        stock = Stock(blobs, store, access_of(Connection(), caller), lambda _: None)

        def write(out: Path | BinaryIO) -> None:
            each = write_docker_archive_of if kind is MediaTypes.DOCKER else write_archive_of
            each(out, images, stock.path)

        send_to(destination, write)
    return 0


def _destination(text: str | None, caller: Caller) -> Path | Stream:
    if text is None or text == "-":
        if caller.stdout.isatty():
            raise UsageError(
                "an archive is not written to a terminal", hint="-o FILE, or send standard output to a file or a pipe"
            )
        return Stream(caller.stdout.fileno())
    if not text:
        raise bad("-o/--output", "the file is empty", "-o FILE")
    return caller.directory / text


def _images(texts: Sequence[str], platform: Platform | None, store: Store) -> list[NamedImage]:
    """The images, each once with all the names under which it was asked for."""
    found: dict[Digest, NamedImage] = {}
    for text in texts:
        hit = find_named(text, store)
        image = suited(hit.title, load(store, hit.manifest, platform), platform)
        before = found.get(image.manifest.digest, NamedImage(image, ()))
        found[image.manifest.digest] = NamedImage(image, (*before.names, *_name_of(hit)))
    return list(found.values())


def _name_of(hit: Found) -> tuple[Reference, ...]:
    """The name that was typed; an image that was asked for by its digest has none in the archive, as docker does it."""
    if hit.typed is None:
        return ()
    try:
        return (Reference.parse(hit.typed.name),)
    except ValueError:
        return ()  # another tool put it there under something that is no name


def _in_oci_words(named: NamedImage, store: Store) -> NamedImage:
    converted = as_oci(named.image)
    for _, data in converted.documents:
        store.blobs.put(data)
    return NamedImage(converted.image, named.names)

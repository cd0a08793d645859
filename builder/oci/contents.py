"""All images in one archive or layout, with the names that it gives them: what `load` takes in.

An archive of a newer docker is a docker archive and an OCI layout at once; the layout then counts, because it has the
manifests. Names are a stranger's text: they are given as they stand, and judged by who uses them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from builder.declare import dataclass, field
from builder.errors import ImageError
from builder.oci.archive import ArchivedFiles
from builder.oci.docker_archive import DockerArchiveSource
from builder.oci.layout import ANNOTATION_NAME, ANNOTATION_TAG, LayoutDirectory, LayoutFiles, LayoutReader
from builder.oci.manifest import choose
from builder.oci.members import Members
from builder.oci.scratch import Temporary
from builder.oci.source import ImageSource, named
from builder.values.digest import Digest
from builder.values.image import Descriptor, Image
from builder.values.platform import Platform


@dataclass(frozen=True, slots=True)
class Packed:
    """One image of an archive. `names` are its own; `by_config` are names that belong to whichever has that config."""

    source: ImageSource
    names: tuple[str, ...]
    by_config: Mapping[Digest, tuple[str, ...]] = field(default_factory=dict)

    def names_of(self, image: Image) -> tuple[str, ...]:
        """All names of the image, which the source has loaded."""
        return self.names or self.by_config.get(image.config_descriptor.digest, ())


def contents_of(path: Path, name: str, platform: Platform, temporary: Temporary | None) -> tuple[Packed, ...]:
    """The images at `path`, a layout's directory or an archive, compressed or not; messages call it `name`.

    Of several images under one name it is that for `platform`. Raises ImageError.
    """
    try:
        found = _found(path, name, platform, temporary)
    except ImageError as error:
        raise named(error, name) from error
    if not found:
        raise ImageError(f"{name}: there is no image in it")
    return found


def _found(path: Path, name: str, platform: Platform, temporary: Temporary | None) -> tuple[Packed, ...]:
    if path.is_dir():
        return _of_layout(name, LayoutDirectory(path, name), platform, {})
    members = Members(path, name, temporary)
    docker = DockerArchiveSource.each(path, name, members) if members.find("manifest.json") else ()
    if members.find("oci-layout") and members.find("index.json"):
        titles = {digest: source.tags for source in docker for digest in _config_of(source)}
        return _of_layout(name, ArchivedFiles(name, path, temporary, (members,)), platform, titles)
    if not members.find("manifest.json"):
        raise ImageError(
            f"{name} is no archive of images: neither manifest.json nor index.json is in it",
            hint="it is written by `pybuild save`, `docker save` or `podman save`; a root file system is rootfs:FILE",
        )
    return tuple(Packed(source, source.tags) for source in docker)


def _config_of(source: DockerArchiveSource) -> tuple[Digest, ...]:
    """The digest of the config that a docker archive's entry names by it, if it does."""
    return () if source.config_digest is None else (source.config_digest,)


def _of_layout(
    name: str, files: LayoutFiles, platform: Platform, titles: Mapping[Digest, tuple[str, ...]]
) -> tuple[Packed, ...]:
    chosen: dict[Digest, list[str]] = {}
    for title, entry in _chosen(LayoutReader(name, None, files).entries(), platform):
        chosen.setdefault(entry.digest, []).extend([title] if title else [])
    return tuple(
        Packed(LayoutReader(name, str(digest), files), tuple(dict.fromkeys(own)), titles)
        for digest, own in chosen.items()
    )


def _chosen(entries: Sequence[Descriptor], platform: Platform) -> Iterator[tuple[str, Descriptor]]:
    """Each name with its entry; where several have one name, or none has any, those for the platform."""
    by_name: dict[str, list[Descriptor]] = {}
    for entry in entries:
        by_name.setdefault(_title(entry), []).append(entry)
    for title, same in by_name.items():
        if len({entry.digest for entry in same}) == 1:
            yield title, same[0]
        elif title:
            yield title, choose(same, platform)
        else:
            yield from ((title, entry) for entry in _suitable(same, platform))


def _title(entry: Descriptor) -> str:
    """The whole name of an entry. A lone tag is none: nothing says what it is a tag of."""
    annotations = dict(entry.annotations)
    name = annotations.get(ANNOTATION_NAME) or annotations.get(ANNOTATION_TAG, "")
    return name if ":" in name or "/" in name else ""


def _suitable(entries: Sequence[Descriptor], platform: Platform) -> list[Descriptor]:
    """Of images without names those for the platform, or all where none says that it is."""
    wanted = (platform.os, platform.architecture)
    found = [
        entry
        for entry in entries
        if entry.platform is not None and (entry.platform.os, entry.platform.architecture) == wanted
    ]
    return found or [entry for entry in entries if entry.platform is None or entry.platform.os != "unknown"]

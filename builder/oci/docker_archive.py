"""Archives that `docker save`, `podman save` and `skopeo` write: manifest.json with a config and layers by member name.

Sources: moby's docker-image-spec, "Combined Image JSON + Filesystem Changeset Format"; since Docker 25 the archive is
also an OCI layout, and its layers may be compressed. The archive has no manifest, so one is made here: the same archive
gives the same image.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from builder.errors import ImageError
from builder.oci.document import Document, parse_json
from builder.oci.manifest import MAX_LAYERS, Manifest, read_config, write_manifest
from builder.oci.members import Member, Members
from builder.oci.scratch import Temporary
from builder.oci.source import Documents, Progress, assemble, named
from builder.oci.verify import verified_bytes, write_verified
from builder.tree.compress import SNIFF_BYTES, sniff
from builder.values.digest import DiffId, Digest
from builder.values.image import (
    MEDIA_CONFIG,
    MEDIA_LAYER,
    MEDIA_LAYER_GZIP,
    MEDIA_LAYER_ZSTD,
    MEDIA_MANIFEST,
    Descriptor,
    Image,
)
from builder.values.platform import Platform
from builder.values.reference import Reference

_DIGEST_NAME = re.compile(r"(?:.*/)?([0-9a-f]{64})(?:\.json)?\Z")
_BLOB_NAME = re.compile(r"blobs/sha256/([0-9a-f]{64})\Z")
_MAX_IMAGES = 1000


class DockerArchiveSource:
    """An image of the docker archive `path`, by its tag or name, or the only one."""

    def __init__(self, path: Path, tag: str | None, temporary: Temporary | None = None) -> None:
        self.name = f"docker-archive:{path}" + (f":{tag}" if tag else "")
        self._path = path
        self._tag = tag
        self._temporary = temporary
        self._documents = Documents()
        self._layers: dict[Digest, Member] = {}
        self._opened: tuple[Members, ...] = ()
        self._entry: Document | None = None

    @classmethod
    def each(cls, path: Path, name: str, members: Members) -> tuple[DockerArchiveSource, ...]:
        """A source for every image of the archive, whose members are found already. Raises ImageError."""

        def source(entry: Document | None) -> DockerArchiveSource:
            made = cls(path, None)
            made.name, made._opened, made._entry = name, (members,), entry
            return made

        return tuple(source(entry) for entry in source(None)._entries())

    @property
    def tags(self) -> tuple[str, ...]:
        """The names that the archive gives the image, as they stand there. Raises ImageError."""
        return tuple(self._chosen().texts("RepoTags") or ())

    def load(self, platform: Platform) -> Image:  # noqa: ARG002
        """The image; a docker archive holds it for one platform, which its config names. Raises ImageError."""
        try:
            return self._image(self._chosen())
        except ImageError as error:
            raise named(error, self.name) from error

    @property
    def config_digest(self) -> Digest | None:
        """The digest of the config, where the archive's member is called by it. Raises ImageError."""
        announced = _DIGEST_NAME.match(self._chosen().text("Config"))
        return None if announced is None else Digest(announced[1])

    def documents(self, image: Image) -> Iterable[tuple[Digest, bytes]]:
        """The manifest's and the config's bytes of a loaded image."""
        return self._documents.of(image)

    def fetch(self, layer: Descriptor, into: Path, progress: Progress) -> None:
        """Copy a layer of a loaded image to `into`, verified. Raises ImageError, StoreError."""
        member = self._layers.get(layer.digest)
        if member is None:
            raise ImageError(f"{self.name}: layer {layer.digest} is not in it")
        try:
            write_verified(layer, self._members.chunks(member), into, progress)
        except ImageError as error:
            raise named(error, self.name) from error

    @property
    def _members(self) -> Members:
        if not self._opened:
            self._opened = (Members(self._path, self.name, self._temporary),)
        return self._opened[0]

    def _chosen(self) -> Document:
        """The entry of manifest.json that is meant."""
        if self._entry is not None:
            return self._entry
        entries = self._entries()
        found = [entry for entry in entries if self._tag is None or _is_called(entry, self._tag)]
        if len(found) == 1:
            return found[0]
        tags = sorted(tag for entry in entries for tag in entry.texts("RepoTags") or ())
        what = "several images" if found else "no such image"
        raise ImageError(f"there is {what} in it" if not found else f"there are {what} in it", hint=_named_tags(tags))

    def _entries(self) -> list[Document]:
        if self._members.find("manifest.json") is None:
            raise self._no_docker_archive()
        value = parse_json(self._members.document("manifest.json"), "manifest.json")
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise ImageError("manifest.json is not valid: not a list of objects")
        if len(value) > _MAX_IMAGES:
            raise ImageError(f"manifest.json lists {len(value)} images; more than {_MAX_IMAGES} are refused")
        return [Document(f"manifest.json[{at}]", item) for at, item in enumerate(value)]

    def _no_docker_archive(self) -> ImageError:
        hint = None
        if self._members.find("index.json") is not None:
            hint = f"it is an OCI archive: oci-archive:{self._path}"
        elif self._members.find("repositories") is not None:
            hint = "it was written by a Docker before 1.10; load and save it with a newer one"
        return ImageError("manifest.json is not in it, so this is no docker archive", hint=hint)

    def _image(self, entry: Document) -> Image:
        data = self._members.document(_member_name(entry))
        digest = self._documents.put(data)
        announced = _DIGEST_NAME.match(entry.text("Config"))
        if announced is not None:
            verified_bytes(Descriptor(MEDIA_CONFIG, Digest(announced[1]), len(data)), [data])
        config = read_config(data)
        names = entry.texts("Layers") or ()
        if len(names) > MAX_LAYERS or len(names) != len(config.diff_ids):
            raise ImageError(f"it is damaged: {len(names)} layers, but {len(config.diff_ids)} in the config")
        layers = tuple(self._layer(name, diff_id) for name, diff_id in zip(names, config.diff_ids, strict=True))
        manifest = Manifest(Descriptor(MEDIA_CONFIG, digest, len(data)), layers)
        document = write_manifest(manifest.config, manifest.layers)
        return assemble(Descriptor(MEDIA_MANIFEST, self._documents.put(document), len(document)), manifest, config)

    def _layer(self, name: str, diff_id: DiffId) -> Descriptor:
        """A layer's descriptor: a plain tar's digest is its diff-id; one that is compressed has its own."""
        member = self._members.get(name)
        media_type = sniff(self._members.first_bytes(member, SNIFF_BYTES))
        if media_type not in (MEDIA_LAYER, MEDIA_LAYER_GZIP, MEDIA_LAYER_ZSTD):
            raise ImageError(f"layer {name[:200]!r} is compressed in a way that layers cannot be: {media_type}")
        digest = Digest(diff_id.hex) if media_type == MEDIA_LAYER else self._digest_of(name, member)
        self._layers[digest] = member
        return Descriptor(media_type, digest, member.size)

    def _digest_of(self, name: str, member: Member) -> Digest:
        named_by_digest = _BLOB_NAME.match(name)
        if named_by_digest is not None:
            return Digest(named_by_digest[1])  # verified when it is fetched
        sha256 = hashlib.sha256()
        for chunk in self._members.chunks(member):
            sha256.update(chunk)
        return Digest(sha256.hexdigest())


def _member_name(entry: Document) -> str:
    name = entry.text("Config")
    if not name:
        raise ImageError(f"{entry.what} is not valid: it has no 'Config'")
    return name


def _is_called(entry: Document, wanted: str) -> bool:
    names = entry.texts("RepoTags") or ()
    return any(wanted in (name, name.rpartition(":")[2]) or _same(name, wanted) for name in names)


def _same(name: str, wanted: str) -> bool:
    try:
        return Reference.parse(name) == Reference.parse(wanted)
    except ValueError:
        return False


def _named_tags(tags: list[str]) -> str:
    return f"the tags there are: {', '.join(tags[:20])}" if tags else "its images have no tags"

"""Docker archives written: what `docker save` and BuildKit's `type=docker` give, for `docker load` and `podman load`.

The tar is two things at once, as Docker's own have been since version 25: an OCI layout (which newer readers take, and
which keeps the manifest, and so the image's digest), and a manifest.json that names the same blobs (which all readers
since Docker 1.10 take). Layers stay as they are compressed: gzip is read by every Docker, zstd since 23.0, both by
containers/image. Sources: moby's docker-image-spec; moby, image/tarexport and containerd, images/archive.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from builder.declare import replace
from builder.oci.archive import NamedImage, begin_layout, blobs_of_all, in_order
from builder.oci.document import canonical
from builder.oci.layout import ANNOTATION_NAME, ANNOTATION_TAG, BlobPath
from builder.oci.tarball import Tarball, blob_name, write_tarball
from builder.values.image import Descriptor, Image
from builder.values.reference import Reference


def write_docker_archive(
    destination: Path | BinaryIO, image: Image, blob_path: BlobPath, names: tuple[Reference, ...]
) -> None:
    """Write `image` as one tar to a file (replaced when all is written) or to an open binary stream.

    `blob_path` gives the file of each blob. Raises StoreError; for a stream whose reader went away, BrokenPipeError.
    """
    write_docker_archive_of(destination, (NamedImage(image, names),), blob_path)


def write_docker_archive_of(destination: Path | BinaryIO, images: Sequence[NamedImage], blob_path: BlobPath) -> None:
    """The same for several images in one archive, as `docker save A B` does; a blob that they share is in it once."""
    entries = [entry for named in images for entry in _index_entries(named)]

    def write(tar: Tarball) -> None:
        begin_layout(tar, entries)
        tar.document("manifest.json", canonical([_manifest_entry(named) for named in images]))
        for descriptor in in_order(blobs_of_all(images)):
            tar.blob(descriptor, blob_path(descriptor.digest))
        tar.end()

    write_tarball(destination, write)


def _index_entries(named: NamedImage) -> tuple[Descriptor, ...]:
    """Entries of index.json: one for each name (two repositories may have the same tag), or one without any."""
    plain = replace(named.image.manifest, annotations=(), platform=named.image.config.platform)
    tags = [name for name in dict.fromkeys(_tagged(named)) if name.tag is not None]
    return tuple(
        replace(plain, annotations=((ANNOTATION_NAME, str(name)), (ANNOTATION_TAG, name.tag or ""))) for name in tags
    ) or (plain,)


def _manifest_entry(named: NamedImage) -> dict[str, object]:
    """The image's object in manifest.json. Names are in full: docker reads `app:1` and `docker.io/library/app:1` as the
    same, but podman makes `localhost/app:1` of a short one where the archive holds several images.
    """
    tags = dict.fromkeys(str(name) for name in _tagged(named))
    return {
        "Config": blob_name(named.image.config_descriptor),
        "RepoTags": list(tags) or None,
        "Layers": [blob_name(layer.descriptor) for layer in named.image.layers],
    }


def _tagged(named: NamedImage) -> list[Reference]:
    """The names that have a tag: an archive has no place for one that is a digest alone."""
    return [replace(name, digest=None) for name in named.names if name.tag is not None]

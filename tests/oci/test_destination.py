"""Destinations by what a person types."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.errors import ImageError, PybuildError, UsageError
from builder.oci.destination import (
    Destination,
    ToDockerArchive,
    ToLayout,
    ToOciArchive,
    ToRegistry,
    ToStore,
    open_destination,
)
from builder.values.output import Stream
from builder.values.reference import Reference

STDOUT = Stream(1)
APP = Reference.parse("localhost:5000/app:2")


@pytest.mark.parametrize(
    ("text", "meant", "shown"),
    [
        ("docker://localhost:5000/app:2", ToRegistry(APP), "docker://localhost:5000/app:2"),
        ("docker://app", ToRegistry(Reference.parse("app")), "docker://app:latest"),
        ("store:localhost:5000/app:2", ToStore(APP), "store:localhost:5000/app:2"),
        ("oci:l", ToLayout(Path("/d/l")), "oci:/d/l"),
        ("oci:/x/l:1", ToLayout(Path("/x/l"), "1"), "oci:/x/l:1"),
        ("oci:l:localhost/app:1", ToLayout(Path("/d/l"), "localhost/app:1"), "oci:/d/l:localhost/app:1"),
        ("oci-archive:a.tar:1", ToOciArchive(Path("/d/a.tar"), "1"), "oci-archive:/d/a.tar:1"),
        ("oci-archive:-:1", ToOciArchive(STDOUT, "1"), "oci-archive:-:1"),
        ("docker-archive:a.tar", ToDockerArchive(Path("/d/a.tar")), "docker-archive:/d/a.tar"),
        ("docker-archive:-", ToDockerArchive(STDOUT), "docker-archive:-"),
        (
            "docker-archive:a.tar:localhost:5000/app:2",
            ToDockerArchive(Path("/d/a.tar"), APP),
            "docker-archive:/d/a.tar:localhost:5000/app:2",
        ),
    ],
)
def test_each_transport_is_understood(text: str, meant: Destination, shown: str) -> None:
    """Relative paths start at the caller's directory, - is standard output."""
    destination = open_destination(text, Path("/d"), STDOUT)
    assert destination == meant
    assert str(destination) == shown


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("oic:dir:1", "there is no transport 'oic'", "did you mean oci:dir:1?"),
        ("dcoker://host/app", "there is no transport 'dcoker'", "did you mean docker://host/app?"),
        ("docker:host/app", "there is no transport 'docker'", "did you mean docker://host/app?"),
        ("dir:/tmp/x", "dir: is a transport of skopeo's", "oci:DIR:TAG"),
        ("docker-daemon:app:1", "docker-daemon: is a transport of skopeo's", "| docker load"),
        ("./here", "needs its transport in front", "oci:./here is an OCI layout"),
        ("host:5000/app:1", "needs its transport in front", "docker://host:5000/app:1 is in a registry"),
    ],
)
def test_destinations_without_a_transport_of_ours(text: str, message: str, hint: str) -> None:
    """What is misspelt, another tool's, or missing is said, and what may have been meant."""
    with pytest.raises(UsageError, match=message) as caught:
        open_destination(text, Path("/"), Stream(1))
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize("text", ["app:1", "localhost:5000/app", "rootfs:x", ""])
def test_a_destination_without_a_transport_is_refused(text: str) -> None:
    """Pushing by accident is worse than typing a few letters."""
    with pytest.raises(UsageError, match="needs its transport in front") as caught:
        open_destination(text, Path("/d"), STDOUT)
    assert f"docker://{text} is in a registry, store:{text} is here" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("docker://App", ImageError, "docker://App: invalid image name 'App': .*names are lower case"),
        ("docker://app@sha256:" + "0" * 64, UsageError, "a digest cannot be chosen"),
        ("store:app@sha256:" + "0" * 64, UsageError, "a digest cannot be chosen"),
        ("docker-archive:a.tar:app@sha256:" + "0" * 64, UsageError, "have a tag and no digest"),
        ("store:", ImageError, "invalid image name"),
        ("oci:", ImageError, "a path is missing"),
        ("docker-archive:a.tar:Ä", ImageError, "docker-archive:/d/a.tar:Ä: invalid"),
    ],
)
def test_what_cannot_be_written_to_is_one_line(text: str, kind: type[PybuildError], words: str) -> None:
    """Names that are none, and digests, which nobody can choose."""
    with pytest.raises(kind, match=words):
        open_destination(text, Path("/d"), STDOUT)

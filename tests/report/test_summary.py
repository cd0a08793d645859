"""The end of a build."""

from __future__ import annotations

from builder.report.summary import summary
from builder.values.digest import Digest
from builder.values.event import PUSHED, Exported
from tests.report.images import image


def test_names_size_and_how_to_look_at_it() -> None:
    """The last lines name the image, its size, its digest, where it was written and how to look at it."""
    exported = [Exported("oci", "out"), Exported("oci", "-")]
    assert summary(image(), ("app:1", "app:latest"), exported, "pybuild --root /s").split("\n") == [
        "Built app:1, app:latest: 2.0 MB in 2 layers",
        f"  digest:     sha256:{'a' * 64}",
        "  written:    out (oci)",
        "  written:    standard output (oci)",
        "  look at it: pybuild inspect --root /s app:1",
    ]


def test_an_image_without_a_name() -> None:
    """Without a name the digest leads to the image."""
    lines = summary(image(), (), (), "pybuild").split("\n")
    assert lines[0] == "Built an image without a name: 2.0 MB in 2 layers"
    assert lines[-1] == f"  look at it: pybuild inspect sha256:{'a' * 64}"


def test_a_line_for_each_output() -> None:
    """Where it went, with the digest of what differs from the image and of all that was pushed."""
    same, other = Digest("a" * 64), Digest("b" * 64)
    exported = [Exported("files", "out"), Exported("OCI layout", "x", same), Exported("OCI layout", "y", other)]
    lines = summary(image(), (), [*exported, Exported(PUSHED, "h:5000/a:1", same)], "pybuild").split("\n")
    assert lines[2:-1] == [
        "  written:    out (files)",
        "  written:    x (OCI layout)",
        f"  written:    y (OCI layout, {other})",
        f"  pushed:     h:5000/a:1@{same}",
    ]

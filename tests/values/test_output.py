"""Outputs as values."""

from __future__ import annotations

from pathlib import Path

from builder.values.output import DockerOutput, ImageOptions, MediaTypes, OciOutput, Stream


def test_an_output_without_options_is_the_image_itself() -> None:
    """Nothing is changed unless somebody asks: no compression, no annotation, OCI's media types."""
    assert OciOutput(Path("x")).options == ImageOptions(None, None, False, (), MediaTypes.OCI)


def test_a_stream_is_called_as_it_is_asked_for() -> None:
    """Standard output is `-`, whatever its descriptor."""
    assert str(DockerOutput(Stream(7)).destination) == "-"

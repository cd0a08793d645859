"""Images as text and as JSON."""

from __future__ import annotations

import json

from builder.report.inspection import inspection_fields, inspection_text, made_by, size_of
from tests.report.images import FULL, HISTORY, image


def test_the_whole_of_an_image() -> None:
    """Everything that its config says is shown, one fact a line, then its layers with what made each."""
    assert inspection_text(image(FULL, HISTORY), "app:1", None).split("\n") == [
        "Name:         app:1",
        f"Digest:       sha256:{'a' * 64}",
        f"Image id:     sha256:{'c' * 64}",
        "Platform:     linux/amd64",
        "Created:      2026-01-02T03:04:05Z",
        "Size:         2.0 MB in 2 layers",
        "User:         1000",
        "Workdir:      /src",
        'Entrypoint:   ["/app", "größe"]',
        "Cmd:          []",
        "Stop signal:  SIGINT",
        'Healthcheck:  ["CMD-SHELL", "true"] (every 5s, 3 retries)',
        "Env:          PATH=/bin",
        "              EVIL=\\x0ax",
        "Port:         80/tcp",
        "Volume:       /data",
        "Label:        a=1",
        "On build:     RUN x",
        "",
        "LAYER    SIZE  DIGEST        MADE BY",
        "    1  1.0 kB  000000000000  FROM debian",
        "    2  2.0 MB  000000000000  RUN make \\ install\\x07",
    ]


def test_layers_are_cut_on_a_terminal_only() -> None:
    """With a width the lines of layers are cut to it."""
    lines = inspection_text(image(FULL, HISTORY), "app:1", 40).split("\n")
    assert lines[-1] == "    2  2.0 MB  000000000000  RUN make..."


def test_a_history_that_is_too_short() -> None:
    """Layers that the history does not explain are shown without an explanation."""
    assert [line for _, line in made_by(image())] == ["", ""]
    assert "(not said)" in inspection_text(image(), "x", None)


def test_json_has_digests_config_and_layers() -> None:
    """Programs get whole digests, the config document as it is, and the instruction of each layer."""
    document = json.loads(json.dumps(inspection_fields(image(FULL, HISTORY), "app:1", {"os": "linux"}, ["app:1", "b"])))
    assert (document["name"], document["names"], document["platform"]) == ("app:1", ["app:1", "b"], "linux/amd64")
    assert document["digest"] == f"sha256:{'a' * 64}"
    assert document["configDigest"] == f"sha256:{'c' * 64}"
    assert document["config"] == {"os": "linux"}
    assert document["layers"][1]["createdBy"] == "RUN make \\\n    install\x07"
    assert document["layers"][0]["diffId"] == f"sha256:{17:064x}"
    assert document["size"] == size_of(image()) == 2_001_600

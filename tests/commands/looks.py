"""Commands that look at images, called as people call them, and a store with images for them to look at."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from builder.commands.app import run
from builder.commands.caller import Caller
from builder.oci.layout import LayoutSource
from builder.stages.images import build_platform
from builder.stages.transfer import bring_in
from builder.store import Store
from builder.values.event import Event
from builder.values.reference import Reference
from tests.commands.callers import caller
from tests.stages.builds import base
from tests.stages.looked import ABOVE, ODD


def _nobody(_: Event) -> None:
    """Nobody wants to know."""


def store_image(room: Path, name: str = "app:1", layers: Iterable[Iterable[Any]] = (ODD, ABOVE)) -> Path:
    """Put an image of these layers into the store `room/store`; the layout that it came from is beside it."""
    layout = room / name.replace(":", "-").replace("/", "-")
    base(layout, layers)
    with Store.open(room / "store") as store:
        image = bring_in(LayoutSource(layout, "latest"), build_platform(), store, _nobody)
        store.images.tag(Reference.parse(name), image.manifest)
    return layout


def bytes_of(room: Path, *words: str, status: int = 0) -> bytes:
    """What a command with the store `room/store` writes to standard output."""
    out = io.BytesIO()
    stream = io.TextIOWrapper(out, encoding="utf-8", errors="backslashreplace")
    who: Caller = replace(caller(room), stdout=stream)
    assert run([*words, "--root", str(room / "store")], who) == status
    stream.flush()
    return out.getvalue()


def lines_of(room: Path, *words: str, status: int = 0) -> list[str]:
    """The same as lines of text."""
    return bytes_of(room, *words, status=status).decode().splitlines()


def json_of(room: Path, *words: str) -> Any:
    """The same, asked for as JSON."""
    return json.loads(bytes_of(room, *words, "--format", "json"))

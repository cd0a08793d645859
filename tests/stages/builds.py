"""Whole builds for the tests of the stages: a context, a real store, what people were told, and the image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builder.errors import PybuildError
from builder.kernel.namespace import decide, gather
from builder.pipeline import BuildResult, build
from builder.source import SourceText
from builder.store import Store
from builder.store.check import check
from builder.values.digest import ChainId
from builder.values.event import Event, Note, StepCached, StepOutput, StepStarted
from builder.values.reference import Reference
from builder.values.request import BuildRequest
from tests.support.bases import LayoutWriter
from tests.support.images import ReadImage, read_layout
from tests.support.tars import layer

GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
NAME = Reference.parse("app:1")
Row = Mapping[str, Any]


@dataclass
class Bench:
    """A place to build in. Each build opens the store anew, as each run of the command does."""

    room: Path
    events: list[Event] = field(default_factory=list)
    result: BuildResult | None = None
    meanwhile: Callable[[Event], object] = repr  # what else happens in the world when an event comes

    def __post_init__(self) -> None:
        self.context.mkdir(exist_ok=True)

    @property
    def context(self) -> Path:
        return self.room / "context"

    @property
    def root(self) -> Path:
        return self.room / "store"

    def file(self, name: str, content: bytes | str = b"", mode: int = 0o644) -> Path:
        """Write a file of the context."""
        path = self.context / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        return path

    def build(self, buildfile: str, **asked: Any) -> ReadImage:
        """Build, and read the image back with code that shares nothing with ours."""
        return read_layout(self.root, str(self.made(buildfile, **asked).tags[0]))

    def made(self, buildfile: str, **asked: Any) -> BuildRequest:
        """Build, and leave the image unread; what was asked for."""
        self.events.clear()
        text = SourceText("Buildfile", buildfile)
        request = BuildRequest(self.context, text, **{"tags": (NAME,), **asked})
        with Store.open(self.root) as store:
            self.result = build(request, store, self._hear)
        return request

    def _hear(self, event: Event) -> None:
        self.events.append(event)
        self.meanwhile(event)

    def fails(self, kind: type[PybuildError], buildfile: str, **asked: Any) -> PybuildError:
        """Build what must fail in this way; the error."""
        try:
            self.build(buildfile, **asked)
        except kind as error:
            return error
        raise AssertionError(f"it was built, and must be a {kind.__name__}")

    def problems(self) -> list[str]:
        """What is wrong with the store."""
        with Store.open(self.root) as store:
            return check(store)

    @property
    def started(self) -> list[str]:
        """The steps that were really done in the last build."""
        return [event.title for event in self.events if isinstance(event, StepStarted)]

    @property
    def cached(self) -> list[str]:
        """The steps that were known."""
        return [event.title for event in self.events if isinstance(event, StepCached)]

    @property
    def notes(self) -> list[str]:
        """What people were told once."""
        return [event.text for event in self.events if isinstance(event, Note)]

    @property
    def output(self) -> str:
        """What the steps wrote."""
        return b"".join(event.data for event in self.events if isinstance(event, StepOutput)).decode()


def content(image: ReadImage, path: str) -> str:
    """The text of a file of an image."""
    node = image.node(path)
    assert node is not None and node.kind == "file", f"there is no file {path}"
    return node.content.decode()


def base(
    directory: Path,
    layers: Iterable[Iterable[Row]],
    platforms: tuple[str, ...] = ("linux/amd64",),
    config: Mapping[str, Any] | None = None,
) -> str:
    """Write an OCI layout with an image of these layers; how FROM names it. Several platforms share the layers."""
    writer = LayoutWriter(directory)
    tars = [(layer(rows), GZIP) for rows in layers]
    writer.finish([writer.image(platform, dict(config or {}), tars) for platform in platforms])
    return f"oci:{directory}:latest"


def row(path: str, text: str | None = None, **more: Any) -> Row:
    """A file with this text, or a directory, for `base`."""
    if text is None:
        return {"path": path, "type": "dir", "mode": "0755", **more}
    return {"path": path, "type": "file", "mode": "0644", "content": text, **more}


def snapshot(store: Store, chain: ChainId) -> Path | None:
    """The snapshot of this stack as the ids of this user have it."""
    return store.snapshots.within(decide(gather()).ids).find(chain)

"""Bringing what is not here yet: contexts from standard input, from URLs and from git, each into a directory of ours.

A tar is spread out there, a git repository checked out; what is neither is a Buildfile whose context is empty. All of
it is gone when the build is over. Nothing that came from elsewhere is read through a link that leads out of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from builder.declare import dataclass, replace
from builder.errors import ContextError, ImageError, UsageError
from builder.source import SourceText
from builder.stages.gather import TEXT_LIMIT_BYTES, decode_buildfile
from builder.stages.repositories import check_out, commit_of
from builder.store.store import Store
from builder.tree import bounds
from builder.tree.remove import remove_tree
from builder.tree.safe import Root, Walk
from builder.tree.spread import is_archive, spread
from builder.values.elsewhere import StreamContext, UrlContext, source_of
from builder.values.event import Emit
from builder.values.limits import raised_by
from builder.values.repository import Repository
from builder.values.request import BuildRequest

_BLOCK = 1 << 20
_STDIN = "standard input"


@contextmanager
def brought(request: BuildRequest, store: Store, emit: Emit) -> Iterator[BuildRequest]:
    """The request with every context in a directory, for as long as they are needed.

    Raises ContextError for what cannot be had or unpacked, UsageError, MachineError, StoreError.
    """
    far = [name for name, value in request.build_contexts if _source(value) is not None]
    if request.elsewhere is None and not far:
        yield request
        return
    scratch = store.snapshots.scratch()
    carrier = _Carrier(request, store, emit, scratch)
    try:
        yield carrier.bring()
    finally:
        for made in carrier.made:
            store.fingerprint_path(made.resolve()).unlink(missing_ok=True)
        for name in os.listdir(scratch):
            remove_tree(os.fsencode(scratch / name))
        store.snapshots.discard(scratch)


def _source(value: str) -> Repository | UrlContext | None:
    """Where a named context is fetched from; None for what is here, or an image."""
    return None if os.path.exists(value) else source_of(value)


@dataclass
class _Carrier:
    request: BuildRequest
    store: Store
    emit: Emit
    scratch: Path
    made: tuple[Path, ...] = ()

    def bring(self) -> BuildRequest:
        request = self._main() if self.request.elsewhere is not None else self.request
        contexts = [(name, self._named(name, value)) for name, value in request.build_contexts]
        return replace(request, build_contexts=tuple(contexts))

    def _main(self) -> BuildRequest:
        request, elsewhere = self.request, self.request.elsewhere
        if isinstance(elsewhere, Repository):
            directory, text = self._repository(elsewhere, "context"), None
            name = elsewhere.shown
        elif isinstance(elsewhere, UrlContext):
            directory, text = self._file(self._fetched(elsewhere.url), elsewhere.url, "context")
            name = elsewhere.url
        else:
            assert isinstance(elsewhere, StreamContext)
            directory, text = self._file(self._spooled(elsewhere.descriptor), _STDIN, "context")
            name = _STDIN
        buildfile = request.buildfile
        if text is not None:
            if buildfile is not None:
                raise UsageError(f"{name} is a Buildfile, and -f names another", hint="leave one of them out")
            buildfile = text
        elif isinstance(buildfile, Path):
            buildfile = _inside(directory, buildfile, name)
        return replace(request, context=directory, buildfile=buildfile, elsewhere=None, context_name=name)

    def _named(self, name: str, value: str) -> str:
        source = _source(value)
        if source is None:
            return value
        place = f"named{len(self.made)}"
        if isinstance(source, Repository):
            return str(self._repository(source, place))
        directory, text = self._file(self._fetched(source.url), source.url, place)
        if text is not None:
            raise ContextError(
                f"--build-context {name}: {source.url} is not an archive", hint="give a tar or a git URL"
            )
        return str(directory)

    def _repository(self, repository: Repository, place: str) -> Path:
        room = self.scratch / place
        room.mkdir()
        made = check_out(commit_of(repository, self.request), room, self.request, self.emit)
        self.made = (*self.made, made)
        return made

    def _file(self, path: Path, name: str, place: str) -> tuple[Path, SourceText | None]:
        """The directory that an archive becomes; for a Buildfile alone an empty one, and the text."""
        directory = self.scratch / place
        self.made = (*self.made, directory)
        with open(path, "rb") as raw:
            os.unlink(path)
            if is_archive(raw):
                try:
                    spread(raw, str(directory))
                except ImageError as error:
                    raise ContextError(f"the context from {name} cannot be unpacked: {error.message}") from error
                return directory, None
            data = raw.read(TEXT_LIMIT_BYTES + 1)
        if not data.strip() or len(data) > TEXT_LIMIT_BYTES:
            what = "is empty" if not data.strip() else "is too large for a Buildfile"
            raise ContextError(f"{name} {what}", hint="it has to be a tar with the context, or a Buildfile")
        directory.mkdir()
        return directory, SourceText(name, decode_buildfile(data, name))

    def _fetched(self, url: str) -> Path:
        from builder.oci.fetch import Web, fetch_url  # TLS and HTTP: not for builds of a directory to load

        into = self.store.blobs.temporary()
        try:
            fetch_url(url, into, None, Web(dict(self.request.proxies), trust=self.request.access.trust))
        except ContextError as error:
            message = error.message.replace("ADD cannot fetch", "cannot fetch the context", 1)
            raise ContextError(message, hint=error.hint) from error
        return into

    def _spooled(self, descriptor: int) -> Path:
        """All of a stream in a file. Raises ContextError past the limit."""
        path = self.store.blobs.temporary()
        total = 0
        with open(path, "xb") as out:
            while piece := os.read(descriptor, _BLOCK):
                total += len(piece)
                if total > (most := bounds.limits().layer_bytes):
                    raise ContextError(f"{_STDIN} holds more than {most} bytes", hint=raised_by("layer"))
                out.write(piece)
        return path


def _inside(directory: Path, path: Path, name: str) -> Path:
    """The path of a Buildfile in what was fetched. Raises ContextError where it is not there, or leads out of it."""
    try:
        with Root.open(directory, Walk.BENEATH) as root:
            os.close(root.open_file(os.fsencode(path)))
    except OSError as error:
        raise ContextError(
            f"there is no Buildfile {path} in {name}: {error.strerror}", hint="-f names a file of the context"
        ) from None
    return directory / path

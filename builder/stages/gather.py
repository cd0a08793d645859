"""Gathering what the host gives: the Buildfile's text, the ignore file, the build context and named directories.

The Buildfile and the ignore file are read once, as regular files of bounded size.
"""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

from builder.errors import BuildfileError, ContextError
from builder.lang.ignore import IgnoreRules
from builder.source import SourceText
from builder.stages.images import Images
from builder.stages.mirrors import Mirrors
from builder.stages.source_tree import HostTree, host_directory
from builder.store.store import Store
from builder.tree.fingerprint import Fingerprints
from builder.tree.safe import Root, Walk, WrongKind
from builder.values.request import BuildRequest

BUILDFILE_NAMES = ("Buildfile", "Containerfile", "Dockerfile")
IGNORE_NAMES = (".containerignore", ".dockerignore")
TEXT_LIMIT_BYTES = 8 << 20
MOST_LINES = 200_000
"""Lines of a Buildfile: each is an object, and ten million of them would be a gigabyte."""
_POINT = "point to the Buildfile with -f"


def read_buildfile(request: BuildRequest) -> SourceText:
    """The Buildfile's text under the name that errors call it. Raises ContextError, BuildfileError."""
    if isinstance(request.buildfile, SourceText):
        return request.buildfile
    if request.buildfile is not None:
        # A link that the caller names on the command line is followed; one found in the context stays in it.
        return _read_text(Path(os.path.realpath(request.buildfile)), _called(request, request.buildfile))
    with host_directory(request.context, "the build context"):
        pass
    for name in BUILDFILE_NAMES:
        path = request.context / name
        if os.path.lexists(path):
            return _read_text(path, _called(request, path))
    raise ContextError(
        f"no Buildfile in {request.context}",
        hint=f"name it {', '.join(BUILDFILE_NAMES[:-1])} or {BUILDFILE_NAMES[-1]}, or point to it with -f",
    )


def _called(request: BuildRequest, path: Path) -> str:
    """What people call a file: where it came from, if the directory that it is in now is one of ours."""
    if request.context_name and path.is_relative_to(request.context):
        return f"{request.context_name}:{path.relative_to(request.context)}"
    return str(path)


def _read_text(path: Path, name: str) -> SourceText:
    try:
        with Root.open(path.parent) as parent:
            data = parent.read_file(os.fsencode(path.name), TEXT_LIMIT_BYTES)
    except FileNotFoundError:
        raise ContextError(f"there is no Buildfile {name}", hint="check the path given with -f") from None
    except IsADirectoryError:
        raise ContextError(f"the Buildfile {name} is a directory", hint=_POINT) from None
    except WrongKind as error:
        raise ContextError(f"the Buildfile {name} is {error.kind}, not a file", hint=_POINT) from None
    except OSError as error:
        if error.errno == errno.EFBIG:
            large = f"the Buildfile {name} is larger than {TEXT_LIMIT_BYTES >> 20} MiB"
            raise BuildfileError(large, hint=_POINT) from None
        hint = "make it readable for you" if error.errno == errno.EACCES else _POINT
        raise ContextError(f"the Buildfile {name} cannot be read: {error.strerror}", hint=hint) from None
    return SourceText(name, decode_buildfile(data, name))


def decode_buildfile(data: bytes, name: str) -> str:
    """The text of a Buildfile. Raises BuildfileError for what is not text."""
    if b"\0" in data:
        raise BuildfileError(f"{name} is not a text file (it holds a NUL byte)", hint=_POINT)
    if data.count(b"\n") > MOST_LINES:
        raise BuildfileError(f"{name} has more than {MOST_LINES} lines", hint="copy large files from the context")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BuildfileError(f"{name}:{line} is not UTF-8 text", hint="save it as UTF-8") from None


def read_ignore_rules(request: BuildRequest) -> IgnoreRules:
    """The rules of `<Buildfile>.dockerignore`, .containerignore or .dockerignore, whichever is there first."""
    candidates: list[Path] = []
    if isinstance(request.buildfile, Path):
        candidates.append(request.buildfile.with_name(request.buildfile.name + ".dockerignore"))
    elif request.buildfile is None:
        present = [name for name in BUILDFILE_NAMES if os.path.lexists(request.context / name)]
        candidates += [request.context / (name + ".dockerignore") for name in present[:1]]
    candidates += [request.context / name for name in IGNORE_NAMES]
    for path in candidates:
        text = _ignore_text(path)
        if text is not None:
            return IgnoreRules.parse(text, _called(request, path))
    return IgnoreRules.parse("", "")


def _ignore_text(path: Path) -> str | None:
    try:
        # A link in the context's ignore file may lead anywhere; it is not followed out of its directory.
        with Root.open(path.parent, Walk.BENEATH) as parent:
            data = parent.read_file(os.fsencode(path.name), TEXT_LIMIT_BYTES)
    except FileNotFoundError:
        return None
    except WrongKind as error:
        raise ContextError(f"the ignore file {path} is {error.kind}, not a file") from None
    except OSError as error:
        raise ContextError(f"the ignore file {path} cannot be read: {error.strerror}") from None
    return data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")


class Contexts:
    """The directories of the host that a build may take files from, opened when they are first needed.

    May be used from several threads.
    """

    def __init__(self, request: BuildRequest, store: Store, images: Images) -> None:
        self._request = request
        self._store = store
        self._images = images
        self._open: dict[str | None, HostTree] = {}
        self._opening = threading.Lock()
        self.mirrors = Mirrors(store)

    def main(self) -> HostTree:
        """The build context. Raises ContextError."""
        with self._opening:
            if None not in self._open:
                rules = read_ignore_rules(self._request)
                self._open[None] = self._opened(self._request.context, rules, "the build context")
            return self._open[None]

    def named(self, name: str) -> HostTree | None:
        """The directory that a named context is, or None where the name means an image. Raises ContextError."""
        with self._opening:
            if name not in self._open:
                path = self._images.directory_of(name)
                if path is None:
                    return None
                rules = IgnoreRules.parse(_ignore_text(path / ".dockerignore") or "", f"{path}/.dockerignore")
                self._open[name] = self._opened(path, rules, f"the context {name}")
            return self._open[name]

    def _opened(self, path: Path, rules: IgnoreRules, title: str) -> HostTree:
        root = host_directory(path, title)
        fingerprints = Fingerprints.load(self._store.fingerprint_path(path.resolve()))
        return HostTree(root, rules, fingerprints, title)

    def close(self) -> None:
        """Let go of the directories."""
        for tree in self._open.values():
            tree.close()
        self._open.clear()

    def save(self) -> None:
        """Keep what was learnt about unchanged files for the next build."""
        for tree in self._open.values():
            tree.save()

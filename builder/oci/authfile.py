"""Files of logins, docker's config.json and podman's auth.json, as values: which entry is for a registry, and how an
entry is read and written. Whatever else is in such a file belongs to others and is kept.

Sources: containers-auth.json(5); docker's `cli/config/configfile`; containers/image for the order of keys.
"""

from __future__ import annotations

import base64
import binascii
import errno
import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from builder.declare import dataclass
from builder.errors import ImageError, UsageError
from builder.oci.document import Document, parse_document
from builder.values.access import Credential
from builder.values.reference import canonical_host

_HUB = "docker.io"
_MOST_BYTES = 8 << 20
HUB_KEY = "https://index.docker.io/v1/"
"""The key under which docker and its helpers keep the login for docker.io."""
_HUB_NAMES = ("index.docker.io", "registry-1.docker.io", "registry.hub.docker.com")


@dataclass(frozen=True, slots=True)
class AuthFile:
    """A file of logins as read. A `legacy` one, ~/.dockercfg, is the entries alone, without `auths` around them."""

    path: Path
    document: Document
    legacy: bool = False

    @classmethod
    def read(cls, path: Path) -> AuthFile | None:
        """The file, None where there is none. Raises UsageError for one that cannot be read or understood."""
        data = _content(path)
        if data is None:
            return None
        try:
            document = parse_document(data or b"{}", f"the file of logins {path}")
        except ImageError as error:
            raise UsageError(error.message, hint="mend it, or move it away and log in anew") from error
        return cls(path, document, path.name == ".dockercfg")

    @classmethod
    def empty(cls, path: Path) -> AuthFile:
        """A file that is not there yet."""
        return cls(path, Document(f"the file of logins {path}", {}))

    def login(self, registry: str, repository: str) -> Credential | None:
        """The login of the entry that fits best: one for the repository or a part of its path, then the registry's.

        Raises UsageError for an entry that cannot be understood.
        """
        with _plain(self.path):
            entries = self.entries()
            for wanted in keys_for(registry, repository):
                for key in (wanted, *(key for key in entries if server_of(key) == wanted)):
                    login = self._credential(key, entries.get(key))
                    if login is not None:
                        return login
        return None

    def keys(self, key: str) -> tuple[str, ...]:
        """The keys under which there is an entry for the server or path `key`, however they are written."""
        with _plain(self.path):
            return tuple(found for found in self.entries() if found == key or server_of(found) == key)

    def helper(self, registry: str) -> str | None:
        """The name of the helper that keeps a registry's login: its own, else the one for all."""
        with _plain(self.path):
            own = dict(self.document.pairs("credHelpers")) if not self.legacy else {}
            for key, name in own.items():
                if server_of(key) == registry and name:
                    return name
            return (self.document.text("credsStore") or None) if not self.legacy else None

    def entries(self) -> Mapping[str, object]:
        """All entries by their keys, as they are written."""
        inner = self.document if self.legacy else self.document.inner("auths")
        return inner.fields if inner is not None else {}

    def _credential(self, key: str, value: object) -> Credential | None:
        if value is None:
            return None
        if not isinstance(value, dict):
            raise ImageError(f"the entry for {key[:100]!r} is not an object")
        entry = Document(f"the entry for {key[:100]!r}", value)
        username, password = entry.text("username"), entry.text("password")
        if entry.text("auth"):
            username, password = _decoded(entry)
        token = entry.text("identitytoken")
        return Credential(username, password, token) if token or (username and password) else None


def keys_for(registry: str, repository: str) -> Iterator[str]:
    """What entries for a repository may be called, the narrowest first: HOST/a/b, HOST/a, HOST."""
    parts = [registry, *repository.split("/")] if repository else [registry]
    for count in range(len(parts), 0, -1):
        yield "/".join(parts[:count])


def server_of(key: str) -> str:
    """The registry that a key means: `https://HOST/v1/` is HOST, and Docker Hub's many names are docker.io."""
    name = key
    for scheme in ("https://", "http://"):
        if key.startswith(scheme):
            name = key.removeprefix(scheme).partition("/")[0]
    server, slash, path = name.partition("/")
    host = canonical_host(server)
    if host in _HUB_NAMES:
        return _HUB if path.strip("/") in ("", "v1", "v2") else f"{_HUB}/{path}"
    return f"{host}/{path}" if slash and path.strip("/") not in ("", "v1", "v2") else host


def entry_of(login: Credential) -> dict[str, str]:
    """An entry as docker and podman write it."""
    entry = {"auth": base64.b64encode(f"{login.username}:{login.password}".encode()).decode("ascii")}
    return {**entry, "identitytoken": login.identity_token} if login.identity_token else entry


def encoded(fields: Mapping[str, object]) -> bytes:
    """A file's content, indented as docker and podman have it."""
    return json.dumps(fields, indent="\t", ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"


def _decoded(entry: Document) -> tuple[str, str]:
    try:
        text = base64.b64decode(entry.text("auth").encode("ascii"), validate=True).decode("utf-8")
    except (ValueError, binascii.Error) as error:
        raise ImageError(f"'auth' of {entry.what} is not base64") from error
    username, colon, password = text.partition(":")
    if not colon:
        raise ImageError(f"'auth' of {entry.what} is not NAME:PASSWORD in base64")
    return username, password.rstrip("\0")  # docker once padded them


class _plain:  # noqa: N801 - used as a context manager, reads like one
    """What is wrong with a document, as an error of the command line that names the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ImageError):
            where = f"the file of logins {self._path}"
            message = error.message if where in error.message else f"{where} is not valid: {error.message}"
            raise UsageError(message, hint="mend it, or move it away and log in anew") from error


def _content(path: Path) -> bytes | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                # `--authfile /dev/null` and `<(…)` are common in scripts.
                os.set_blocking(fd, True)
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise UsageError(
            f"the file of logins {path} cannot be read: {error.strerror}", hint="make it readable for you, or remove it"
        ) from error
    return data

"""Logins written down and taken away, where docker and podman find them; and asked for at the registry first.

A file is changed under a lock, replaced whole, and only readable by its owner. What else is in it stays as it is.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from builder.errors import ImageError, StoreError, UsageError
from builder.oci.authfile import HUB_KEY, AuthFile, encoded, entry_of
from builder.oci.helper import Helper
from builder.oci.hosts import origin, registry_url
from builder.oci.place import sync_directory, temporary_beside
from builder.oci.probe import base_url
from builder.oci.tokens import Purpose, Tokens, withheld_hint
from builder.oci.transport import Http, Patience
from builder.store.files import write_synced
from builder.values.access import Access, Credential
from builder.values.reference import DEFAULT_REGISTRY

_DOCKERS = "config.json"


def check_login(registry: str, repository: str, access: Access, patience: Patience | None = None) -> bool:
    """Ask a registry whether it takes the login that `access.keyring` gives; False where it wants none at all.

    Raises ImageError where it is refused, or is no registry (OCI distribution-spec 1.1, end-1: GET /v2/).
    """
    http = Http(access, patience or Patience(), origin(registry_url(registry)))
    base = base_url(registry, http, access.trust)
    tokens = Tokens(http, base, access, Purpose(registry, repository, ()))
    response = http.get(f"{base}/v2/", {}, {})
    wanted = response.status_code == 401
    if wanted:
        response.close()
        sent = tokens.renewed({}, response)
        response = http.get(f"{base}/v2/", {}, sent)
    response.close()
    if response.status_code == 200:
        return wanted
    if tokens.withheld:
        raise ImageError(f"{registry} cannot be logged in to", hint=withheld_hint(tokens.withheld, registry))
    if response.status_code in (401, 403):
        raise ImageError(
            f"{registry} refuses the login ({response.status_code})", hint="check the user name and the password"
        )
    raise ImageError(f"{registry} answers {response.status_code} where a registry says hello", hint="is it a registry?")


def store_login(path: Path, key: str, login: Credential, environment: Mapping[str, str]) -> str:
    """Keep a login for a registry, or HOST/PATH, in the file, or with the helper that the file names for it.

    Gives where it is now, for people. Raises UsageError, StoreError.
    """
    with _changing(path) as file:
        name = file.helper(key.partition("/")[0])
        if name is not None:
            Helper(name, str(path), environment).store(_helpers_name(key), login)
            return f"docker-credential-{name}"
        entries = file.entries()
        # One that is there already is replaced under the name it has; docker knows its hub by no other.
        known = file.keys(key) or ((HUB_KEY,) if key == DEFAULT_REGISTRY and path.name == _DOCKERS else (key,))
        _write(path, {**file.document.fields, "auths": {**entries, **dict.fromkeys(known, entry_of(login))}})
    return str(path)


def remove_login(path: Path, key: str, environment: Mapping[str, str]) -> bool:
    """Forget the login for a registry, or HOST/PATH; whether there was one. Raises UsageError, StoreError."""
    if not path.exists():
        return False
    with _changing(path) as file:
        name = file.helper(key.partition("/")[0])
        erased = name is not None and Helper(name, str(path), environment).erase(_helpers_name(key))
        known, entries = file.keys(key), file.entries()
        if known:
            left = {name: entry for name, entry in entries.items() if name not in known}
            _write(path, {**file.document.fields, "auths": left})
    return erased or bool(known)


def remove_all_logins(path: Path, environment: Mapping[str, str]) -> int:
    """Forget all logins of a file, and those of the helpers that it names for registries; how many there were."""
    if not path.exists():
        return 0
    with _changing(path) as file:
        entries = file.entries()
        helpers = dict(file.document.pairs("credHelpers"))
        store = file.document.text("credsStore")
        asked = [(name, key) for key, name in helpers.items()] + ([(store, key) for key in entries] if store else [])
        erased = sum(Helper(name, str(path), environment).erase(_helpers_name(key)) for name, key in asked)
        if entries:
            _write(path, {**file.document.fields, "auths": {}})
    return len(entries) + (erased if not store else 0)


def _helpers_name(key: str) -> str:
    return HUB_KEY if key == DEFAULT_REGISTRY else key


@contextmanager
def _changing(path: Path) -> Iterator[AuthFile]:
    """The file as it is, or as an empty one, while nobody else (of ours) changes it.

    The lock is on the directory, so that no file is left behind; docker and podman take none.
    """
    path = Path(os.path.realpath(path))  # a link stays one
    if path.exists() and not path.is_file():  # /dev/null must stay what it is
        raise UsageError(f"the file of logins {path} is not a regular file", hint="choose another with --authfile")
    with _plain(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with _plain(path):
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield AuthFile.read(path) or AuthFile.empty(path)
    finally:
        os.close(fd)


def _write(path: Path, fields: Mapping[str, object]) -> None:
    path = Path(os.path.realpath(path))
    temporary = temporary_beside(path)
    with _plain(path):
        try:
            write_synced(temporary, encoded(fields))  # readable by its owner alone from its first moment on
            os.rename(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)


@contextmanager
def _plain(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(f"no space left to write {path}", hint="free some room there") from error
        raise StoreError(
            f"the file of logins {path} cannot be written: {error.strerror}", hint="choose another with --authfile"
        ) from error

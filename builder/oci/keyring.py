"""Where logins are found: in the files of docker and podman and the helpers they name, or in what the command line
says.

Nothing is opened before a registry wants a login: most pulls never need one, and a cached build does not even import
what could read them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from builder.errors import UsageError
from builder.values.access import Credential
from builder.values.reference import DEFAULT_REGISTRY

FILES = "containers-auth.json"
"""How `credential-helpers` of registries.conf names the files among the helpers."""

if TYPE_CHECKING:
    from builder.oci.authfile import AuthFile
    from builder.oci.helper import Helper


class AuthFiles:
    """The logins of several files; the first that has one for a registry counts.

    A `named` file must be there. `environment` is what helpers are run with. `keepers` gives who is asked, in order:
    helpers for every registry, and the files as `FILES`; it is called when a login is wanted.
    """

    def __init__(
        self,
        paths: Iterable[Path],
        environment: Mapping[str, str],
        named: Path | None = None,
        keepers: Callable[[], tuple[str, ...]] = lambda: (FILES,),
    ) -> None:
        self._paths = (named,) if named is not None else tuple(paths)
        self._named = named
        self._environment = environment
        self._keepers = keepers
        self._files: tuple[AuthFile, ...] | None = None
        self._lock = threading.Lock()

    def find(self, registry: str, repository: str) -> Credential | None:
        """The login for a registry or a part of it, or None.

        Raises UsageError for a file or helper that cannot be used, ImageError for a broken registries.conf.
        """
        from builder.oci.helper import Helper

        for keeper in self._keepers():
            if keeper == FILES:
                login = self._filed(registry, repository)
            else:
                login = helped(Helper(keeper, "registries.conf", self._environment), registry)
            if login is not None:
                return login
        return None

    def _filed(self, registry: str, repository: str) -> Credential | None:
        from builder.oci.helper import Helper

        for file in self._read():
            helper = file.helper(registry)
            if helper is not None:
                login = helped(Helper(helper, str(file.path), self._environment), registry)
                if login is not None:
                    return login
            login = file.login(registry, repository)
            if login is not None:
                return login
        return None

    def _read(self) -> tuple[AuthFile, ...]:
        from builder.oci.authfile import AuthFile

        with self._lock:
            if self._files is None:
                found = tuple(AuthFile.read(path) for path in self._paths)
                if self._named is not None and None in found:
                    raise UsageError(
                        f"the file of logins {self._named} does not exist",
                        hint="--authfile and REGISTRY_AUTH_FILE name one; `pybuild login` makes it",
                    )
                self._files = tuple(file for file in found if file is not None)
            return self._files


def helped(helper: Helper, registry: str) -> Credential | None:
    """What a helper keeps for a registry; docker.io under the name that docker gives it, or under its own."""
    from builder.oci.authfile import HUB_KEY

    names = (HUB_KEY, registry) if registry == DEFAULT_REGISTRY else (registry, f"https://{registry}")
    for name in names:
        login = helper.find(name)
        if login is not None:
            return login
    return None


class OneLogin:
    """A login that the command line gives. It is for `registries`; where none are known, for the first that asks, and
    for that one only: a login never wanders from one registry to the next.
    """

    def __init__(self, login: Credential, registries: Iterable[str] = ()) -> None:
        self._login = login
        self._registries = frozenset(registries)
        self._lock = threading.Lock()

    def find(self, registry: str, repository: str) -> Credential | None:  # noqa: ARG002 - the protocol's signature
        """The login where it is for that registry, else None."""
        with self._lock:
            if not self._registries:
                self._registries = frozenset((registry,))
            return self._login if registry in self._registries else None

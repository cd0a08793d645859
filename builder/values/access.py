"""How registries are reached, as one value: proxies, logins, what is trusted, and where names lead. Nothing is read or
asked here; the front door puts it together once and hands it down.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from builder.declare import dataclass, field

if TYPE_CHECKING:
    from builder.values.reference import Reference
    from builder.values.registries import Endpoint, Rules


@dataclass(frozen=True, slots=True)
class Credential:
    """A login at one registry: a name and a password, or an identity token (which a token service takes instead).

    Never shown: neither by repr nor in any message.
    """

    username: str
    password: str = ""
    identity_token: str = ""

    def __repr__(self) -> str:
        return "Credential(...)"


class Keyring(Protocol):
    """Where logins are found."""

    def find(self, registry: str, repository: str) -> Credential | None:
        """The login for a registry (`host[:port]`, as in a Reference), or one that is only for a part of its
        repositories; None where there is none. Raises UsageError for a file or helper that cannot be used."""


@dataclass(frozen=True, slots=True)
class NoKeys:
    """A keyring that holds nothing: everybody is anonymous."""

    def find(self, registry: str, repository: str) -> Credential | None:  # noqa: ARG002 - the protocol's signature
        """None."""
        return None


@dataclass(frozen=True, slots=True)
class Trust:
    """Which servers are believed.

    `insecure` are hosts (`host[:port]`) that may speak plain http or show a certificate nobody vouches for, because
    somebody asked for it; `cert_dir` holds CAs and client certificates for the registries of this command;
    `cert_folders` are folders that hold such a directory for each registry (`/etc/docker/certs.d`), the first wins.
    `roots_file` and `roots_dir` (SSL_CERT_FILE, SSL_CERT_DIR) replace the system's CAs where either is given.
    """

    insecure: tuple[str, ...] = ()
    cert_dir: Path | None = None
    cert_folders: tuple[Path, ...] = ()
    roots_file: Path | None = None
    roots_dir: Path | None = None

    @property
    def roots(self) -> Trust:
        """Whom we believe of all servers, without what is said of registries."""
        return Trust(roots_file=self.roots_file, roots_dir=self.roots_dir)


class Clock:
    """When the first transfer of a command began; who reads the time gives it."""

    __slots__ = ("_started_s",)

    def __init__(self) -> None:
        self._started_s: float | None = None

    def started_s(self, now_s: float) -> float:
        """The moment of the first call, on the caller's clock."""
        if self._started_s is None:
            self._started_s = now_s
        return self._started_s


class LateRules:
    """Rules that are put together at the first question: a cached build asks none, and loads nothing for them."""

    __slots__ = ("_known", "_make")

    def __init__(self, make: Callable[[], Rules]) -> None:
        self._make = make
        self._known: Rules | None = None

    def candidates(self, text: str) -> tuple[Reference, ...]:
        """See `registries.Rules`."""
        return self._rules().candidates(text)

    def endpoints(self, reference: Reference) -> tuple[Endpoint, ...]:
        """See `registries.Rules`."""
        return self._rules().endpoints(reference)

    def blocked(self, reference: Reference) -> str | None:
        """See `registries.Rules`."""
        return self._rules().blocked(reference)

    def _rules(self) -> Rules:
        if self._known is None:
            self._known = self._make()
        return self._known


def _plain_rules() -> Rules:
    from builder.values.registries import RegistryRules

    return RegistryRules()


_PLAIN = LateRules(_plain_rules)


@dataclass(frozen=True, slots=True)
class Access:
    """All that a request to a registry depends on besides the request. `proxies` are HTTP_PROXY and its kind, by any of
    their names; `total_s` bounds the time of all transfers of one command in seconds, from the first one on, 0 for no
    bound of that kind. A changed copy (`dataclasses.replace`) has the same clock. With `anonymous_first` a registry is
    only told a login after it has refused us as nobody: nobody said for which registry the login is.
    """

    proxies: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)  # may hold passwords
    keyring: Keyring = field(default_factory=NoKeys)
    trust: Trust = field(default_factory=Trust)
    rules: Rules = _PLAIN
    total_s: float = 0.0
    anonymous_first: bool = False
    clock: Clock = field(default_factory=Clock, repr=False, compare=False)

    def ends_s(self, now_s: float) -> float:
        """When all transfers must be over, on the clock of `now_s`; infinite where there is no bound."""
        return self.clock.started_s(now_s) + self.total_s if self.total_s > 0 else math.inf

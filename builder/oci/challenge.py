"""What a server that refuses us wants: the WWW-Authenticate header, and the scopes that a token is asked for. Pure.

Sources: RFC 9110, 11.6.1 (several challenges may stand in one header); the CNCF Distribution token specification.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from builder.declare import dataclass

_LIMIT = 8192
_NAME = r"[A-Za-z][A-Za-z0-9_.+-]*"
_PART = re.compile(rf'({_NAME})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))|({_NAME})')


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way in: its scheme in lower case, and the parameters that matter, "" where they are not there."""

    scheme: str
    realm: str = ""
    service: str = ""
    scopes: tuple[str, ...] = ()


def read_challenges(header: str) -> tuple[Challenge, ...]:
    """The challenges of a WWW-Authenticate header, in their order; what cannot be understood is left out."""
    found: list[tuple[str, dict[str, str]]] = []
    for name, quoted, plain, scheme in _PART.findall(header[:_LIMIT]):
        if scheme:
            found.append((scheme.lower(), {}))
        elif found:
            found[-1][1].setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) or plain)
    return tuple(_challenge(scheme, parameters) for scheme, parameters in found)


def _challenge(scheme: str, parameters: Mapping[str, str]) -> Challenge:
    scopes = tuple(parameters.get("scope", "").split())
    return Challenge(scheme, parameters.get("realm", ""), parameters.get("service", ""), scopes)


def scopes_of(wanted: Iterable[str]) -> tuple[str, ...]:
    """Scopes with those for the same resource made one: `…:a:pull` and `…:a:pull,push` are `…:a:pull,push`."""
    merged: dict[str, dict[str, None]] = {}
    for scope in wanted:
        resource, colon, actions = scope.rpartition(":")
        if colon:
            merged.setdefault(resource, {}).update(dict.fromkeys(actions.split(",")))
    return tuple(f"{resource}:{','.join(actions)}" for resource, actions in merged.items())

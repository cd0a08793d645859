"""What names of images mean and where they are asked for, as values: short names, mirrors, other locations, and what is
blocked. Reading the files that say so is `oci/registries_conf`'s.

Source: containers-registries.conf(5), version 2.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Protocol

from builder.declare import dataclass, replace
from builder.errors import ImageError
from builder.values.reference import DEFAULT_REGISTRY, Reference, canonical_host
from builder.values.shortnames import at_registry, is_short, parsed, short_name

_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?\Z")


class PullFrom(StrEnum):
    """For which references a mirror is asked (`pull-from-mirror`)."""

    ALL = "all"
    DIGEST_ONLY = "digest-only"
    TAG_ONLY = "tag-only"


@dataclass(frozen=True, slots=True)
class Mirror:
    """A stand-in for all that a rule's prefix covers: `host[:port][/path]`."""

    location: str
    insecure: bool = False
    pull_from: PullFrom = PullFrom.ALL


@dataclass(frozen=True, slots=True)
class RegistryRule:
    """One `[[registry]]`: what begins with `prefix` lies at `location` ("": where the name itself says).

    `origin` is the file that says so, for messages.
    """

    prefix: str
    location: str = ""
    insecure: bool = False
    blocked: bool = False
    mirrors: tuple[Mirror, ...] = ()
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A place to ask: the reference as that place knows it, whether http or any certificate will do there, and whether
    it only stands in for the registry that the name means.
    """

    reference: Reference
    insecure: bool = False
    is_mirror: bool = False


class Rules(Protocol):
    """What names mean. Every method may raise ImageError for files that cannot be understood."""

    def candidates(self, text: str) -> tuple[Reference, ...]:
        """What a name may mean, the first choice first; at least one. Raises ImageError for what is no name."""

    def endpoints(self, reference: Reference) -> tuple[Endpoint, ...]:
        """Where to ask for an image, in order: mirrors, then its registry. Never for pushes."""

    def blocked(self, reference: Reference) -> str | None:
        """Who forbids to pull this image (a file), or None."""


@dataclass(frozen=True, slots=True)
class RegistryRules:
    """The rules in force; without any, every name means what docker takes it for.

    `search` are registries for names without one, in order; `aliases` pairs of a short name and what it stands for.
    With `enforcing` a short name that several registries may have is refused. `helpers` are the programs that keep
    logins for all registries, in order, and among them the files of logins as containers-auth.json.
    """

    search: tuple[str, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    rules: tuple[RegistryRule, ...] = ()
    enforcing: bool = False
    helpers: tuple[str, ...] = ()

    def candidates(self, text: str) -> tuple[Reference, ...]:
        """What a name may mean, in order: itself where it names a registry; else its alias; else the name at each of
        the search registries; else at Docker Hub. Raises ImageError.
        """
        reference = parsed(text)
        if not is_short(text):
            return (reference,)
        name = short_name(text)
        alias = dict(self.aliases).get(name)
        if alias:
            return (replace(parsed(alias), tag=reference.tag, digest=reference.digest),)
        if len(self.search) > 1 and self.enforcing:
            raise ImageError(
                f"{text} may mean an image of any of {', '.join(self.search)}",
                hint="name the registry too: registries.conf says short-name-mode = enforcing",
            )
        return tuple(at_registry(registry, name, reference) for registry in self.search) or (reference,)

    def endpoints(self, reference: Reference) -> tuple[Endpoint, ...]:
        """Where to ask for an image, in order: the mirrors of the rule whose prefix is the longest, then the place
        where that rule (or the name) says the image lies. Raises ImageError for a rule that leads to no name.
        """
        rule = self.rule_for(reference)
        if rule is None:
            return (Endpoint(reference),)
        mirrors = tuple(
            Endpoint(moved(reference, rule.prefix, mirror.location), mirror.insecure, is_mirror=True)
            for mirror in rule.mirrors
            if mirror.pull_from in (PullFrom.ALL, _kind(reference))
        )
        itself = moved(reference, rule.prefix, rule.location) if rule.location else reference
        return (*mirrors, Endpoint(itself, rule.insecure))

    def blocked(self, reference: Reference) -> str | None:
        """Who forbids to pull this image (a file), or None. The usual port in a name does not lead around a rule."""
        for name in (reference, replace(reference, registry=reference.registry.removesuffix(":443"))):
            rule = self.rule_for(name)
            if rule is not None and rule.blocked:
                return rule.origin or "a rule"
        return None

    def rule_for(self, reference: Reference) -> RegistryRule | None:
        """The rule with the longest prefix of those that match."""
        matching = [rule for rule in self.rules if match_length(str(reference), rule.prefix) is not None]
        return max(matching, key=lambda rule: len(rule.prefix), default=None)


def match_length(name: str, prefix: str) -> int | None:
    """How much of a full name (`host[:port]/repository[:tag][@digest]`) a prefix covers; None where it does not match.

    A prefix ends where a part of the name ends. `*.example.com` covers the host of any name below that domain. A prefix
    that is a host without a port covers no port but the default one (containers/image lets it, and says that it should
    not be relied on).
    """
    host = name.partition("/")[0]
    server, slash, path = prefix.partition("/")
    prefix = canonical_host(server) + slash + path
    if prefix.startswith("*."):
        return len(host) if host.partition(":")[0].endswith(prefix[1:]) else None
    if not name.startswith(prefix):
        return None
    if len(name) == len(prefix):
        return len(prefix)
    if "/" not in prefix and len(prefix) < len(host):
        return None
    return len(prefix) if name[len(prefix)] in ":/@" else None


def moved(reference: Reference, prefix: str, location: str) -> Reference:
    """The reference with the part that `prefix` covers replaced by `location`. Raises ImageError."""
    name = str(reference)
    covered = match_length(name, prefix) or 0
    text = location + name[covered:]
    host, slash, rest = text.partition("/")
    if not slash or not _HOST.match(host):
        raise ImageError(f"{reference.familiar} would lie at {text!r}, which names no registry and repository")
    if host in (DEFAULT_REGISTRY, "index.docker.io"):
        return parsed(text)
    # A host may be a bare word here, as in `location = "mirror"`: it is never taken for a part of a repository.
    return replace(parsed(f"localhost/{rest}"), registry=host)


def _kind(reference: Reference) -> PullFrom:
    return PullFrom.TAG_ONLY if reference.digest is None else PullFrom.DIGEST_ONLY

"""Names of images, as docker reads them: `app`, `app:1`, `host:5000/a/b:tag@sha256:…`.

Source: distribution/reference, the grammar in its package comment; familiar names resolve to docker.io/library.
"""

from __future__ import annotations

from builder.declare import dataclass
from builder.pattern import pattern
from builder.values.digest import Digest

_COMPONENT = pattern(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*\Z")
_HOST = pattern(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?\Z")
_TAG = pattern(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_PORTS = range(1, 1 << 16)
DEFAULT_REGISTRY = "docker.io"


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A registry host, a repository in it, and a tag or a digest (or both; the digest then decides)."""

    registry: str
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a name; without tag and digest the tag is `latest`. Raises ValueError with what is wrong."""
        rest, at, digest_text = text.partition("@")
        digest = Digest.parse(digest_text) if at else None
        rest, tag = _split_tag(rest)
        if tag is not None and not _TAG.match(tag):
            raise ValueError(f"invalid tag {tag[:100]!r} in {text[:200]!r}")
        registry, repository = _split_registry(rest)
        if not _HOST.match(registry) or not _can_be_reached(registry):
            raise ValueError(f"invalid registry host {registry[:100]!r} in {text[:200]!r}")
        if not repository or len(repository) > 255:
            raise ValueError(f"invalid image name {text[:200]!r}")
        for part in repository.split("/"):
            if not _COMPONENT.match(part):
                if not part:
                    raise ValueError(f"invalid image name {text[:200]!r}: a part of it is empty")
                hint = " (names are lower case)" if part != part.lower() else ""
                raise ValueError(f"invalid image name {text[:200]!r}: {part[:100]!r} is not allowed{hint}")
        if tag is None and digest is None:
            tag = "latest"
        return cls(registry, repository, tag, digest)

    @property
    def familiar(self) -> str:
        """The name as people write it: without docker.io/library/."""
        name = f"{self.registry}/{self.repository}"
        name = name.removeprefix("docker.io/library/").removeprefix("docker.io/")
        return name + self._suffix()

    @property
    def is_bare(self) -> bool:
        """Whether it is written without a registry and a folder, as app:1: good in a store, and nowhere to push to."""
        return self.registry == DEFAULT_REGISTRY and self.repository.startswith("library/")

    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def __str__(self) -> str:
        return f"{self.registry}/{self.repository}{self._suffix()}"


def _can_be_reached(registry: str) -> bool:
    """Whether port and address, where there are any, are possible ones."""
    address, _, rest = registry.rpartition("]")
    if address:
        import ipaddress  # few names need it

        try:
            ipaddress.IPv6Address(address[1:])
        except ValueError:
            return False
    return int(rest.partition(":")[2] or "1") in _PORTS


def _split_tag(text: str) -> tuple[str, str | None]:
    head, colon, tail = text.rpartition(":")
    if colon and "/" not in tail:
        return head, tail
    return text, None


def _split_registry(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        host = canonical_host(first)
        if host in ("docker.io", "index.docker.io"):
            return DEFAULT_REGISTRY, rest if "/" in rest else f"library/{rest}"
        return host, rest
    return DEFAULT_REGISTRY, name if slash else f"library/{name}"


def canonical_host(host: str) -> str:
    """A host in small letters, as which it is the same: what is said of one spelling (a login, a block) is said of all.

    A bare word stays: `Host/app` is only known to name a registry by its capital.
    """
    return host.lower() if "." in host or ":" in host else host

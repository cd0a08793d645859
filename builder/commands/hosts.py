"""`--allow-host` as written → patterns of hosts."""

from __future__ import annotations

from builder.commands.arguments import bad
from builder.errors import UsageError
from builder.values.hosts import HostPattern
from builder.values.ladder import NetworkMode


def read_allowed_hosts(words: tuple[str, ...], network: NetworkMode) -> tuple[HostPattern, ...]:
    """The patterns, each once. Raises UsageError for one that is none, and where nothing would heed them."""
    if network is not NetworkMode.PROXY:
        raise UsageError(
            "--allow-host: only the network `proxy` looks at what steps talk to", hint="add --network proxy"
        )
    return tuple(dict.fromkeys(_pattern(word) for word in words))


def _pattern(word: str) -> HostPattern:
    try:
        return HostPattern.parse(word)
    except ValueError as error:
        raise bad(
            "--allow-host", f"{word[:200]!r} is no pattern: {error}", "--allow-host example.org:443 or *.example.org"
        ) from None

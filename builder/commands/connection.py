"""How registries are reached: the options of the command line and the environment, put together as one `Access`."""

from __future__ import annotations

from dataclasses import dataclass

from builder.commands.arguments import proxies_of
from builder.commands.caller import Caller
from builder.commands.line import Line
from builder.values.access import Access


@dataclass(frozen=True, slots=True)
class Connection:
    """The options of `options.CONNECTION` as written."""

    creds: str | None = None
    authfile: str | None = None
    cert_dir: str | None = None
    insecure_registry: tuple[str, ...] = ()

    @classmethod
    def of(cls, line: Line) -> Connection:
        """Those of a command's line."""
        return cls(line.text("creds"), line.text("authfile"), line.text("cert_dir"), line.texts("insecure_registry"))


def access_of(connection: Connection, caller: Caller) -> Access:  # noqa: ARG001 - filled in as registries learn logins
    """The way to registries. Raises UsageError for options, files or variables that cannot be understood."""
    return Access(proxies=dict(proxies_of(caller.environment)))

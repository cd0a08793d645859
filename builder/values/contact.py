"""What a step talked to through the proxy of `--network=proxy`."""

from __future__ import annotations

from builder.declare import dataclass, replace


@dataclass(frozen=True, slots=True)
class Contact:
    """A host that was asked for, `count` times. `path` is what plain http asked for, without its query.

    Bytes are those of requests and answers with their heads, or of what went through a tunnel. `refusal` is empty
    where the step was let through; `failure` where an answer came.
    """

    method: str
    host: str
    port: int
    path: str = ""
    refusal: str = ""
    failure: str = ""
    sent_bytes: int = 0
    received_bytes: int = 0
    count: int = 1

    @property
    def target(self) -> str:
        """Host and port (and path) as people write them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}{self.path}"

    @property
    def key(self) -> tuple[str, str, int, str, str, str]:
        """What contacts have in common that are counted as one."""
        return (self.method, self.host, self.port, self.path, self.refusal, self.failure)

    def plus(self, other: Contact) -> Contact:
        """Both as one."""
        return replace(
            self,
            sent_bytes=self.sent_bytes + other.sent_bytes,
            received_bytes=self.received_bytes + other.received_bytes,
            count=self.count + other.count,
        )


@dataclass(frozen=True, slots=True)
class Contacts:
    """All that a step talked to, in the order in which it first did; `more` contacts were not kept."""

    kept: tuple[Contact, ...] = ()
    more: int = 0

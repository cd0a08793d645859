"""The value of `RUN --mount=`: keys and values separated by commas, read into a request.

What is behind it is not known here. Source: the Dockerfile reference, "RUN --mount"; BuildKit's frontend for defaults
and for what is an error. Keys may come in any order (BuildKit wants `type` before `required` and `size`).
"""

from __future__ import annotations

from collections.abc import Callable
from posixpath import basename, normpath
from typing import TypeVar

from builder.declare import dataclass
from builder.errors import BuildfileError
from builder.lang.letters import clipped
from builder.lang.quantities import identity, mode, size_bytes, truth
from builder.lang.suggest import did_you_mean
from builder.values.mount import (
    BindRequest,
    CacheRequest,
    MountRequest,
    SecretRequest,
    Sharing,
    SshRequest,
    TmpfsRequest,
)

_T = TypeVar("_T")

_SYNONYMS = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly", "rw": "readwrite"}
_KEYS_OF = {
    "bind": frozenset(("from", "source", "target", "readonly", "readwrite", "id", "env")),
    "cache": frozenset(
        ("from", "source", "target", "readonly", "readwrite", "id", "sharing", "mode", "uid", "gid", "env")
    ),
    "tmpfs": frozenset(("from", "source", "target", "readonly", "readwrite", "id", "size", "env")),
    "secret": frozenset(("source", "target", "readonly", "readwrite", "id", "required", "mode", "uid", "gid", "env")),
    "ssh": frozenset(("from", "target", "readonly", "readwrite", "id", "required", "mode", "uid", "gid", "env")),
}
_KEYS = frozenset().union(*_KEYS_OF.values()) | {"type"}
_SWITCHES = ("readonly", "readwrite", "required")


def _same(value: str) -> str:
    return value


def parse_mount(text: str, expand_value: Callable[[str], str] = _same) -> MountRequest:
    """Read a mount. `expand_value` replaces the variables of each value, after the text is cut at its commas.

    Raises BuildfileError (without a span) that names the key at fault.
    """
    fields = _Fields({}, text)
    for part in _csv_fields(text):
        fields.add(part, expand_value)
    return fields.request()


def check_mount(text: str) -> None:
    """What can be said against a mount before variables have values. Raises BuildfileError without a span."""
    for part in _csv_fields(text):
        key, _, value = part.partition("=")
        if key.lower() == "from" and "$" in value[:-1]:
            raise BuildfileError(
                f"'from' of a mount doesn't support variable expansion: {clipped(value)}",
                hint="make a stage with FROM and an ARG before the first FROM, and mount from that stage",
            )


@dataclass(frozen=True, slots=True)
class _Fields:
    """The keys given, under their long names."""

    given: dict[str, str]
    text: str

    def add(self, part: str, expand_value: Callable[[str], str]) -> None:
        key, separator, value = part.partition("=")
        name = _SYNONYMS.get(key.lower(), key.lower())
        if name not in _KEYS:
            everything = sorted(_KEYS | _SYNONYMS.keys())
            hint = did_you_mean(key, everything, f"keys are {', '.join(everything)}")
            raise BuildfileError(f"unexpected key {clipped(key)} in the mount {clipped(self.text)}", hint=hint)
        if not separator and name not in _SWITCHES:
            raise BuildfileError(f"{key} of a mount needs a value: {key}=…")
        self.given.pop(name, None)  # so that the order is that of the last mention
        self.given[name] = expand_value(value) if separator else "true"

    def request(self) -> MountRequest:
        kind = self.given.get("type", "bind").lower()
        if kind not in _KEYS_OF:
            hint = did_you_mean(kind, _KEYS_OF, f"types are {', '.join(_KEYS_OF)}")
            raise BuildfileError(f"unsupported mount type {clipped(kind)}", hint=hint)
        for key in self.given:
            if key not in _KEYS_OF[kind] and key != "type":
                hint = f"a {kind} mount takes {', '.join(sorted(_KEYS_OF[kind]))}"
                raise BuildfileError(f"unexpected key {key!r} for mount type {kind!r}", hint=hint)
        makers: dict[str, Callable[[], MountRequest]] = {
            "bind": self.bind,
            "cache": self.cache,
            "tmpfs": self.tmpfs,
            "secret": self.secret,
            "ssh": self.ssh,
        }
        return makers[kind]()

    def bind(self) -> BindRequest:
        return BindRequest(self.target(), self.get("source") or "/", self.get("from"), not self.read_only(default=True))

    def cache(self) -> CacheRequest:
        target = self.target()
        return CacheRequest(
            target,
            self.get("id") or normpath(target),
            self.sharing(),
            self.read_only(default=False),
            self.get("from"),
            self.get("source") or "/",
            mode=self.number("mode", mode, 0o755),
            uid=self.number("uid", identity, 0),
            gid=self.number("gid", identity, 0),
        )

    def tmpfs(self) -> TmpfsRequest:
        return TmpfsRequest(self.target(), self.number("size", size_bytes, 0), self.read_only(default=False))

    def secret(self) -> SecretRequest:
        if self.get("source") and self.get("id"):
            raise BuildfileError("a secret mount takes either id or source, not both")
        target, env = self.get("target"), self.given.get("env")
        id_ = self.get("source") or self.get("id") or basename(normpath(target or ""))
        if id_ in ("", ".", "/"):
            raise BuildfileError("a secret mount needs an id or a target", hint="write --mount=type=secret,id=NAME")
        if target is None and env is None:
            target = f"/run/secrets/{basename(id_)}"
        return SecretRequest(
            id_,
            target,
            id_ if env == "" else env,
            self.switch("required"),
            mode=self.number("mode", mode, 0o400),
            uid=self.number("uid", identity, 0),
            gid=self.number("gid", identity, 0),
        )

    def ssh(self) -> SshRequest:
        return SshRequest(
            self.get("id") or "default",
            self.get("target"),
            self.switch("required"),
            mode=self.number("mode", mode, 0o600),
            uid=self.number("uid", identity, 0),
            gid=self.number("gid", identity, 0),
        )

    def get(self, key: str) -> str | None:
        return self.given.get(key) or None

    def target(self) -> str:
        """Where the mount appears; without a target that is the working directory, as in BuildKit."""
        target = self.get("target") or "."
        if target.startswith("/") and not normpath(target).strip("/"):
            raise BuildfileError(f"invalid mount target {clipped(target)}", hint="mount below /, not on it")
        return target

    def sharing(self) -> Sharing:
        value = self.given.get("sharing", "shared").lower()
        if value not in tuple(Sharing):
            hint = did_you_mean(value, tuple(Sharing), f"sharing is one of {', '.join(Sharing)}")
            raise BuildfileError(f"unsupported sharing value {clipped(value)}", hint=hint)
        return Sharing(value)

    def read_only(self, default: bool) -> bool:
        """Of readonly and readwrite the one that was given last decides."""
        result = default
        for key in self.given:
            if key in ("readonly", "readwrite"):
                result = self.switch(key) == (key == "readonly")
        return result

    def switch(self, key: str) -> bool:
        return self.number(key, truth, False)

    def number(self, key: str, read: Callable[[str], _T], default: _T) -> _T:
        text = self.given.get(key)
        if text is None:
            return default
        try:
            return read(text)
        except ValueError as error:
            raise BuildfileError(f"{key} of a mount: {error}") from None


def _csv_fields(text: str) -> list[str]:
    """The fields of one line of comma-separated values; a field in double quotes may hold commas. RFC 4180."""
    fields: list[str] = []
    position = 0
    while True:
        field, position = _csv_field(text, position)
        fields.append(field)
        if position >= len(text):
            break
        position += 1  # the comma
        if position == len(text):
            fields.append("")
            break
    if fields == [""]:
        raise BuildfileError("a mount needs a value", hint="write --mount=type=…,target=…")
    return fields


def _csv_field(text: str, position: int) -> tuple[str, int]:
    if not text.startswith('"', position):
        end = text.find(",", position)
        end = len(text) if end < 0 else end
        field = text[position:end]
        if '"' in field:
            raise _bad_quote(text)
        return field, end
    parts: list[str] = []
    while True:
        end = text.find('"', position + 1)
        if end < 0:
            raise _bad_quote(text)
        parts.append(text[position + 1 : end])
        position = end + 1
        if not text.startswith('"', position):
            break
        parts.append('"')
    if position < len(text) and text[position] != ",":
        raise _bad_quote(text)
    return "".join(parts), position


def _bad_quote(text: str) -> BuildfileError:
    return BuildfileError(
        f"a double quote in the wrong place in the mount {clipped(text)}",
        hint='quote whole fields: --mount=type=bind,"source=a,b",target=/x',
    )

"""The keys of the configuration file as one table: where each stands, how its value is written, and how it is read.

A new key is a row here, a field of `values.settings.Settings`, and a row of docs/configuration.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

from builder.declare import dataclass
from builder.lang.quantities import duration_ns, size_bytes
from builder.values.compression import LEVELS, Compression
from builder.values.ladder import NetworkMode
from builder.values.limit_names import BOUNDS, Bound
from builder.values.settings import Mirrors

_MOST_JOBS = 9999


@dataclass(frozen=True, slots=True)
class Place:
    """What a value's meaning depends on beside its text: the folder of its file, and the home directory."""

    folder: Path
    home: Path | None


@dataclass(frozen=True, slots=True)
class Key:
    """`[table] name`; `field` of Settings; `read` raises ValueError with what is wrong; `written` shows a value."""

    table: str
    name: str
    field: str
    read: Callable[[object, Place], object]
    written: str

    @property
    def title(self) -> str:
        """How people call it: `build.network`."""
        return f"{self.table}.{self.name}"


def _path(value: object, place: Place) -> Path:
    text = _text(value)
    if text == "~" or text.startswith("~/"):
        if place.home is None:
            raise ValueError(f"{text!r}: this user has no home directory")
        return place.home / text[2:]
    return place.folder / text


def _paths(value: object, place: Place) -> tuple[Path, ...]:
    return tuple(_path(item, place) for item in _list(value))


def _size(value: object, _: Place) -> int:
    """Bytes, or a text such as 20GB; units are powers of 1024, as docker has them."""
    count = value if isinstance(value, int) and not isinstance(value, bool) else size_bytes(_text(value))
    if not 0 <= count < 1 << 63:
        raise ValueError(f"{value} is no size")
    return count


def _bounded(bound: Bound) -> Callable[[object, Place], int]:
    """What reads a limit of what is taken in."""

    def read(value: object, place: Place) -> int:
        if bound.is_size:
            return bound.check(_size(value, place))
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"{_shown(value)} is not a whole number")
        return bound.check(value)

    return read


def _network(value: object, _: Place) -> NetworkMode:
    return NetworkMode(_one_of(value, ["auto", *(str(mode) for mode in NetworkMode)]))


def _compression(value: object, _: Place) -> Compression:
    return Compression(_one_of(value, [str(kind) for kind in Compression]))


def _level(value: object, _: Place) -> int:
    highest = max(levels.stop for levels in LEVELS.values()) - 1
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= highest:
        raise ValueError(f"{value!r} is not a whole number from 0 to {highest}")
    return value


def _jobs(value: object, _: Place) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST_JOBS:
        raise ValueError(f"{value!r} is not a whole number from 0 to {_MOST_JOBS}")
    return value


def _texts(value: object, _: Place) -> tuple[str, ...]:
    return tuple(_location(item) for item in _list(value))


def _mirrors(value: object, _: Place) -> Mirrors:
    if not isinstance(value, Mapping):
        raise ValueError("it is a table of lists")
    return tuple((_location(name), tuple(_location(item) for item in _list(many))) for name, many in value.items())


def _seconds(value: object, _: Place) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    else:
        seconds = duration_ns(_text(value)) / 1e9
    if not 0 <= seconds < math.inf:
        raise ValueError(f"{value} is no time")
    return seconds


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{_shown(value)} is not a text in quotes")
    if not value or not value.isprintable():
        raise ValueError("the text is empty" if not value else f"{value!r} cannot be shown")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise ValueError(f"{_shown(value)} is not a list in brackets")
    return value


def _one_of(value: object, known: list[str]) -> str:
    text = _text(value)
    if text not in known:
        raise ValueError(f"{text[:100]!r} is none of {', '.join(known)}")
    return text


def _location(value: object) -> str:
    """`host[:port]`, with a path where that is allowed."""
    text = _text(value).rstrip("/")
    if "://" in text or not text or any(letter.isspace() for letter in text):
        raise ValueError(f"{text[:200]!r} is no HOST[:PORT]")
    return text


def _shown(value: object) -> str:
    kinds = {bool: "true or false", int: "a number", float: "a number", dict: "a table", list: "a list", str: "a text"}
    return kinds.get(type(value), "this")


KEYS: tuple[Key, ...] = (
    Key("store", "path", "root", _path, '"/var/tmp/pybuild"'),
    Key("store", "limit", "limit_bytes", _size, '"20GB"'),
    Key("build", "network", "network", _network, '"auto", "none", "host" or "proxy"'),
    Key("build", "compression", "compression", _compression, '"gzip", "zstd" or "none"'),
    Key("build", "compression-level", "compression_level", _level, "3"),
    Key("build", "jobs", "jobs", _jobs, "4"),
    Key("registries", "search", "search", _texts, '["registry.example.com", "docker.io"]'),
    Key("registries", "mirrors", "mirrors", _mirrors, '{"docker.io" = ["mirror.example.com"]}'),
    Key("registries", "insecure", "insecure", _texts, '["registry.example.com:5000"]'),
    Key("registries", "cert-folders", "cert_folders", _paths, '["/etc/docker/certs.d"]'),
    Key("registries", "authfile", "authfile", _path, '"~/.config/containers/auth.json"'),
    Key("registries", "timeout", "timeout_s", _seconds, '"10m" or 600'),
    *(Key("limits", bound.name, bound.field, _bounded(bound), '"64m"' if bound.is_size else "100") for bound in BOUNDS),
)

"""`pybuild config`: every setting in force, and who says so."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from builder.commands.caller import Caller, default_root, read_format
from builder.commands.line import Line
from builder.commands.setting_keys import KEYS
from builder.commands.settings import config_files, rules_of, settings_of
from builder.errors import UsageError
from builder.report.tables import columns
from builder.report.text import printable
from builder.values.settings import Setting, Settings

_NOTHING = {
    "store.limit": "no limit",
    "build.compression-level": "the compression's own",
    "build.jobs": "two for each CPU, at least 4",
    "registries.search": "as registries.conf says, else docker.io",
    "registries.mirrors": "as registries.conf says",
    "registries.authfile": "podman's and docker's",
    "registries.timeout": "no limit",
}
"""What a value that says nothing means; lists say "none"."""

_LEVELS = ("build.compression-level", "build.jobs")
"""Numbers whose 0 is a number like others."""

Json = str | int | float | None | list[str] | dict[str, list[str]]


def run(line: Line, caller: Caller) -> int:
    """Print the settings, and which registries.conf counts beside them. Raises UsageError for a configuration file that
    cannot be understood."""
    as_json = read_format(line.text("format"))
    settings = settings_of(caller)
    also = rules_of(settings, caller).files.all()
    rows = [(key.title, _setting(settings, key.field)) for key in KEYS]
    rows[0] = (rows[0][0], _root(settings, line.text("root"), caller))
    if as_json:
        caller.say([_json(rows, config_files(caller), also)])
    else:
        caller.say(
            [_table(rows), *(["", *(f"What names mean: {printable(str(path))}" for path in also)] if also else [])]
        )
    return 0


def _setting(settings: Settings, field: str) -> Setting[object]:
    setting = getattr(settings, field)
    assert isinstance(setting, Setting)
    return setting


def _root(settings: Settings, option: str | None, caller: Caller) -> Setting[object]:
    """Where the store is, which has a default that depends on the caller."""
    if option:
        return Setting(caller.directory / option, "--root")
    if settings.root.value is not None:
        return Setting(settings.root.value, settings.root.origin)
    try:
        return Setting(default_root(caller))
    except UsageError:
        return Setting("nowhere: this user has no home directory")


def _table(rows: Sequence[tuple[str, Setting[object]]]) -> str:
    head = ("KEY", "VALUE", "FROM")
    cells = [(title, printable(_shown(title, each.value)), printable(each.origin)) for title, each in rows]
    return columns([head, *cells])


def _json(rows: Sequence[tuple[str, Setting[object]]], files: Sequence[Path], also: Sequence[Path]) -> str:
    document = {
        "files": [str(path) for path in files],
        "registriesConf": [str(path) for path in also],
        "settings": {title: {"value": _plain(title, each.value), "from": each.origin} for title, each in rows},
    }
    return json.dumps(document, indent=2)


def _shown(title: str, value: object) -> str:
    """A value for people; sizes and times with units, as they may be written in the file."""
    plain = _plain(title, value)
    if plain is None or (plain == 0 and title in _NOTHING and title not in _LEVELS) or plain in ([], {}):
        return _NOTHING.get(title, "none")
    if isinstance(plain, dict):
        return "; ".join(f"{host}: {', '.join(there)}" for host, there in plain.items())
    if isinstance(plain, list):
        return ", ".join(plain)
    if title == "registries.timeout":
        return f"{plain}s".replace(".0s", "s")
    return _size(plain) if title == "store.limit" and isinstance(plain, int) else str(plain)


def _size(size_bytes: int) -> str:
    """The number with the largest unit that leaves a whole one; units are powers of 1024, as in the file."""
    for unit, power in (("TB", 40), ("GB", 30), ("MB", 20), ("KB", 10)):
        if size_bytes % (1 << power) == 0:
            return f"{size_bytes >> power}{unit}"
    return f"{size_bytes}B"


def _plain(title: str, value: object) -> Json:
    """A value as JSON has it: bytes, seconds, lists, and mirrors as an object of lists."""
    if isinstance(value, tuple):
        if title == "registries.mirrors":
            return {host: [*there] for host, there in value}
        return [str(item) for item in value]
    if value is None or (isinstance(value, int | float) and not isinstance(value, str)):
        return value
    return str(value)

"""The configuration file: where it is looked for, what it says, and what is in force once the environment has had its
say. A machine without one pays for two questions to the kernel and nothing else.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from builder.commands.caller import Caller
from builder.declare import replace
from builder.errors import UsageError
from builder.values.compression import LEVELS
from builder.values.settings import Setting, Settings

if TYPE_CHECKING:
    from builder.oci.registries_conf import ConfiguredRules

LIMIT_BYTES = 1 << 20
SYSTEM = Path("/etc")


def settings_of(caller: Caller, system: Path = SYSTEM) -> Settings:
    """What is in force for this caller. Raises UsageError for a file that cannot be read or understood."""
    settings = Settings()
    for path in config_files(caller, system):
        text = _text_of(path, is_named=caller.variable("PYBUILD_CONFIG") is not None)
        if text is not None:
            # A test holds the readers of the keys and the types of the fields together.
            settings = replace(settings, **_fields(path, text, caller.home))  # type: ignore[arg-type]
    _check_level(settings)
    return _with_environment(settings, caller)


def config_files(caller: Caller, system: Path = SYSTEM) -> tuple[Path, ...]:
    """Where the file is looked for: $PYBUILD_CONFIG alone, else the machine's and then the user's, key by key."""
    named = caller.variable("PYBUILD_CONFIG")
    if named:
        return (caller.directory / named,)
    user = config_home(caller)
    return (system / "pybuild" / "config.toml", *([user / "pybuild" / "config.toml"] if user else []))


def config_home(caller: Caller) -> Path | None:
    """XDG_CONFIG_HOME where it is absolute, as its specification has it, else ~/.config."""
    named = caller.variable("XDG_CONFIG_HOME")
    if named and named.startswith("/"):
        return Path(named)
    return caller.home / ".config" if caller.home else None


def rules_of(settings: Settings, caller: Caller, system: Path = SYSTEM) -> ConfiguredRules:
    """What names of images mean here; registries.conf is read when somebody asks."""
    from builder.oci.registries_conf import ConfiguredRules, RegistriesFiles

    user = config_home(caller)
    named = caller.variable("CONTAINERS_REGISTRIES_CONF") or caller.variable("REGISTRIES_CONFIG_PATH")
    files = RegistriesFiles(
        system=system / "containers",
        user=user / "containers" if user else None,
        named=caller.directory / named if named else None,
    )
    return ConfiguredRules(files, settings.search.value, settings.mirrors.value, settings.mirrors.origin)


def _check_level(settings: Settings) -> None:
    """The level and the compression may come from two files: they are held together when both are known."""
    level, compression = settings.compression_level, settings.compression
    if level.value is not None and level.value not in LEVELS[compression.value]:
        levels = LEVELS[compression.value]
        raise UsageError(
            f"{level.origin}: {compression.value} has no level {level.value}",
            hint=f"it has {levels.start} to {levels.stop - 1}" if levels else "leave out the level, or the compression",
        )


def _with_environment(settings: Settings, caller: Caller) -> Settings:
    root, authfile = caller.variable("PYBUILD_ROOT"), caller.variable("REGISTRY_AUTH_FILE")
    if root:
        settings = replace(settings, root=Setting(caller.directory / root, "$PYBUILD_ROOT"))
    if authfile:
        settings = replace(settings, authfile=Setting(caller.directory / authfile, "$REGISTRY_AUTH_FILE"))
    return settings


def _text_of(path: Path, *, is_named: bool) -> str | None:
    """The file's text, or None where there is none and nobody has named it."""
    try:
        with open(path, "rb") as file:
            data = file.read(LIMIT_BYTES + 1)
    except OSError as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError) and not is_named:
            return None
        hint = "PYBUILD_CONFIG names it" if is_named else "make it readable for you, or remove it"
        raise UsageError(f"the configuration file {path} cannot be read: {error.strerror}", hint=hint) from error
    if len(data) > LIMIT_BYTES:
        raise UsageError(f"the configuration file {path} is larger than {LIMIT_BYTES >> 20} MiB")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}:{line}: this is not text in UTF-8") from error


@functools.lru_cache(maxsize=4)
def _fields(path: Path, text: str, home: Path | None) -> dict[str, Setting[object]]:
    """What a file sets, by the fields of Settings; remembered, because several parts of a command ask."""
    from builder.commands.setting_keys import KEYS, Key, Place

    known = {(key.table, key.name): key for key in KEYS}
    place = Place(path.parent, home)
    found: dict[str, Setting[object]] = {}
    for table, name, value in _entries(path, text):
        key: Key | None = known.get((table, name))
        where = f"{path}:{line_of(text, table, name)}"
        if key is None:
            raise _unknown(where, table, name)
        try:
            found[key.field] = Setting(key.read(value, place), where)
        except ValueError as error:
            raise UsageError(f"{where}: {name}: {error}", hint=f"it is written {name} = {key.written}") from None
    return found


def _entries(path: Path, text: str) -> Iterator[tuple[str, str, object]]:
    """Every key with its table and value. Raises UsageError for a file that is not made of the tables we know."""
    import tomllib

    from builder.commands.setting_keys import KEYS
    from builder.lang.suggest import did_you_mean

    try:
        document: Mapping[str, object] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _not_toml(path, text, str(error)) from error
    except RecursionError as error:
        raise UsageError(f"{path}: nested too deeply") from error
    tables = tuple(dict.fromkeys(key.table for key in KEYS))
    for table, inner in document.items():
        where = f"{path}:{line_of(text, table, '')}"
        listed = f"the tables are {', '.join(f'[{name}]' for name in tables)}"
        if table not in tables:
            owners = [key.table for key in KEYS if key.name == table]
            otherwise = f"it belongs below [{owners[0]}]" if owners else listed
            what = "table" if isinstance(inner, dict) else "key"
            raise UsageError(f"{where}: there is no {what} {table}", hint=did_you_mean(table, tables, otherwise))
        if not isinstance(inner, dict):
            raise UsageError(f"{where}: {table} is a table", hint=f"it is written [{table}], and its keys below")
        for name, value in inner.items():
            yield table, name, value


def _not_toml(path: Path, text: str, said: str) -> UsageError:
    """tomllib's complaint with the place in front, where it tells of one."""
    match = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", said)
    if match is None:
        return UsageError(f"{path} is not TOML: {said}", hint="https://toml.io")
    line = match[1] or text.count("\n") + 1
    return UsageError(f"{path}:{line}: this is not TOML: {said[: match.start()]}", hint="https://toml.io")


def _unknown(where: str, table: str, name: str) -> UsageError:
    from builder.commands.setting_keys import KEYS
    from builder.lang.suggest import did_you_mean

    names = [key.name for key in KEYS if key.table == table]
    owners = [key.table for key in KEYS if key.name == name]
    otherwise = f"it belongs below [{owners[0]}]" if owners else f"[{table}] has {', '.join(names)}"
    return UsageError(f"{where}: [{table}] has no {name}", hint=did_you_mean(name, names, otherwise))


def line_of(text: str, table: str, name: str) -> int:
    """The line where a key is set, or a table begins where `name` is empty; 1 where it is written in some rarer way.

    TOML's parser does not say where values stand, so the lines are searched for the usual ways to write them.
    """
    at = ""
    begin = 0
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[{1,2}\s*([^\[\]]+?)\s*\]", line)
        if header:
            at = _bare(header[1])
            if at in (f"{table}.{name}", table if not name else None) or (not name and at.startswith(f"{table}.")):
                return number
            begin = begin or (number if at == table else 0)
            continue
        key = re.match(r"\s*([A-Za-z0-9_.\-\"' ]+?)\s*=", line)
        full = ".".join(filter(None, (at, _bare(key[1])))) if key else ""
        if full and (full == f"{table}.{name}".rstrip(".") or full.startswith(f"{table}.{name}".rstrip(".") + ".")):
            return number
    return begin or 1


def _bare(key: str) -> str:
    """A dotted key without the quotes and spaces that it may be written with."""
    return ".".join(part.strip().strip("\"'") for part in key.split("."))

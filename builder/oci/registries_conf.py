"""Reading registries.conf and its drop-ins, only when a name must be resolved for the outside world: a cached build
opens none of these files.

Source: containers-registries.conf(5), containers-registries.conf.d(5). Keys that are not known are left alone, as
containers/image leaves them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from builder.declare import dataclass, field, replace
from builder.errors import ImageError
from builder.values.reference import Reference
from builder.values.registries import Endpoint, Mirror, PullFrom, RegistryRule, RegistryRules
from builder.values.shortnames import is_short

LIMIT_BYTES = 4 << 20
_MODES = ("", "enforcing", "permissive", "disabled")
_LOCATION = re.compile(r"[A-Za-z0-9\[][^\s?#]*\Z")


@dataclass(frozen=True, slots=True)
class RegistriesFiles:
    """Where the files are looked for.

    `named` is a main file that somebody chose; it must exist. Without it `user`/registries.conf counts where there is
    one, else `system`/registries.conf. Drop-ins are `*.conf` of registries.conf.d beside them: the system's (unless the
    user's main file counts), then the user's.
    """

    system: Path
    user: Path | None = None
    named: Path | None = None

    def all(self) -> tuple[Path, ...]:
        """The files that there are, in the order in which they are read. Raises ImageError for a folder that cannot be
        listed."""
        user = self.user / "registries.conf" if self.user else None
        folders = [self.system, self.user]
        if self.named is not None:
            main = self.named
        elif user is not None and user.is_file():
            main, folders = user, [self.user]
        else:
            main = self.system / "registries.conf"
        found = (main,) if self.named or main.is_file() else ()
        return found + tuple(path for folder in folders if folder for path in _drop_ins(folder / "registries.conf.d"))


@dataclass(frozen=True, slots=True)
class ConfiguredRules:
    """The rules of these files and of pybuild's own settings, read at the first question.

    `search`, where there is any, replaces the files' search registries; `mirrors` replace those of the files for the
    same prefix; both come from `origin`.
    """

    files: RegistriesFiles
    search: tuple[str, ...] = ()
    mirrors: tuple[tuple[str, tuple[str, ...]], ...] = ()
    origin: str = ""
    _known: list[RegistryRules] = field(default_factory=list, compare=False, repr=False)

    def candidates(self, text: str) -> tuple[Reference, ...]:
        """What a name may mean, the first choice first. Raises ImageError."""
        if not is_short(text):
            return RegistryRules().candidates(text)  # no file can change what it means
        return self.rules().candidates(text)

    def endpoints(self, reference: Reference) -> tuple[Endpoint, ...]:
        """Where to ask for an image, in order. Raises ImageError."""
        return self.rules().endpoints(reference)

    def blocked(self, reference: Reference) -> str | None:
        """Who forbids to pull this image, or None. Raises ImageError."""
        return self.rules().blocked(reference)

    def rules(self) -> RegistryRules:
        """All of them; the files are read once. Raises ImageError."""
        if not self._known:  # two threads that both read them come to the same answer
            self._known.append(self._read())
        return self._known[0]

    def _read(self) -> RegistryRules:
        rules = read_rules(self.files)
        if self.search:
            rules = replace(rules, search=self.search, enforcing=False)
        own = dict(self.mirrors)
        kept = {rule.prefix: rule for rule in rules.rules}
        for prefix, locations in own.items():
            rule = kept.get(prefix) or RegistryRule(prefix, origin=self.origin)
            kept[prefix] = replace(rule, mirrors=tuple(Mirror(location) for location in locations))
        return replace(rules, rules=tuple(kept.values()))


def read_rules(files: RegistriesFiles) -> RegistryRules:
    """What all the files say together: what a later one says of the same thing counts. Raises ImageError."""
    rules: dict[str, RegistryRule] = {}
    aliases: dict[str, str] = {}
    search: tuple[str, ...] = ()
    helpers: tuple[str, ...] = ()
    mode = ""
    for number, path in enumerate(files.all()):
        table = _Table(path, _toml(path))
        if "registries" in table.values:
            table = _version_2(table, is_main=number == 0)
        for rule in _rules(table):
            rules[rule.prefix] = rule
        aliases.update(_aliases(table))
        if "unqualified-search-registries" in table.values:
            search = tuple(_host(table, text) for text in table.texts("unqualified-search-registries"))
        helpers = table.texts("credential-helpers") or helpers
        mode = table.word("short-name-mode", _MODES) or mode
    kept = tuple((name, value) for name, value in aliases.items() if value)
    return RegistryRules(search, kept, tuple(rules.values()), mode == "enforcing", helpers)


def _drop_ins(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".conf" and path.is_file())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ImageError(f"{folder} cannot be read: {error.strerror}", hint="make it readable for you") from error


def _toml(path: Path) -> Mapping[str, object]:
    import tomllib

    try:
        with open(path, "rb") as file:
            data = file.read(LIMIT_BYTES + 1)
        if len(data) > LIMIT_BYTES:
            raise ImageError(f"{path} is larger than {LIMIT_BYTES >> 20} MiB", hint="is it a registries.conf?")
        return tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ImageError(f"{path} is not TOML: {what}", hint="see containers-registries.conf(5)") from error
    except OSError as error:
        raise ImageError(
            f"{path} cannot be read: {error.strerror}", hint="it says what names of images mean"
        ) from error


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of the file, asked for values of one kind."""

    path: Path
    values: Mapping[str, object]
    what: str = ""

    def wrong(self, what: str) -> ImageError:
        return ImageError(f"{self.path}: {self.what}{what}", hint="see containers-registries.conf(5)")

    def text(self, key: str) -> str:
        value = self.values.get(key, "")
        if not isinstance(value, str):
            raise self.wrong(f"{key} is not a text")
        return value

    def truth(self, key: str) -> bool:
        value = self.values.get(key, False)
        if not isinstance(value, bool):
            raise self.wrong(f"{key} is neither true nor false")
        return value

    def word(self, key: str, known: tuple[str, ...]) -> str:
        value = self.text(key)
        if value not in known:
            raise self.wrong(f"{key} = {value[:100]!r} is none of {', '.join(word for word in known if word)}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(f"{key} is not a list of texts")
        return tuple(value)

    def tables(self, key: str, what: str) -> tuple[_Table, ...]:
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.wrong(f"{key} is not written [[{what}]]")
        return tuple(_Table(self.path, item, f"[[{what}]] number {at}: ") for at, item in enumerate(value, 1))

    def location(self, key: str) -> str:
        """A `host[:port][/path]` without a slash at its end, or ""."""
        value = self.text(key).rstrip("/")
        if "://" in value:
            raise self.wrong(f"{key} = {value[:200]!r} begins with a scheme, which does not belong there")
        if value and not value.startswith("*.") and not _LOCATION.match(value):
            raise self.wrong(f"{key} = {value[:200]!r} is no location")
        return value


def _rules(table: _Table) -> list[RegistryRule]:
    found: dict[str, RegistryRule] = {}
    for entry in table.tables("registry", "registry"):
        rule = _rule(entry)
        before = found.setdefault(rule.prefix, rule)
        if (before.insecure, before.blocked) != (rule.insecure, rule.blocked):
            raise entry.wrong(f"{rule.prefix} is there twice, and its settings do not agree")
    return list(found.values())


def _rule(table: _Table) -> RegistryRule:
    location, prefix = table.location("location"), table.location("prefix")
    if not location and not prefix.startswith("*."):
        raise table.wrong("location is missing (only a prefix such as *.example.com can do without)")
    if "*" in prefix.removeprefix("*.") or (prefix.startswith("*.") and re.search("[:/@]", prefix)) or "*" in location:
        raise table.wrong(f"{prefix or location!r}: a wildcard is written *.example.com, without a port or a path")
    digests_only = table.truth("mirror-by-digest-only")
    return RegistryRule(
        prefix=prefix or location,
        location=location,
        insecure=table.truth("insecure"),
        blocked=table.truth("blocked"),
        mirrors=tuple(_mirror(mirror, digests_only) for mirror in table.tables("mirror", "registry.mirror")),
        origin=str(table.path),
    )


def _mirror(table: _Table, digests_only: bool) -> Mirror:
    location = table.location("location")
    if not location or "*" in location:
        raise table.wrong("location is missing" if not location else f"{location!r} is no location")
    wanted = table.word("pull-from-mirror", ("", *PullFrom))
    if wanted and digests_only:
        raise table.wrong("pull-from-mirror cannot stand beside mirror-by-digest-only")
    everything = PullFrom.DIGEST_ONLY if digests_only else PullFrom.ALL
    return Mirror(location, table.truth("insecure"), PullFrom(wanted) if wanted else everything)


def _aliases(table: _Table) -> dict[str, str]:
    values = table.values.get("aliases", {})
    if not isinstance(values, dict):
        raise table.wrong("aliases is not a table")
    inner = _Table(table.path, values, "[aliases]: ")
    return {name: _alias(inner, name) for name in values}


def _alias(table: _Table, name: str) -> str:
    """What an alias stands for, or "" where it takes back an earlier one."""
    value = table.text(name)
    try:
        plain = [Reference.parse(text) for text in (name, value) if text]
    except ValueError as error:
        raise table.wrong(str(error)) from None
    if not is_short(name) or (value and is_short(value)):
        raise table.wrong(f"{name[:100]!r} = {value[:200]!r} does not lead from a name without a registry to one with")
    if any(text and (":" in text.rpartition("/")[2] or "@" in text) for text in (name, value)) or not plain:
        raise table.wrong(f"{name[:100]!r} = {value[:200]!r}: neither side has a tag or a digest")
    return value


def _host(table: _Table, text: str) -> str:
    host = text.rstrip("/")
    if not re.fullmatch(r"[A-Za-z0-9\[][A-Za-z0-9.\-:\]]*", host):
        raise table.wrong(f"unqualified-search-registries: {text[:100]!r} is no host[:port]")
    return host


def _version_2(table: _Table, *, is_main: bool) -> _Table:
    """A file of version 1 as one of version 2 (it can only list hosts). Raises ImageError for a mixture."""
    newer = {"registry", "unqualified-search-registries", "aliases", "short-name-mode"} & table.values.keys()
    old = table.values["registries"]
    if newer or not is_main or not isinstance(old, dict):
        raise table.wrong("[registries.*] is version 1 of the format, which cannot be mixed with version 2")
    lists: dict[str, tuple[str, ...]] = {}
    for name in ("search", "insecure", "block"):
        inner = old.get(name, {})
        if not isinstance(inner, dict):
            raise table.wrong(f"[registries.{name}] is not a table")
        lists[name] = _Table(table.path, inner, f"[registries.{name}]: ").texts("registries")
    hosts = dict.fromkeys((*lists["insecure"], *lists["block"]))
    entries = [
        {"location": host, "insecure": host in lists["insecure"], "blocked": host in lists["block"]} for host in hosts
    ]
    return _Table(table.path, {"unqualified-search-registries": list(lists["search"]), "registry": entries})

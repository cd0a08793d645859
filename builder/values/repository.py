"""Git repositories as Buildfiles and command lines name them: where, which ref, which directory. Nothing is fetched.

Written `URL#REF:SUBDIR` or `URL?ref=REF&subdir=SUBDIR`. Source: the Dockerfile reference, "ADD" (Git repositories) and
BuildKit's reading of such URLs. What git is given later is checked here once: no word of it can be an option.
"""

from __future__ import annotations

import re
from posixpath import normpath
from urllib.parse import parse_qs, unquote, urlsplit

from builder.declare import dataclass, replace
from builder.pattern import pattern

SCHEMES = ("https", "http", "ssh", "git")
_SCHEME = pattern(r"([A-Za-z0-9]+)://")
_SCP = pattern(r"([A-Za-z0-9_-]+@[A-Za-z0-9.-]+:[^?#]*)(?:\?([^#]*))?(?:#(.*))?\Z", re.DOTALL)
_HOST = pattern(r"[A-Za-z0-9_\[][A-Za-z0-9_.:\]-]*\Z")
_COMMIT = pattern(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
_CHECKSUM = pattern(r"[0-9a-f]{7,64}\Z")
_BAD_REF = pattern(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|\.lock(?:/|\Z)|(?:^|/)\.|[./]\Z|^[-/]")
_TRUTH = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}
_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class Repository:
    """A directory of a commit of a repository. `remote` is a URL or `user@host:path`, as git takes it.

    `ref` is None for the repository's own HEAD; `checksum` is the beginning of the id that the commit must have;
    `subdir` is clean, relative, and empty for all of it.
    """

    remote: str
    ref: str | None = None
    subdir: str = ""
    checksum: str | None = None
    keep_git_dir: bool | None = None
    submodules: bool = True

    @property
    def commit(self) -> str | None:
        """The full id where it is named, so that nobody has to be asked which commit is meant."""
        return self.ref if self.ref is not None and is_commit(self.ref) else None

    @property
    def scheme(self) -> str:
        """https, http, ssh or git."""
        found = _SCHEME.match(self.remote)
        return found[1].lower() if found else "ssh"

    @property
    def host(self) -> str:
        """The host's name, without user and port."""
        if _SCHEME.match(self.remote):
            return urlsplit(self.remote).hostname or ""
        return self.remote.partition("@")[2].partition(":")[0]

    @property
    def shown(self) -> str:
        """The remote for messages: without a password or token."""
        if not _SCHEME.match(self.remote):
            return self.remote
        parts = urlsplit(self.remote)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    def with_checksum(self, checksum: str | None) -> Repository:
        """This, with a --checksum beside it. Raises ValueError for a malformed one, or one that is another's."""
        if checksum is None:
            return self
        if not _CHECKSUM.match(checksum):
            raise ValueError(f"the checksum of a git repository is a commit id in hex, not {checksum[:100]!r}")
        if self.checksum not in (None, checksum):
            raise ValueError(f"the URL names another checksum: {self.checksum}")
        return replace(self, checksum=checksum)


def is_commit(text: str) -> bool:
    """Whether this is a whole commit id."""
    return _COMMIT.match(text) is not None


def parse_repository(text: str) -> Repository | None:
    """Read a git URL; None for what is none: a path, or an http URL whose path does not end with `.git`.

    Raises ValueError, saying what is wrong, for one that is.
    """
    if len(text) > _LONGEST:
        return None
    found = _SCHEME.match(text)
    if found is None:
        return _scp(text)
    scheme = found[1].lower()
    if scheme not in SCHEMES:
        return None
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError as error:
        if scheme in ("http", "https"):
            return None
        raise ValueError(f"not a URL of a git repository: {error}") from None
    if scheme in ("http", "https") and not unquote(parts.path).endswith(".git"):
        return None
    if not _HOST.match(host) or re.search(r"[\x00-\x20\x7f]", text) or (parts.username or "").startswith("-"):
        raise ValueError(f"the host of the git repository is malformed: {host[:100]!r}")
    remote = parts._replace(scheme=scheme, query="", fragment="").geturl()
    return _with_options(Repository(remote), parts.query, unquote(parts.fragment))


def _scp(text: str) -> Repository | None:
    found = _SCP.match(text)
    if found is None:
        return None
    if found[1].startswith("-") or re.search(r"[\x00-\x20\x7f]", found[1]) or "@-" in found[1]:
        raise ValueError(f"the git repository's address is malformed: {found[1][:100]!r}")
    return _with_options(Repository(found[1]), found[2] or "", found[3] or "")


def _with_options(repository: Repository, query: str, fragment: str) -> Repository:
    ref, _, subdir = fragment.partition(":")
    given = {"ref": ref, "subdir": _clean(subdir)}
    flags: dict[str, bool] = {}
    for key, value in _single_values(query):
        if key in ("keep-git-dir", "submodules", "fetch-by-commit"):
            flags[key] = _truth(key, value)
        elif not value:
            raise ValueError(f"{key!r} of the git URL has no value")
        elif key in ("ref", "tag", "branch"):
            prefix = {"ref": "", "tag": "refs/tags/", "branch": "refs/heads/"}[key]
            _set(given, "ref", value if value.startswith(prefix) else prefix + value)
        elif key == "subdir":
            _set(given, key, _clean(value))
        elif key in ("checksum", "commit"):
            _set(given, "checksum", value)
        elif key != "mtime" or value not in ("checkout", "commit"):
            raise ValueError(f"unexpected {key!r} in the git URL, or a value that it does not take: {value[:100]!r}")
    wanted = given["ref"] or None
    if wanted is not None and (_BAD_REF.search(wanted) or len(wanted) > 1024):
        raise ValueError(f"not the name of a git branch, tag or commit: {wanted[:100]!r}")
    made = replace(
        repository,
        ref=wanted,
        subdir=given["subdir"],
        keep_git_dir=flags.get("keep-git-dir"),
        submodules=flags.get("submodules", True),
    )
    return made.with_checksum(given.get("checksum"))


def _single_values(query: str) -> list[tuple[str, str]]:
    found = parse_qs(query, keep_blank_values=True, max_num_fields=20)
    for key, values in found.items():
        if len(values) > 1:
            raise ValueError(f"{key!r} stands twice in the git URL")
    return [(key, values[0]) for key, values in found.items()]


def _set(given: dict[str, str], key: str, value: str) -> None:
    if given.get(key) not in (None, "", value):
        raise ValueError(f"the git URL names two of {key}: {given[key][:100]!r} and {value[:100]!r}")
    given[key] = value


def _truth(key: str, value: str) -> bool:
    if value.lower() not in ("", *_TRUTH):
        raise ValueError(f"{key!r} of the git URL is true or false, not {value[:100]!r}")
    return _TRUTH.get(value.lower(), True)


def _clean(path: str) -> str:
    """A directory of the repository without `.`, `..` (which stop at its root) and slashes at its ends."""
    if "\0" in path:
        raise ValueError("a directory of a git repository cannot have a NUL in its name")
    return normpath("/" + path).strip("/")

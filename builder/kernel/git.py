"""The host's git, run so that neither a repository nor the caller's own settings can make it do more than fetch.

No configuration but ours, no hooks, no prompts, no credentials, no local transports; no protocol weaker than the
repository's own; nothing that a Buildfile says stands where an option could. All of it runs as the caller, in a
directory of ours, and ends with us. Sources: git(1), "ENVIRONMENT VARIABLES"; git-config(1); CVE-2022-39253,
CVE-2024-32002 and the like.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from builder.declare import dataclass
from builder.errors import ContextError, MachineError
from builder.values.repository import Repository, is_commit

_PATH = "/usr/local/bin:/usr/bin:/bin"
_LONGEST_S = 1800.0
_LAST_LINES = 6
_BLOCK = 64 << 10
MOST_FILES = 500_000
"""Files and directories of a commit: more than any repository known to be built from has."""
MOST_BYTES = 20_000_000_000
"""Bytes of a commit's files: as many as a layer may have."""
_SETTINGS = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.protectNTFS": "true",
    "core.protectHFS": "true",
    "credential.helper": "",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "init.defaultBranch": "master",
    "init.templateDir": "",
    "advice.detachedHead": "false",
    "transfer.fsckObjects": "true",
    "fetch.fsck.zeroPaddedFilemode": "ignore",
    "fetch.fsck.missingSpaceBeforeDate": "ignore",
    "fetch.fsck.badTimezone": "ignore",
    "fetch.recurseSubmodules": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
    "submodule.recurse": "false",
}


@dataclass(frozen=True, slots=True)
class Git:
    """How git reaches the world: the proxies by their variables' names, and an ssh agent's socket if one was given."""

    proxies: tuple[tuple[str, str], ...] = ()
    agent: Path | None = None
    longest_s: float = _LONGEST_S

    def commit_of(self, repository: Repository) -> str:
        """The commit that a ref means now. Raises ContextError, MachineError where there is no git.

        Of a branch and a tag of one name the branch counts, as for `git checkout`.
        """
        self._require(repository)
        wanted = repository.ref or "HEAD"
        output = self._run(repository, None, ["ls-remote", "--", repository.remote, wanted, wanted + "^{}"])
        rows = [line.split("\t", 1) for line in output.splitlines() if "\t" in line]
        ids = {name: commit for commit, name in rows if is_commit(commit)}
        for name in _meanings(wanted):
            if name in ids:
                return self._checked(repository, ids[name], ids.get(name + "^{}"))
        raise ContextError(
            f"the git repository {repository.shown} has no branch, tag or commit {wanted!r}",
            hint="a commit is named by its whole id",
        )

    def _checked(self, repository: Repository, commit: str, peeled: str | None) -> str:
        """The commit behind what was found, which may be a tag's own object. Raises ContextError for another's id."""
        wanted = repository.checksum
        if wanted is not None and not commit.startswith(wanted) and not (peeled or "").startswith(wanted):
            raise ContextError(
                f"the commit of {repository.shown} is {peeled or commit}, not {wanted}",
                hint="the repository changed, or the checksum is wrong",
            )
        return peeled or commit

    def check_out(self, repository: Repository, commit: str, into: Path) -> None:
        """Put the files of a commit into the new directory `into`, with `.git` if the repository is to keep it.

        Every file gets the commit's time: the same commit gives the same layer. Raises ContextError, MachineError.
        """
        self._require(repository)
        into.mkdir(0o755)
        self._run(repository, into, ["init", "--quiet", "--object-format", "sha256" if len(commit) == 64 else "sha1"])
        self._run(repository, into, ["config", "remote.origin.url", repository.remote])
        self._fetch(repository, commit, into)
        self._measure(repository, commit, into)
        self._run(repository, into, ["checkout", "--quiet", "--force", "--detach", commit])
        if repository.submodules and (into / ".gitmodules").is_file():
            self._fetch_submodules(repository, into)
        self._tidy(repository, into)
        made_s = int(self._run(repository, into, ["show", "--no-patch", "--format=%ct", commit]).strip())
        if not repository.keep_git_dir:
            shutil.rmtree(into / ".git")
        _set_times(into, made_s)

    def _fetch(self, repository: Repository, commit: str, into: Path) -> None:
        """One commit where the server gives single ones; else everything, among which it then must be."""
        fetch = ["fetch", "--quiet", "--no-tags", "--update-shallow"]
        try:
            self._run(repository, into, [*fetch, "--depth=1", "--", "origin", commit])
        except ContextError:
            everything = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"]
            self._run(repository, into, [*fetch, "--", "origin", *everything])
        found = self._run(
            repository, into, ["rev-parse", "--verify", "--quiet", "--end-of-options", commit + "^{commit}"]
        )
        if found.strip() != commit:
            raise ContextError(f"the git repository {repository.shown} gave {found.strip()[:64]}, not {commit}")

    def _measure(self, repository: Repository, commit: str, into: Path) -> None:
        """Refuse a commit whose files would fill the disk: a few trees that name each other tenfold are enough.

        git itself lists them until its memory is full, so it is stopped as soon as there are too many.
        """
        rows = size = 0
        process = self._start(repository, into, ["ls-tree", "-r", "-t", "-l", "-z", "--full-tree", commit])
        fuse = threading.Timer(self.longest_s, _end, (process,))
        fuse.start()
        try:
            assert process.stdout is not None
            for row in _rows(process.stdout):
                rows += 1
                size += _size_of(row)
                if rows > MOST_FILES or size > MOST_BYTES:
                    raise ContextError(
                        f"{repository.shown} has more than {MOST_FILES} files or {MOST_BYTES} bytes at {commit}",
                        hint="it is made to fill disks, or too large to be taken as a whole",
                    )
            if process.wait() != 0:
                raise ContextError(f"the files of {repository.shown} at {commit} cannot be listed: git failed")
        finally:
            fuse.cancel()
            _end(process)

    def _fetch_submodules(self, repository: Repository, into: Path) -> None:
        update = ["submodule", "--quiet", "update", "--init", "--recursive"]
        try:
            self._run(repository, into, [*update, "--depth=1"])
        except ContextError:
            self._run(repository, into, update)  # a server that gives no single commits

    def _tidy(self, repository: Repository, into: Path) -> None:
        """Leave nothing in .git that tells when or how we fetched it."""
        self._run(repository, into, ["config", "remote.origin.url", repository.shown])
        for name in ("FETCH_HEAD", "ORIG_HEAD", "logs"):
            path = into / ".git" / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def _require(self, repository: Repository) -> None:
        if shutil.which("git", path=_PATH) is None:
            raise MachineError(
                f"git is needed to fetch {repository.shown}, and it is not installed",
                hint="install it: apt install git, or dnf install git",
            )

    def _run(self, repository: Repository, directory: Path | None, words: Sequence[str]) -> str:
        process = self._start(repository, directory, words)
        try:
            output, complaints = process.communicate(timeout=self.longest_s)
        except BaseException as error:
            _end(process)
            if isinstance(error, subprocess.TimeoutExpired):
                raise ContextError(f"fetching {repository.shown} took longer than {self.longest_s:.0f} s") from None
            raise
        if process.returncode != 0:
            raise _failure(repository, complaints.decode("utf-8", "replace"))
        return output.decode("utf-8", "replace")

    def _start(self, repository: Repository, directory: Path | None, words: Sequence[str]) -> subprocess.Popen[bytes]:
        settings = [word for key, value in _SETTINGS.items() for word in ("-c", f"{key}={value}")]
        return subprocess.Popen(
            ["git", *settings, *words],
            cwd=directory or "/",
            env=self._environment(repository),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            umask=0o022,
        )

    def _environment(self, repository: Repository) -> Mapping[str, str]:
        ssh = "ssh -F /dev/null -o BatchMode=yes -o ClearAllForwardings=yes -o PermitLocalCommand=no"
        ssh += " -o IdentityFile=none" if self.agent is None else ""
        environment = {
            "PATH": _PATH,
            "LC_ALL": "C",
            "HOME": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_SYSTEM": os.devnull,
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "/bin/false",
            "SSH_ASKPASS": "/bin/false",
            "SSH_ASKPASS_REQUIRE": "never",
            "GIT_SSH_COMMAND": ssh,
            "GIT_SSH_VARIANT": "ssh",
            "GIT_ALLOW_PROTOCOL": _protocols(repository.scheme),
            "GIT_PROTOCOL_FROM_USER": "0",
            "GIT_LFS_SKIP_SMUDGE": "1",
            "GIT_OPTIONAL_LOCKS": "0",
        }
        if self.agent is not None:
            environment["SSH_AUTH_SOCK"] = str(self.agent)
        return {**environment, **dict(self.proxies)}


def _protocols(scheme: str) -> str:
    """What submodules and redirects may use: nothing weaker than the repository itself, and never a local path."""
    return {"https": "https", "ssh": "https:ssh", "http": "https:http", "git": "https:git"}[scheme]


def _meanings(ref: str) -> tuple[str, ...]:
    if ref == "HEAD":
        return ("HEAD",)
    return (
        "refs/" + ref.removeprefix("refs/"),
        "refs/heads/" + ref.removeprefix("refs/heads/"),
        "refs/tags/" + ref.removeprefix("refs/tags/"),
    )


def _failure(repository: Repository, complaints: str) -> ContextError:
    """git's own last words, without what might be a password."""
    lines = [line.strip() for line in complaints.replace(repository.remote, repository.shown).splitlines()]
    said = "; ".join([line for line in lines if line][-_LAST_LINES:])
    said = "".join(character if character.isprintable() else "?" for character in said)[:600]
    hint = "check the URL; repositories that need a password are not supported, ssh ones need --ssh default"
    return ContextError(f"cannot fetch the git repository {repository.shown}: {said or 'git failed'}", hint=hint)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a git with all that it has started, if it still runs."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _rows(stream: IO[bytes]) -> Iterator[bytes]:
    """What stands between NULs."""
    rest = b""
    while data := stream.read(_BLOCK):
        *rows, rest = (rest + data).split(b"\0")
        yield from rows


def _size_of(row: bytes) -> int:
    """The size that a row of `git ls-tree -l` tells; 0 for what is no file."""
    size = row.partition(b"\t")[0].rpartition(b" ")[2]
    return int(size) if size.isdigit() else 0


def _set_times(directory: Path, seconds: int) -> None:
    """Give everything below a directory of ours (and it) one time; links are not followed.

    Without recursion, which os.walk needs before Python 3.12: a repository may be as deep as a path is long.
    """
    made = [os.fspath(directory)]
    for path in made:  # grows meanwhile; a directory stands before what is in it
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    made.append(entry.path)
                else:
                    os.utime(entry.path, (seconds, seconds), follow_symlinks=False)
    for path in reversed(made):
        os.utime(path, (seconds, seconds))

"""How registries are reached: the options of the command line, the settings and the environment, put together as one
`Access`. Files of logins are only named here; they are opened when a registry wants a login.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from builder.commands.arguments import proxies_of
from builder.commands.caller import Caller
from builder.commands.settings import config_home, rules_of, settings_of
from builder.declare import dataclass
from builder.errors import UsageError
from builder.oci.keyring import FILES, AuthFiles, OneLogin
from builder.values.access import Access, Credential, Keyring, LateRules, Trust
from builder.values.reference import Reference

if TYPE_CHECKING:
    from builder.commands.line import Line

_CERT_FOLDERS = (Path("/etc/containers/certs.d"), Path("/etc/docker/certs.d"))


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


def access_of(connection: Connection, caller: Caller, names: Iterable[str] = ()) -> Access:
    """The way to registries. Raises UsageError for options, files or variables that cannot be understood.

    `names` are the images that the command line names: --creds is for their registry, which must be one. Without any it
    is for the first registry that serves nobody without a login.
    """
    settings = settings_of(caller)
    registries = registries_of(names)
    if connection.creds is not None and len(registries) > 1:
        raise UsageError(
            f"--creds: {' and '.join(sorted(registries))} are named, and a login is for one of them",
            hint="log in to each: pybuild login HOST",
        )
    return Access(
        proxies=dict(proxies_of(caller.environment)),
        keyring=_keyring(connection, caller, registries),
        anonymous_first=connection.creds is not None and not registries,
        trust=trust_of(connection, caller),
        rules=LateRules(lambda: rules_of(settings, caller)),
        total_s=settings.timeout_s.value,
    )


def trust_of(connection: Connection, caller: Caller) -> Trust:
    """Which servers are believed. Raises UsageError."""
    settings = settings_of(caller)
    cert_dir = None
    if connection.cert_dir is not None:
        cert_dir = caller.directory / connection.cert_dir
        if not connection.cert_dir or not cert_dir.is_dir():
            raise UsageError(
                f"--cert-dir: {connection.cert_dir!r} is not a directory",
                hint="it holds CAs (*.crt) and client certificates (NAME.cert with NAME.key)",
            )
    roots_file, roots_dir = caller.variable("SSL_CERT_FILE"), caller.variable("SSL_CERT_DIR")
    return Trust(
        insecure=(*map(_host, connection.insecure_registry), *settings.insecure.value),
        cert_dir=cert_dir,
        cert_folders=(*settings.cert_folders.value, *cert_folders(caller)),
        roots_file=caller.directory / roots_file if roots_file else None,
        roots_dir=caller.directory / roots_dir if roots_dir else None,
    )


def cert_folders(caller: Caller) -> tuple[Path, ...]:
    """Where podman and docker keep folders of certificates for registries, the user's first (containers-certs.d(5))."""
    config = config_home(caller)
    return (*([config / "containers" / "certs.d", config / "docker" / "certs.d"] if config else []), *_CERT_FOLDERS)


def named_auth_file(option: str | None, caller: Caller) -> Path | None:
    """The file of logins that somebody names: --authfile, REGISTRY_AUTH_FILE, or the settings. Raises UsageError."""
    if option is not None:
        if not option:
            raise UsageError("--authfile: the file is empty", hint="--authfile FILE, or leave the option out")
        return caller.directory / option
    return settings_of(caller).authfile.value


def auth_files(caller: Caller) -> tuple[Path, ...]:
    """Where logins are looked for where nobody names a file, in order: podman's places, then docker's.

    Source: containers-auth.json(5). The first is the one that `pybuild login` writes.
    """
    runtime, dockers = caller.variable("XDG_RUNTIME_DIR"), caller.variable("DOCKER_CONFIG")
    config, home = config_home(caller), caller.home
    return (
        *([Path(runtime, "containers", "auth.json")] if runtime and runtime.startswith("/") else []),
        *([config / "containers" / "auth.json"] if config else []),
        *([caller.directory / dockers / "config.json"] if dockers else []),
        *([home / ".docker" / "config.json"] if home and not dockers else []),
        *([home / ".dockercfg"] if home else []),
    )


def login_of(text: str, caller: Caller) -> Credential:
    """`USER[:PASSWORD]`; a password that is left out is asked for on the terminal. Raises UsageError."""
    username, colon, password = text.partition(":")
    if not username:
        raise UsageError("--creds: the user name is missing", hint="it is written --creds USER[:PASSWORD]")
    return Credential(username, password if colon else asked_password(caller, "--creds USER:PASSWORD"))


def asked_password(caller: Caller, otherwise: str) -> str:
    """A password from the terminal, unseen. Raises UsageError where there is no terminal, or nothing was typed."""
    password = ""
    if caller.stdin.isatty():
        import getpass

        try:
            password = getpass.getpass("Password: ")
        except EOFError:
            pass
    if not password:
        raise UsageError("there is no password", hint=f"{otherwise}, or a terminal to ask for it on")
    return password


def _keyring(connection: Connection, caller: Caller, registries: Iterable[str]) -> Keyring:
    if connection.creds is not None:
        return OneLogin(login_of(connection.creds, caller), registries)
    named = named_auth_file(connection.authfile, caller)
    return AuthFiles(auth_files(caller), caller.environment, named, lambda: _keepers(caller))


def _keepers(caller: Caller) -> tuple[str, ...]:
    """Who keeps logins, as registries.conf says it."""
    return rules_of(settings_of(caller), caller).rules().helpers or (FILES,)


def registries_of(names: Iterable[str]) -> set[str]:
    """The registries of those names that are images of registries."""
    found = set()
    for name in names:
        plain = name.removeprefix("docker://").removeprefix("docker-image://")
        if plain == name and (name.partition(":")[0] in _ELSEWHERE or name.startswith(("/", "."))):
            continue
        try:
            found.add(Reference.parse(plain).registry)
        except ValueError:
            continue  # whoever opens it says what is wrong with it
    return found


_ELSEWHERE = ("oci", "oci-layout", "oci-archive", "docker-archive", "rootfs", "store", "dir")
"""Transports that lead to no registry."""


def _host(text: str) -> str:
    """HOST[:PORT] of --insecure-registry; a scheme in front is taken off. Raises UsageError."""
    host = text.removeprefix("https://").removeprefix("http://").rstrip("/").lower()
    if not host or "/" in host or host.isspace():
        raise UsageError(f"--insecure-registry: {text!r} is not a host", hint="it is written HOST[:PORT]")
    return host

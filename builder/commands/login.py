"""`pybuild login`: a login is tried at the registry, and then written where docker and podman find it too."""

from __future__ import annotations

from builder.commands.caller import Caller
from builder.commands.connection import Connection, access_of, asked_password, auth_files, named_auth_file
from builder.commands.line import Line
from builder.declare import replace
from builder.errors import UsageError
from builder.oci.keyring import OneLogin
from builder.report.phrases import note
from builder.values.access import Credential
from builder.values.reference import DEFAULT_REGISTRY, Reference, canonical_host

_PASSWORD_LIMIT_BYTES = 64 << 10


def run(line: Line, caller: Caller) -> int:
    """Log in. Raises UsageError, ImageError where the registry refuses, StoreError where the file cannot be written."""
    from builder.oci.logins import check_login, store_login

    key = key_of(line.text("host"))
    registry, _, repository = key.partition("/")
    login = Credential(*_typed(line, caller))
    if ":" in login.username:  # HTTP's Basic ends the name there (RFC 7617, 2): it would be somebody else's
        raise UsageError("a user name has no colon", hint="-u USER, and the password by --password-stdin")
    options = Connection(None, None, line.text("cert_dir"), line.texts("insecure_registry"))
    access = replace(access_of(options, caller), keyring=OneLogin(login, (registry,)))
    if not check_login(registry, repository, access):
        caller.remark(note(f"{registry} wants no login; it is kept all the same"))
    path = named_auth_file(line.text("authfile"), caller) or next(iter(auth_files(caller)), None)
    if path is None:
        raise UsageError("nowhere to keep the login: this user has no home directory", hint="--authfile FILE")
    where = store_login(path, key, login, caller.environment)
    caller.remark(f"logged in to {key}; kept in {where}")
    return 0


def key_of(text: str | None) -> str:
    """What a login is for: HOST, or HOST/PATH for a part of it; docker.io without any. Raises UsageError."""
    if text is None:
        return DEFAULT_REGISTRY
    plain = text.removeprefix("https://").removeprefix("http://").rstrip("/")
    server, slash, path = plain.partition("/")
    host = canonical_host(server)
    if path in ("v1", "v2"):
        slash = path = ""
    if host in ("index.docker.io", "registry-1.docker.io"):
        host = DEFAULT_REGISTRY
    try:
        if not host or (path and ":" in path):
            raise ValueError(f"{text!r} is not a registry")
        # A word without a dot may be a host here, as it is to docker; with a port no Reference takes it for a name.
        Reference.parse(f"{host if ':' in host else host + ':443'}/{path or 'x'}/x")
    except ValueError as error:
        raise UsageError(f"a login is for HOST[:PORT][/PATH]: {error}") from None
    return host + slash + path


def _typed(line: Line, caller: Caller) -> tuple[str, str]:
    """User name and password, from the options, standard input or the terminal."""
    username, password = line.text("username"), line.text("password")
    if line.flag("password_stdin"):
        if password is not None:
            raise UsageError("-p and --password-stdin are both given", hint="--password-stdin alone")
        if username is None:
            raise UsageError("--password-stdin: the user name is missing", hint="-u USER")
        return username, _piped_password(caller)
    if password is not None:
        caller.remark(
            note("everybody on this machine can see a command line, the password too; --password-stdin hides it")
        )
    username = username or _asked_username(caller)
    return username, password or asked_password(caller, "--password-stdin")


def _piped_password(caller: Caller) -> str:
    data = caller.stdin.read(_PASSWORD_LIMIT_BYTES + 1)
    try:
        password = data.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        password = ""
    if not password or len(data) > _PASSWORD_LIMIT_BYTES:
        raise UsageError("there is no password on standard input", hint="one line of text in UTF-8")
    return password


def _asked_username(caller: Caller) -> str:
    if not caller.stdin.isatty():
        raise UsageError("the user name is missing", hint="-u USER --password-stdin, or a terminal to ask on")
    caller.stderr.write("Username: ")
    caller.stderr.flush()
    username = caller.stdin.readline(1024).decode("utf-8", "replace").strip()
    if not username:
        raise UsageError("the user name is missing", hint="-u USER")
    return username

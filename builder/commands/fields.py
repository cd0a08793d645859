"""Values written as comma-separated fields: the fields themselves, `--secret`, and ssh agents, as buildx reads them.

Secrets are read here, bounded, from the files and variables that the command line names; a value is never part of an
error. Sources: buildx's build.ParseExports, buildkit's session/secrets/secretsprovider and session/sshforward.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from builder.commands.arguments import bad
from builder.errors import UsageError
from builder.values.request import Secret, SshAgent

SECRET_LIMIT_BYTES = 500 * 1024
"""BuildKit's limit (secretsprovider.MaxSecretSize): a secret is a token or a key, not a data set."""

_SECRET_FORM = "--secret id=ID,src=PATH or --secret id=ID,env=NAME"
_SSH_FORM = "--ssh default, or --ssh ID=SOCKET"


def read_secret(text: str, environment: Mapping[str, str]) -> Secret:
    """One `--secret`, with its bytes. Without src and env it is the variable, else the file, of the id's name."""
    fields = read_fields("--secret", text, _SECRET_FORM)
    known = {"id": "", "type": "", "src": "", "env": "", "search": "true"}
    for key, value in fields.items():
        key = {"source": "src"}.get(key, key)
        if key not in known:
            raise UsageError(
                f"--secret: {key!r} is not supported", hint=f"there are id, src, env, type and search: {_SECRET_FORM}"
            )
        known[key] = value
    if known["type"] not in ("", "file", "env"):
        raise UsageError(f"--secret: type={known['type']} is not supported", hint="there are type=file and type=env")
    if known["search"] not in ("true", "false"):
        raise bad("--secret", f"search={known['search']} is not supported", "search=true or search=false")
    if not known["id"]:
        raise bad("--secret", "the id is missing", _SECRET_FORM)
    is_sought = known["search"] == "true"
    variable, path = known["env"], known["src"]
    if known["type"] == "env" and not variable:
        variable, path = path, ""
    if not variable and not path:
        by_name = known["type"] != "file" and known["id"] in environment
        variable, path = (known["id"], "") if by_name or known["type"] == "env" else ("", known["id"])
    if variable:
        return Secret(known["id"], _variable(known["id"], variable, environment), is_sought)
    return Secret(known["id"], _secret_file(known["id"], path), is_sought)


def read_ssh(text: str, environment: Mapping[str, str]) -> SshAgent:
    """One `--ssh`: `default` or `ID[=SOCKET]`; without a socket the agent is the one of SSH_AUTH_SOCK."""
    name, equals, path = text.partition("=")
    name = name or "default"
    if equals and not path:
        raise bad("--ssh", f"{text!r} lacks its socket", _SSH_FORM)
    if not equals:
        path = environment.get("SSH_AUTH_SOCK", "")
    if not path:
        raise UsageError(
            f"--ssh {name}: no ssh agent is running here (SSH_AUTH_SOCK is not set)",
            hint='start one: eval "$(ssh-agent)" && ssh-add',
        )
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        raise UsageError(f"--ssh {name}: {path}: {_reason(error)}", hint=f"it is written {_SSH_FORM}") from None
    if not stat.S_ISSOCK(mode):
        raise UsageError(
            f"--ssh {name}: {path} is not the socket of an agent",
            hint=f"a key goes into an agent first: ssh-add {path}; then --ssh {name}",
        )
    return SshAgent(name, Path(path))


def read_fields(option: str, text: str, written: str) -> dict[str, str]:
    """The `key=value` fields of one CSV row (RFC 4180, as Go's encoding/csv has it), keys in lower case.

    An annotation's own name, after the first dot of the key, stays as it is. Raises UsageError.
    """
    import csv  # most command lines have no such value

    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as error:
        raise bad(option, f"its quotes are not closed ({error})", written) from None
    fields: dict[str, str] = {}
    for number, field in enumerate(rows[0] if rows else [], start=1):
        key, equals, value = field.partition("=")
        head, dot, tail = key.strip().partition(".")
        key = head.lower() + dot + (tail if head.lower().startswith("annotation") else tail.lower())
        if not equals or not key:
            raise bad(option, f"field {number} is not key=value", written)
        if key in fields:
            raise bad(option, f"{key} is there twice", written)
        fields[key] = value
    if not fields:
        raise bad(option, "the value is empty", written)
    return fields


def _variable(secret_id: str, name: str, environment: Mapping[str, str]) -> bytes:
    if name not in environment:
        raise UsageError(
            f"--secret {secret_id}: the environment has no variable {name}", hint=f"export {name}, or use src=PATH"
        )
    value = os.fsencode(environment[name])
    if len(value) > SECRET_LIMIT_BYTES:
        raise _too_large(secret_id)
    return value


def _secret_file(secret_id: str, path: str) -> bytes:
    try:
        with Path(path).open("rb") as stream:
            value = stream.read(SECRET_LIMIT_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"--secret {secret_id}: cannot read {path}: {_reason(error)}", hint=f"it is written {_SECRET_FORM}"
        ) from None
    if len(value) > SECRET_LIMIT_BYTES:
        raise _too_large(secret_id)
    return value


def _too_large(secret_id: str) -> UsageError:
    return UsageError(
        f"--secret {secret_id}: larger than {SECRET_LIMIT_BYTES // 1024} KiB",
        hint="show large files to a step with RUN --mount=type=bind and --build-context",
    )


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)

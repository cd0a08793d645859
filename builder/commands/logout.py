"""`pybuild logout`: logins are taken out of the file that `pybuild login` writes."""

from __future__ import annotations

from builder.commands.caller import Caller
from builder.commands.connection import auth_files, named_auth_file
from builder.commands.line import Line
from builder.commands.login import key_of
from builder.errors import UsageError


def run(line: Line, caller: Caller) -> int:
    """Forget one login, or all of them. Raises UsageError where there is none."""
    from builder.oci.keyring import AuthFiles
    from builder.oci.logins import remove_all_logins, remove_login

    path = named_auth_file(line.text("authfile"), caller) or next(iter(auth_files(caller)), None)
    if path is None:
        raise UsageError("there are no logins: this user has no home directory", hint="--authfile FILE")
    if line.flag("all"):
        if line.text("host") is not None:
            raise UsageError("--all and a host are both given", hint="one of them")
        count = remove_all_logins(path, caller.environment)
        caller.remark(f"{count} login{'' if count == 1 else 's'} removed from {path}")
        return 0
    key = key_of(line.text("host"))
    removed = remove_login(path, key, caller.environment)
    registry, _, repository = key.partition("/")
    others = (*(other for other in auth_files(caller) if other != path),) if line.text("authfile") is None else ()
    left = AuthFiles(others, caller.environment).find(registry, repository)
    if not removed and left is None:
        raise UsageError(f"there is no login for {key} in {path}", hint="`--authfile FILE` names another file")
    if removed:
        caller.remark(f"logged out of {key}")
    if left is not None:
        caller.remark(f"there is a login for {key} in another file, which is docker's or podman's to remove")
    return 0

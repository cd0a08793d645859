"""A login helper for tests: `docker-credential-NAME` that keeps what it is told in a file beside itself."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

_PROGRAM = """#!{python} -I
import json, pathlib, sys
kept = pathlib.Path(__file__ + ".json")
logins = json.loads(kept.read_text()) if kept.exists() else {{}}
said = sys.stdin.read()
with open(__file__ + ".log", "a") as log:
    print(sys.argv[1], said if sys.argv[1] != "store" else json.loads(said)["ServerURL"], file=log)
if sys.argv[1] == "store":
    login = json.loads(said)
    logins[login["ServerURL"]] = login
    kept.write_text(json.dumps(logins))
elif said not in logins:
    print("credentials not found in native keychain")
    sys.exit(1)
elif sys.argv[1] == "get":
    print(json.dumps(logins[said]))
else:
    del logins[said]
    kept.write_text(json.dumps(logins))
"""


class Keeper:
    """The helper NAME in a directory of its own."""

    def __init__(self, directory: Path, name: str = "keeper") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.path = directory / f"docker-credential-{name}"
        self.path.write_text(_PROGRAM.format(python=sys.executable))
        self.path.chmod(0o755)

    @property
    def environment(self) -> Mapping[str, str]:
        """An environment in which it is found."""
        return {"PATH": f"{self.path.parent}:{os.environ['PATH']}"}

    @property
    def logins(self) -> dict[str, dict[str, str]]:
        """What it keeps."""
        kept = Path(f"{self.path}.json")
        loaded: dict[str, dict[str, str]] = json.loads(kept.read_text()) if kept.exists() else {}
        return loaded

    @property
    def asked(self) -> list[str]:
        """What it was asked: the verb and the server."""
        log = Path(f"{self.path}.log")
        return log.read_text().splitlines() if log.exists() else []

    def keep(self, server: str, username: str, secret: str) -> None:
        """Let it have a login."""
        kept = {**self.logins, server: {"ServerURL": server, "Username": username, "Secret": secret}}
        Path(f"{self.path}.json").write_text(json.dumps(kept))

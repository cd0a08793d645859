"""A token service that a real docker-registry believes: JSON web tokens, signed by a key of this process's own.

Source: the CNCF Distribution specifications "Token Authentication Specification" and "Docker Registry v2 Bearer token
specification"; RFC 7515 for the form.
"""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.oci.rogue import Exchange, Rogue, json_answer, running_rogue

SERVICE = "test registry"
ISSUER = "test issuer"


@dataclass
class TokenService:
    """The service: who may do what (`rights`: repository → actions), for the one login it knows and for nobody.

    `asked` are the scopes of each request, `lifetime_s` is how long tokens last.
    """

    directory: Path
    rogue: Rogue
    login: tuple[str, str]
    rights: Mapping[str, tuple[str, ...]]
    public: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    lifetime_s: int = 60
    asked: list[list[str]] = field(default_factory=list)

    @property
    def config(self) -> dict[str, object]:
        """docker-registry's `auth` section."""
        bundle = str(self.directory / "token.crt")
        token = {"realm": f"{self.rogue.url}/token", "service": SERVICE, "issuer": ISSUER, "rootcertbundle": bundle}
        return {"token": token}

    def answer(self, exchange: Exchange) -> None:
        """Give a token for what was asked and is allowed."""
        scopes = parse_qs(urlsplit(exchange.path).query).get("scope", [])
        self.asked.append(scopes)
        sent = exchange.headers.get("Authorization") or ""
        known = "Basic " + base64.b64encode(":".join(self.login).encode()).decode()
        if sent and sent != known:
            exchange.send(401)
            return
        rights = self.rights if sent else self.public
        json_answer({"token": self._signed(self._access(scopes, rights)), "expires_in": 60})(exchange)

    def _access(self, scopes: list[str], rights: Mapping[str, tuple[str, ...]]) -> list[dict[str, object]]:
        access: list[dict[str, object]] = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            allowed = [action for action in actions.split(",") if action in rights.get(name, ())]
            access.append({"type": kind, "name": name, "actions": allowed})
        return access

    def _signed(self, access: list[dict[str, object]]) -> str:
        now = int(time.time())
        pem = (self.directory / "token.crt").read_text()
        certificate = "".join(line for line in pem.splitlines() if "-----" not in line)
        head = {"typ": "JWT", "alg": "RS256", "x5c": [certificate]}
        claims = {"iss": ISSUER, "sub": "", "aud": SERVICE, "jti": str(time.time_ns()), "access": access}
        times = {"iat": now - 1, "nbf": now - 1, "exp": now + self.lifetime_s}
        text = f"{_base64url(json.dumps(head).encode())}.{_base64url(json.dumps({**claims, **times}).encode())}"
        command = ["openssl", "dgst", "-sha256", "-sign", str(self.directory / "token.key")]
        signature = subprocess.run(command, input=text.encode(), capture_output=True, check=True).stdout
        return f"{text}.{_base64url(signature)}"


@contextmanager
def running_token_service(
    directory: Path, login: tuple[str, str], rights: Mapping[str, tuple[str, ...]]
) -> Iterator[TokenService]:
    """Run the service on loopback; its key is made in `directory`."""
    words = ["-newkey", "rsa:2048", "-nodes", "-subj", "/CN=tokens", "-days", "2"]
    files = ["-keyout", str(directory / "token.key"), "-out", str(directory / "token.crt")]
    subprocess.run(["openssl", "req", "-x509", *words, *files], check=True, capture_output=True)
    with running_rogue() as rogue:
        service = TokenService(directory, rogue, login, rights)
        rogue.routes["/token"] = service.answer
        yield service


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")

"""Logins that a helper program keeps: what is said to it and what its answers mean.

Source: docker-credential-helpers: `get` takes a server's name and gives `{"ServerURL", "Username", "Secret"}`; `store`
takes that; `erase` takes a name. A username of `<token>` says that the secret is an identity token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from builder.declare import dataclass
from builder.errors import ImageError, MachineError, UsageError
from builder.oci.document import parse_document
from builder.values.access import Credential

TOKEN_USERNAME = "<token>"
_NOT_FOUND = (b"credentials not found", b"no credentials server url", b"no credentials username")


@dataclass(frozen=True, slots=True)
class Helper:
    """The helper `docker-credential-NAME`, which the auth file `named_in` names."""

    name: str
    named_in: str
    environment: Mapping[str, str]

    def find(self, server: str) -> Credential | None:
        """The login for a server, None where it keeps none. Raises UsageError when it cannot be asked."""
        status, output = self._ask("get", server.encode())
        if status:
            if any(words in output.lower() for words in _NOT_FOUND):
                return None
            raise self._failed("gives no login", output)
        try:
            answer = parse_document(output, f"the answer of docker-credential-{self.name}")
            username, secret = answer.text("Username"), answer.text("Secret")
        except ImageError as error:
            # Its message may quote what was said, and that may be a password.
            raise UsageError(
                f"the login helper docker-credential-{self.name} ({self.named_in}) answers with what is not a login"
            ) from error
        if not secret:
            return None
        if username == TOKEN_USERNAME:
            return Credential(TOKEN_USERNAME, identity_token=secret)
        return Credential(username, secret)

    def store(self, server: str, login: Credential) -> None:
        """Keep a login. Raises UsageError."""
        name, secret = login.username, login.password
        if login.identity_token:
            name, secret = TOKEN_USERNAME, login.identity_token
        message = json.dumps({"ServerURL": server, "Username": name, "Secret": secret}).encode()
        status, output = self._ask("store", message)
        if status:
            raise self._failed("does not keep the login", output)

    def erase(self, server: str) -> bool:
        """Forget a login; whether there was one. Raises UsageError."""
        status, output = self._ask("erase", server.encode())
        if status and not any(words in output.lower() for words in _NOT_FOUND):
            raise self._failed("does not forget the login", output)
        return not status

    def _ask(self, verb: str, message: bytes) -> tuple[int, bytes]:
        from builder.kernel.credhelper import ask_helper

        try:
            answer = ask_helper(self.name, verb, message, self.environment)
        except MachineError as error:
            raise UsageError(f"{error.message} ({self.named_in} names it)", hint=error.hint) from error
        return answer.status, answer.output

    def _failed(self, what: str, output: bytes) -> UsageError:
        said = "".join(letter if letter.isprintable() else " " for letter in output.decode("utf-8", "replace"))
        reason = " ".join(said.split())[:200] or "no reason given"
        return UsageError(
            f"the login helper docker-credential-{self.name} {what}: {reason}", hint=f"{self.named_in} names it"
        )

"""Who we are to a registry: the only place where an Authorization header is made.

A registry that refuses us says how it wants to know us (WWW-Authenticate). With Basic it gets name and password itself;
with Bearer the token service that it names gives us a token, for the login that there is or for nobody. A login is
looked up when it is first wanted, and only ever sent to the registry that it is for or to the token service that this
registry names in a way nobody on the line could have forged (`hosts.may_see_login`).

Sources: RFC 7617; RFC 6750, 3; the CNCF Distribution specifications of token authentication and of OAuth2.
"""

from __future__ import annotations

import base64
import re
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit, urlunsplit

from builder.declare import dataclass, field
from builder.errors import ImageError
from builder.oci.body import Body
from builder.oci.challenge import Challenge, read_challenges, scopes_of
from builder.oci.document import parse_document
from builder.oci.hosts import may_give_token, may_see_login, origin
from builder.oci.transport import Http, TransferBroken, limited_body, shown
from builder.oci.unreachable import unreachable
from builder.values.access import Access, Credential

if TYPE_CHECKING:
    from builder.oci.connections import Answer

_TOKEN_LIMIT_BYTES = 1 << 20
_CLIENT_ID = "pybuild"
_NO_POST = (404, 405, 501)  # token services that only know GET


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a registry is asked for. `registry` and `repository` as in a Reference; `scopes` are such as
    `repository:NAME:pull`, first those without which nothing works, in `wishes` what is only nice to have.
    """

    registry: str
    repository: str
    scopes: tuple[str, ...]
    wishes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Grant:
    header: str = field(default="", repr=False)
    ends_s: float = float("inf")


class Tokens:
    """The Authorization for one purpose at one registry; the same for all threads."""

    def __init__(self, http: Http, base: str, access: Access, purpose: Purpose) -> None:
        self._http = http
        self._base = base
        self._access = access
        self._purpose = purpose
        self._grant = _Grant()
        self._challenge: Challenge | None = None
        self._login: Credential | None = None
        self._looked_up = False
        self._tried_as_nobody = False
        self._lock = threading.Lock()
        self.withheld = ""
        """The token service that our login was not sent to, "" where there is none."""

    @property
    def has_login(self) -> bool:
        """Whether a login was found and sent."""
        return self._login is not None and not self.withheld

    @property
    def is_basic(self) -> bool:
        """Whether the registry gets name and password itself."""
        return self._grant.header.startswith("Basic ")

    def headers(self) -> dict[str, str]:
        """The Authorization header, where there is one; a token that is about to run out is renewed first."""
        with self._lock:
            if time.monotonic() > self._grant.ends_s and self._challenge is not None:
                self._grant = self._asked(self._challenge)
            return self._header()

    def renewed(self, refused: Mapping[str, str], response: Answer) -> dict[str, str]:
        """The header after `response` refused `refused`; the same where there is nothing better to send.

        Only the registry itself says who may see its login: what a server says that it has redirected us to is not
        listened to. Asks the token service unless another thread just did. Raises ImageError when the service is not to
        be trusted or gives no token, UsageError when logins cannot be read.
        """
        if origin(response.url) != origin(self._base):
            return dict(refused)
        with self._lock:
            if self._header() == refused:
                self._answer(read_challenges(response.headers.get("WWW-Authenticate", "")))
            return self._header()

    def _header(self) -> dict[str, str]:
        return {"Authorization": self._grant.header} if self._grant.header else {}

    def _answer(self, challenges: tuple[Challenge, ...]) -> None:
        bearer = next((challenge for challenge in challenges if challenge.scheme == "bearer"), None)
        if bearer is not None:
            self._challenge = bearer
            self._grant = self._asked(bearer)
        elif any(challenge.scheme == "basic" for challenge in challenges):
            login = self._found()
            if login is not None and login.password:
                self._grant = _Grant(_basic(login.username, login.password))

    def _found(self) -> Credential | None:
        if not self._looked_up:
            self._login = self._access.keyring.find(self._purpose.registry, self._purpose.repository)
            self._looked_up = True
        return self._login

    def _asked(self, challenge: Challenge) -> _Grant:
        realm = self._trusted(challenge.realm)
        if may_see_login(self._base, realm, ()):
            self._http.believe_service(realm)
        if self._access.anonymous_first and not self._tried_as_nobody:
            self._tried_as_nobody = True
            response = self._ask(realm, challenge.service, scopes_of((*self._purpose.scopes, *challenge.scopes)), None)
            if response.status_code == 200:
                return self._granted(realm, response)
            response.close()
        login = self._found()
        if login is not None and not may_see_login(self._base, realm, self._access.trust.insecure):
            self.withheld, login = shown(realm), None
        wanted = (*self._purpose.scopes, *challenge.scopes)
        response = self._ask(realm, challenge.service, scopes_of((*wanted, *self._purpose.wishes)), login)
        if response.status_code in (400, 401, 403) and self._purpose.wishes:
            response.close()
            response = self._ask(realm, challenge.service, scopes_of(wanted), login)
        return self._granted(realm, response)

    def _ask(self, realm: str, service: str, scopes: tuple[str, ...], login: Credential | None) -> Answer:
        if login is not None and login.identity_token:
            response = self._exchange(realm, service, scopes, login.identity_token)
            if response.status_code not in _NO_POST:
                return response
            response.close()
        pairs = [("service", service), *(("scope", scope) for scope in scopes)]
        parts = urlsplit(realm)
        query = "&".join(text for text in (parts.query, urlencode([pair for pair in pairs if pair[1]])) if text)
        url = urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))
        secret = {}
        if login is not None:
            secret["Authorization"] = _basic(login.username, login.password or login.identity_token)
        return self._http.get(url, {}, secret)

    def _exchange(self, realm: str, service: str, scopes: tuple[str, ...], token: str) -> Answer:
        """A token for an identity token. It is in the body, which is only ever sent to the service itself."""
        form = {
            "grant_type": "refresh_token",
            "service": service,
            "client_id": _CLIENT_ID,
            "scope": " ".join(scopes),
            "refresh_token": token,
        }
        data = urlencode({name: value for name, value in form.items() if value}).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._http.request("POST", realm, headers, {}, Body.of_secret(data))

    def _granted(self, realm: str, response: Answer) -> _Grant:
        if response.status_code != 200:
            response.close()
            raise self._refused(realm, response.status_code)
        asked_s = time.monotonic()
        try:
            with response:
                data = limited_body(response, _TOKEN_LIMIT_BYTES, self._http.patience.deadline_for(0))
        except TransferBroken as broken:
            raise unreachable(realm, broken.__cause__) from broken
        document = parse_document(data, f"the answer of the token service {shown(realm)}")
        token = document.text("token") or document.text("access_token")
        if not token or not re.fullmatch(r"[\x21-\x7e]+", token):  # nothing that could end the header
            raise ImageError(f"the token service {shown(realm)} gives no usable token")
        return _Grant(f"Bearer {token}", asked_s + max(_lifetime_s(document.fields.get("expires_in")), 30.0))

    def _refused(self, realm: str, status: int) -> ImageError:
        host = self._purpose.registry
        if status in (401, 403) and self.has_login:
            return ImageError(
                f"{host} refuses the login: its token service {shown(realm)} answers {status}",
                hint=f"log in anew: pybuild login {host}",
            )
        hint = withheld_hint(self.withheld, host) or (
            f"the image does not exist or needs a login: pybuild login {host}" if status in (401, 403) else "try again"
        )
        return ImageError(f"the token service {shown(realm)} answers {status}", hint=hint)

    def _trusted(self, realm: str) -> str:
        try:
            trusted = may_give_token(self._base, realm, self._access.trust.insecure)
        except ValueError as error:
            raise ImageError(f"{shown(self._base)} names no usable token service: {realm[:200]!r}") from error
        if not trusted:
            raise ImageError(
                f"{shown(self._base)} names the token service {shown(realm)}, which is not trusted",
                hint="a token service must be reached by https, or be the registry itself",
            )
        return realm


def withheld_hint(service: str, registry: str) -> str:
    """Why a login was not used, and what to do; "" where it was."""
    if not service:
        return ""
    return f"the login was not sent to {service}: {registry} did not name it under a certificate that is trusted"


def _basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode("ascii")


def _lifetime_s(value: object) -> float:
    """How long a token lasts; 60 seconds where the service does not say (the specification's default)."""
    return float(value) if isinstance(value, int) and 0 < value < 1 << 31 else 60.0

"""A registry as a client sees it: GET of a path, with the token that the registry's challenge asks for.

Source: OCI distribution-spec 1.1; the CNCF Distribution token authentication specification. Credentials are not known
yet: tokens are anonymous, and whatever needs a login is refused with a sentence that says so. When credentials come,
they belong in `Tokens`: nothing else makes an Authorization header.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit, urlunsplit

from builder.errors import ImageError
from builder.oci.document import parse_document
from builder.oci.hosts import may_give_token, registry_url
from builder.oci.transport import Http, TransferBroken, limited_body, printable, shown
from builder.oci.unreachable import unreachable
from builder.values.reference import Reference

if TYPE_CHECKING:
    import requests

_TOKEN_LIMIT_BYTES = 1 << 20
_ERROR_LIMIT_BYTES = 64 << 10
_PARAMETER = re.compile(r'([A-Za-z][A-Za-z0-9_-]*)=(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))')


class Client:
    """One repository of a registry, for reading."""

    def __init__(self, reference: Reference, http: Http) -> None:
        self._reference = reference
        self.http = http
        self.base = registry_url(reference.registry)
        self._tokens = Tokens(http, self.base, f"repository:{reference.repository}:pull")

    def url(self, kind: str, name: str) -> str:
        """The URL of a manifest or blob of the repository."""
        return f"{self.base}/v2/{self._reference.repository}/{kind}/{name}"

    def get(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        """A good answer (200 or 206), its body unread. Raises ImageError for any other."""
        sent = self._tokens.headers()
        response = self.http.get(url, headers, sent)
        if response.status_code == 401 and _challenge(response) is not None:
            response.close()
            response = self.http.get(url, headers, self._tokens.renewed(sent, _challenge(response) or {}))
        if response.status_code in (200, 206):
            return response
        with response:
            raise self._refused(response)

    def _refused(self, response: requests.Response) -> ImageError:
        status, name, host = response.status_code, self._reference.familiar, self._reference.registry
        said = _said(response, self.http)
        if status == 404:
            return ImageError(f"{name} was not found at {host}{said}", hint="check the name, the tag and the registry")
        if status in (401, 403):
            return ImageError(
                f"{host} does not let us read {name} ({status}){said}",
                hint="the image does not exist or needs a login, which is not supported yet: copy it with skopeo"
                " and build from oci:DIR",
            )
        if status == 416:  # we only ask for what comes after what we got
            return ImageError(
                f"{host} holds less of a blob of {name} than its manifest says{said}",
                hint="the image was not pushed whole; push it again",
            )
        if status == 429:
            return ImageError(f"{host} allows no more requests for now (429){said}", hint="wait, or use a mirror")
        return ImageError(f"{host} answers {status} for {name}{said}", hint="is it a registry? see its log")


class Tokens:
    """The bearer token for one repository; the same for all threads. It is only ever sent to the registry itself."""

    def __init__(self, http: Http, registry: str, scope: str) -> None:
        self._http = http
        self._registry = registry
        self._scope = scope
        self._token = ""
        self._lock = threading.Lock()

    def headers(self) -> dict[str, str]:
        """The Authorization header, where there is a token."""
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def renewed(self, refused: Mapping[str, str], challenge: Mapping[str, str]) -> dict[str, str]:
        """The header after the registry refused `refused`; asks the token service unless another thread just did.

        Raises ImageError when the service is not to be trusted or gives no token.
        """
        with self._lock:
            if self.headers() == refused:
                self._token = self._ask(challenge)
            return self.headers()

    def _ask(self, challenge: Mapping[str, str]) -> str:
        url = self._service_url(challenge)
        patience = self._http.patience
        response = self._http.get(url, {}, {})
        if response.status_code != 200:
            response.close()
            raise ImageError(
                f"the token service {shown(url)} answers {response.status_code}",
                hint="the image does not exist or needs a login, which is not supported yet",
            )
        try:
            with response:
                data = limited_body(response, _TOKEN_LIMIT_BYTES, patience.deadline_for(0))
        except TransferBroken as broken:
            raise unreachable(url, broken.__cause__) from broken
        document = parse_document(data, f"the answer of the token service {shown(url)}")
        token = document.text("token") or document.text("access_token")
        if not token or not re.fullmatch(r"[\x21-\x7e]+", token):  # nothing that could end the header
            raise ImageError(f"the token service {shown(url)} gives no usable token")
        return token

    def _service_url(self, challenge: Mapping[str, str]) -> str:
        realm = challenge.get("realm", "")
        try:
            trusted = may_give_token(self._registry, realm)
        except ValueError as error:
            raise ImageError(f"{shown(self._registry)} names no usable token service: {realm[:200]!r}") from error
        if not trusted:
            raise ImageError(
                f"{shown(self._registry)} names the token service {shown(realm)}, which is not trusted",
                hint="a token service must be reached by https, or be the registry itself",
            )
        asked = {"service": challenge.get("service", ""), "scope": challenge.get("scope", "") or self._scope}
        query = urlencode({name: value for name, value in asked.items() if value})
        parts = urlsplit(realm)
        return urlunsplit((parts.scheme, parts.netloc, parts.path, f"{parts.query}&{query}".lstrip("&"), ""))


def _challenge(response: requests.Response) -> dict[str, str] | None:
    """The parameters of a Bearer challenge (RFC 6750, 3), or None where there is none."""
    scheme, _, rest = response.headers.get("WWW-Authenticate", "").strip().partition(" ")
    if scheme.lower() != "bearer":
        return None
    return {
        name.lower(): re.sub(r"\\(.)", r"\1", quoted) or plain
        for name, quoted, plain in _PARAMETER.findall(rest[:8192])
    }


def _said(response: requests.Response, http: Http) -> str:
    """What the registry gives as its reason, as one short clause; nothing where the body is not its error document."""
    try:
        data = limited_body(response, _ERROR_LIMIT_BYTES, http.patience.deadline_for(0))
        errors = parse_document(data, "the error").inners("errors", 100)
        text = errors[0].text("message") if errors else ""
    except (ImageError, TransferBroken):
        return ""
    return f": {printable(text)[:200]}" if text else ""

"""A registry as a client sees it: requests to one repository, with the Authorization that the registry asks for.

Source: OCI distribution-spec 1.1. Whatever a registry refuses becomes one sentence here. How we are known to it is in
builder/oci/tokens.py; nothing else makes an Authorization header, and it is only ever sent to the registry itself.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from builder.errors import ImageError
from builder.oci.body import Body
from builder.oci.document import parse_document
from builder.oci.hosts import may_lead_to, origin, registry_url
from builder.oci.lanes import Busy
from builder.oci.probe import base_url
from builder.oci.tokens import Purpose, Tokens, withheld_hint
from builder.oci.transport import Http, Patience, TransferBroken, discard, limited_body, printable, shown
from builder.values.access import Access
from builder.values.reference import Reference

if TYPE_CHECKING:
    from builder.oci.connections import Answer

_ERROR_LIMIT_BYTES = 64 << 10


class Client:
    """One repository of a registry; may be used from several threads.

    `actions` is what for: `pull`, or `pull,push`; `also` names repositories of the same registry that blobs are to be
    mounted from. Nothing is asked before the first request.
    """

    def __init__(
        self,
        reference: Reference,
        access: Access,
        patience: Patience | None = None,
        *,
        actions: str = "pull",
        also: tuple[str, ...] = (),
    ) -> None:
        self._reference = reference
        self._access = access
        self._actions = actions
        self._purpose = Purpose(
            reference.registry,
            reference.repository,
            (f"repository:{reference.repository}:{actions}",),
            tuple(f"repository:{name}:pull" for name in also),
        )
        self._lock = threading.Lock()
        self._base = ""
        self._known: Tokens | None = None
        self.http = Http(access, patience or Patience(), origin(registry_url(reference.registry)))

    @property
    def base(self) -> str:
        """Where the registry is reached, without a slash at the end. Raises ImageError when nobody answers there."""
        with self._lock:
            if not self._base:
                self._base = base_url(self._reference.registry, self.http, self._access.trust)
            return self._base

    def url(self, kind: str, name: str) -> str:
        """The URL of a manifest or blob of the repository."""
        return f"{self.base}/v2/{self._reference.repository}/{kind}/{name}"

    def get(self, url: str, headers: Mapping[str, str]) -> Answer:
        """A good answer (200 or 206) to a GET, its body unread. Raises ImageError for any other."""
        return self.request("GET", url, headers, good=(200, 206))

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | Body | None = None,
        good: tuple[int, ...] = (200,),
    ) -> Answer:
        """An answer whose status is in `good`, its body unread. Raises ImageError for any other.

        `url` may lead to another server (where an upload goes on); the Authorization stays with the registry.
        """
        tokens = self._tokens() if origin(url) == origin(self.base) else None
        sent = tokens.headers() if tokens else {}
        response = self.http.request(method, url, headers, sent, body)
        for _ in range(2 if self._access.anonymous_first else 1):  # as nobody, then with a login
            if response.status_code != 401 or tokens is None:
                break
            better = tokens.renewed(sent, response)
            if better == sent:
                break
            discard(response)
            sent = better
            response = self.http.request(method, url, headers, sent, body)
        if response.status_code in good:
            return response
        with response:
            raise self.refused(response)

    def location(self, response: Answer) -> str:
        """Where an answer says to go on (Location), as a whole URL. Raises ImageError where there is no such place."""
        text = response.headers.get("Location", "")
        try:
            target = urljoin(response.url, text)
            allowed = bool(text) and may_lead_to(response.url, target)
        except ValueError:
            allowed = False
        if not allowed:
            raise ImageError(
                f"{self._reference.registry} names no usable place to send to: {shown(text) or 'none'}",
                hint="is it a registry? behind a proxy it must know its outside name and that it is reached by https",
            )
        return target

    def _tokens(self) -> Tokens:
        base = self.base
        with self._lock:
            if self._known is None:
                self._known = Tokens(self.http, base, self._access, self._purpose)
            return self._known

    def refused(self, response: Answer) -> ImageError:
        """What an answer says that is not good, some of its body read; Busy where it is about too many requests."""
        status, name, host = response.status_code, self._reference.familiar, self._reference.registry
        said = _said(response, self.http)
        if status == 404:
            return ImageError(f"{name} was not found at {host}{said}", hint="check the name, the tag and the registry")
        if status in (401, 403):
            return self._not_allowed(status, said)
        if status == 416:  # we only ask for what comes after what we got
            return ImageError(
                f"{host} holds less of a blob of {name} than its manifest says{said}",
                hint="the image was not pushed whole; push it again",
            )
        if status == 429:
            return Busy(f"{host} allows no more requests for now (429){said}", hint="wait, or use a mirror")
        return ImageError(f"{host} answers {status} for {name}{said}", hint="is it a registry? see its log")

    def _not_allowed(self, status: int, said: str) -> ImageError:
        name, host, tokens = self._reference.familiar, self._reference.registry, self._known
        what = "write" if "push" in self._actions else "read"
        if tokens is not None and tokens.withheld:
            return ImageError(
                f"{host} does not let us {what} {name} ({status}){said}", hint=withheld_hint(tokens.withheld, host)
            )
        if tokens is None or not tokens.has_login:
            hint = "it needs a login" if what == "write" else "the image does not exist or needs a login"
            return ImageError(
                f"{host} does not let us {what} {name} ({status}){said}", hint=f"{hint}: pybuild login {host}"
            )
        if tokens.is_basic and status == 401:
            return ImageError(f"{host} refuses the login ({status}){said}", hint=f"log in anew: pybuild login {host}")
        return ImageError(
            f"{host} does not let this login {what} {name} ({status}){said}",
            hint=f"ask whoever keeps the repository, or use another login: pybuild login {host}",
        )


def _said(response: Answer, http: Http) -> str:
    """What the registry gives as its reason, as one short clause; nothing where the body is not its error document."""
    try:
        data = limited_body(response, _ERROR_LIMIT_BYTES, http.patience.deadline_for(0))
        errors = parse_document(data, "the error").inners("errors", 100)
        text = errors[0].text("message") if errors else ""
    except (ImageError, TransferBroken):
        return ""
    return f": {printable(text)[:200]}" if text else ""

"""A registry's refusal, as its error document tells it: a status, a code, and a few of its own words.

Source: OCI distribution-spec 1.1, "Error codes".
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from builder.declare import dataclass
from builder.errors import ImageError
from builder.oci.document import parse_document
from builder.oci.transport import Http, TransferBroken, limited_body, printable

if TYPE_CHECKING:
    from builder.oci.connections import Answer

_LIMIT_BYTES = 64 << 10
_MOST_ERRORS = 100


@dataclass(frozen=True, slots=True)
class Refusal:
    """`host` answered with `status`; `codes` are those of the document, `message` the first one's, fit for people."""

    host: str
    status: int
    codes: tuple[str, ...] = ()
    message: str = ""

    @property
    def said(self) -> str:
        """The message as the end of a sentence; nothing where there is none."""
        return f": {self.message}" if self.message else ""


def refusal_of(response: Answer, http: Http) -> Refusal:
    """Read an answer that is a refusal, and close it. A body that is no error document counts for nothing."""
    host = urlsplit(response.url).netloc.rpartition("@")[2]
    codes: tuple[str, ...] = ()
    message = ""
    with response:
        try:
            data = limited_body(response, _LIMIT_BYTES, http.patience.deadline_for(0))
            errors = parse_document(data, "the error").inners("errors", _MOST_ERRORS)
            codes = tuple(error.text("code") for error in errors)
            message = errors[0].text("message") or codes[0] if errors else ""
        except (ImageError, TransferBroken):
            pass
    return Refusal(printable(host[:255]), response.status_code, codes, printable(message)[:200])

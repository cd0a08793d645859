"""`--network=proxy`: a step whose only way out is our proxy, what it is told of that, and what it talked to."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address

from builder.kernel.dial import Dialler
from builder.kernel.network import PROXY_PORT
from builder.kernel.proxy import StepProxy
from builder.oci.hosts import proxies_for
from builder.stages.hands import Hands
from builder.stages.scope import proxy_variables
from builder.values.contact import Contact
from builder.values.event import Contacted, Emit, Note, StepId
from builder.values.hosts import HostRules
from builder.values.request import BuildRequest

NO_NAMES = (
    "# --network=proxy: names are looked up by the proxy at 127.0.0.1 alone\n"
    "nameserver 127.0.0.1\noptions attempts:1 timeout:1\n"
)
"""A step's resolv.conf. Nobody listens there, so that a look-up fails at once."""
_LOOPBACK = ("127.0.0.1", "::1")
_MOST_NOTES = 20


@contextmanager
def gated(step_id: StepId, hands: Hands) -> Iterator[int]:
    """Serve the step; gives the descriptor that its process sends the listener through. Tells what it talked to."""
    proxies = dict(proxy_variables(hands.request))  # not the step's: an ARG or ENV of the Buildfile has no say here

    def route(scheme: str, host: str, port: int) -> str:
        shown = f"[{host}]" if ":" in host else host
        return proxies_for(f"{scheme}://{shown}:{port}/", proxies).get(scheme, "")

    proxy = StepProxy(Dialler(HostRules(hands.request.allow_hosts), route), _teller(hands.emit))
    try:
        with proxy:
            yield proxy.fd
    finally:
        contacts = proxy.contacts()
        if contacts.kept:
            hands.emit(Contacted(step_id, contacts))


def _teller(emit: Emit) -> Callable[[Contact], None]:
    numbers = itertools.count(1)

    def tell(contact: Contact) -> None:
        number = next(numbers)
        if number <= _MOST_NOTES:
            emit(Note(f"a step was refused {contact.target}: {contact.refusal}"))
        elif number == _MOST_NOTES + 1:
            emit(Note("that step was refused more; `pybuild builds show` has the rest"))

    return tell


def variables(request: BuildRequest) -> tuple[tuple[str, str], ...]:
    """What the step's environment says of the proxy, whatever the image or an ARG say of another.

    What listens in the step itself is reached directly, unless the patterns mean this machine's loopback.
    """
    meant = any(
        pattern.names(ip_address(address), pattern.port) for pattern in request.allow_hosts for address in _LOOPBACK
    )
    proxy = f"http://127.0.0.1:{PROXY_PORT}"
    # The proxy does not speak ftp, but what this machine has for it is not the step's to know: it may hold a login.
    values = {"http_proxy": proxy, "https_proxy": proxy, "ftp_proxy": proxy, "all_proxy": proxy}
    values["no_proxy"] = "" if meant else ",".join(("localhost", *_LOOPBACK))
    return tuple((spelt, value) for name, value in values.items() for spelt in (name, name.upper()))

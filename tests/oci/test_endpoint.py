"""One place where an image may be: how it is reached, and how long one that is not the last is waited for."""

from __future__ import annotations

from builder.oci.endpoint import Place, impatient
from builder.oci.keyring import OneLogin
from builder.oci.transport import Patience
from builder.values.access import Access, Credential, Trust
from builder.values.registries import Endpoint
from builder.values.shortnames import parsed


def test_a_mirror_is_not_waited_for_as_long_as_its_registry() -> None:
    """Fewer attempts, and less time to connect; who has less patience keeps it."""
    assert impatient(Patience()).attempts < Patience().attempts
    assert impatient(Patience()).connect_s < Patience().connect_s
    assert impatient(Patience()).restart_s == 0
    brief = Patience(attempts=1, connect_s=0.1, restart_s=0)
    assert impatient(brief) == brief


def test_a_login_of_the_command_line_is_not_for_mirrors() -> None:
    """--creds name no registry in a build; the mirror is not the one that is meant."""
    meant, access = parsed("a.example/app:1"), Access(keyring=OneLogin(Credential("me", "secret"), set()))
    mirror = Place(meant, Endpoint(parsed("m.example/app:1"), is_mirror=True), access, Patience())
    assert mirror.access.keyring.find("m.example", "app") is None
    assert Place(meant, Endpoint(meant), access, Patience()).access.keyring.find("a.example", "app") is not None


def test_insecure_belongs_to_the_place() -> None:
    """A rule's `insecure` adds the host of that place, and no other, to those that may speak plain http."""
    meant, access = parsed("a.example/app:1"), Access(trust=Trust(insecure=("b.example",)))
    mirror = Endpoint(parsed("m.example:5000/app:1"), insecure=True, is_mirror=True)
    assert Place(meant, mirror, access, Patience()).access.trust.insecure == ("b.example", "m.example:5000")
    assert Place(meant, Endpoint(meant), access, Patience()).access.trust.insecure == ("b.example",)

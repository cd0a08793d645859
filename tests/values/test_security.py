"""What steps may do by default."""

from __future__ import annotations

from builder.values.security import DEFAULT_CAPABILITIES, OWN_NETWORK, Privileges, Security


def test_defaults() -> None:
    """A step has the strict sandbox and eleven capabilities, sorted, none of them over a network."""
    assert Privileges() == Privileges(Security.SANDBOX, DEFAULT_CAPABILITIES, False)
    assert list(DEFAULT_CAPABILITIES) == sorted(DEFAULT_CAPABILITIES)
    assert len(DEFAULT_CAPABILITIES) == 11
    assert not {*DEFAULT_CAPABILITIES} & {*OWN_NETWORK}

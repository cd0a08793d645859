"""Capabilities by their names: which can be had, and what is said of the others."""

from __future__ import annotations

import pytest

from builder.kernel.constants import CAPABILITIES
from builder.values.capabilities import CAPABILITY_NAMES, capabilities_of
from builder.values.security import DEFAULT_CAPABILITIES


def test_every_capability_is_decided_about() -> None:
    """Each that the kernel has is a default, can be added, or is refused with a reason."""
    assert set(CAPABILITY_NAMES) == set(CAPABILITIES)


def test_defaults() -> None:
    """Who asks for nothing has the defaults, sorted; there are eleven."""
    assert capabilities_of((), ()) == DEFAULT_CAPABILITIES
    assert len(DEFAULT_CAPABILITIES) == 11


def test_names_in_any_form() -> None:
    """Names are taken in any case, with CAP_ and without."""
    assert capabilities_of(("cap_net_raw",), ("CAP_CHOWN", "kill")) == capabilities_of(("NET_RAW",), ("Chown", "KILL"))


def test_none_but_these() -> None:
    """ALL dropped leaves those that are added, defaults among them."""
    assert capabilities_of((), ("ALL",)) == ()
    assert capabilities_of(("CHOWN", "NET_RAW"), ("all",)) == ("CHOWN", "NET_RAW")


@pytest.mark.parametrize("name", sorted({*CAPABILITY_NAMES} - {*DEFAULT_CAPABILITIES}))
def test_what_can_be_added(name: str) -> None:
    """What reaches no further than the step can be added; all else says why not."""
    if name in ("DAC_READ_SEARCH", "IPC_OWNER", "LEASE", "NET_ADMIN", "NET_BROADCAST", "NET_RAW"):
        assert name in capabilities_of((name,), ())
    else:
        with pytest.raises(ValueError, match=f"{name} cannot be added: ."):
            capabilities_of((name,), ())


@pytest.mark.parametrize(
    ("added", "dropped", "said"),
    [
        (("ALL",), (), "ALL cannot be added"),
        (("NET_RAW",), ("NET_RAW",), "both added and dropped"),
        (("NET_ROW",), (), "no capability 'NET_ROW'"),
        ((), ("",), "no capability ''"),
    ],
)
def test_what_makes_no_sense(added: tuple[str, ...], dropped: tuple[str, ...], said: str) -> None:
    """ALL added, one name on both sides, and names that nobody has are refused."""
    with pytest.raises(ValueError, match=said):
        capabilities_of(added, dropped)

"""The options that say what steps may do."""

from __future__ import annotations

import pytest

from builder.commands.options import BuildOptions
from builder.commands.privileges import read_privileges
from builder.errors import UsageError
from builder.values.security import Privileges, Security


def test_all_of_them() -> None:
    """Each option is in the value; names may be joined with commas."""
    options = BuildOptions(security="nested", cap_add=("NET_RAW,CHOWN",), cap_drop=("ALL",), no_new_privileges=True)
    assert read_privileges(options) == Privileges(Security.NESTED, ("CHOWN", "NET_RAW"), True)


def test_none_of_them() -> None:
    """Without options it is what steps have anyway."""
    assert read_privileges(BuildOptions()) == Privileges()


@pytest.mark.parametrize(
    ("options", "said", "hint"),
    [
        (BuildOptions(security="insecure"), "not for all steps", "--allow security.insecure"),
        (BuildOptions(security="none"), "--security: 'none' is not supported", "sandbox|nested"),
        (BuildOptions(cap_add=("SYS_ADMIN",)), "--cap-add: SYS_ADMIN cannot be added", None),
        (BuildOptions(cap_add=("all",)), "ALL cannot be added: name those that are needed", None),
        (BuildOptions(cap_add=("NET_ROW",)), "no capability 'NET_ROW'", "did you mean NET_RAW"),
        (BuildOptions(cap_drop=("CHWON",)), "no capability 'CHWON'", "did you mean CHOWN"),
    ],
)
def test_refused(options: BuildOptions, said: str, hint: str | None) -> None:
    """What cannot be names its option and what to do."""
    with pytest.raises(UsageError, match=said.replace("'", ".")) as caught:
        read_privileges(options)
    assert (caught.value.hint is None) if hint is None else hint in (caught.value.hint or "")

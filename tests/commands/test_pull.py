"""`pybuild pull`."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.commands.caller import Caller
from builder.commands.line import Line
from builder.commands.pull import run
from builder.errors import ImageError, UsageError
from builder.oci.layout import write_layout
from builder.stages.images import build_platform
from builder.store import Store
from builder.values.reference import Reference
from tests.commands.callers import caller, remarked, said
from tests.oci.images import sample
from tests.registry import push, running_registry

MADE = sample(build_platform())
NO_CONNECTION = {"creds": None, "authfile": None, "cert_dir": None, "insecure_registry": ()}


def pulled(tmp_path: Path, *names: str, quiet: bool = False, platform: str | None = None) -> Caller:
    """Whoever pulled these."""
    who = caller(tmp_path, home=tmp_path)
    values = {"name": names, "quiet": quiet, "platform": platform, "root": str(tmp_path / "store"), **NO_CONNECTION}
    assert run(Line(values), who) == 0
    return who


def names_in(tmp_path: Path) -> list[str]:
    """The names of the store."""
    with Store.open(tmp_path / "store") as store:
        return [image.name for image in store.images.all()]


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """A layout with an image called app:1."""
    MADE.write_blobs(tmp_path / "blobs")
    names = (Reference.parse("app:1"),)
    write_layout(tmp_path / "layout", MADE.image, lambda digest: tmp_path / "blobs" / digest.hex, names)
    return tmp_path / "layout"


def test_digests_are_printed_and_nothing_else(tmp_path: Path, layout: Path) -> None:
    """Progress goes to standard error, and with -q nowhere."""
    who = pulled(tmp_path, f"oci:{layout}", "oci:layout:1")
    assert said(who) == f"{MADE.image.manifest.digest}\n" * 2
    assert "pull" in remarked(who)
    assert names_in(tmp_path) == ["docker.io/library/app:1"]
    who = pulled(tmp_path, f"oci:{layout}", quiet=True)
    assert (said(who), remarked(who)) == (f"{MADE.image.manifest.digest}\n", "")


def test_a_registrys_image_gets_its_name(tmp_path: Path, layout: Path) -> None:
    """And is then there without the registry."""
    with running_registry(tmp_path) as address:
        push(f"oci:{layout}:1", f"{address}/team/app:2")
        who = pulled(tmp_path, f"{address}/team/app:2", f"docker://{address}/team/app:2")
        first, second = said(who).split()
        assert first == second
        assert names_in(tmp_path) == [f"{address}/team/app:2"]


def test_what_arrived_before_an_error_is_printed(tmp_path: Path, layout: Path) -> None:
    """It is in the store."""
    who = caller(tmp_path, home=tmp_path)
    values = {"name": (f"oci:{layout}", "oci:none"), "quiet": True, "platform": None, **NO_CONNECTION}
    with pytest.raises(ImageError, match=r"oci:.*none"):
        run(Line({**values, "root": str(tmp_path / "store")}), who)
    assert said(who) == f"{MADE.image.manifest.digest}\n"
    assert names_in(tmp_path) == ["docker.io/library/app:1"]


def test_a_platform_that_is_not_there_is_refused(tmp_path: Path, layout: Path) -> None:
    """One that was asked for."""
    with pytest.raises(ImageError, match="there is no image for linux/s390x"):
        pulled(tmp_path, f"oci:{layout}", platform="linux/s390x")


def test_the_store_is_nothing_to_pull_from(tmp_path: Path) -> None:
    """What is in it is here."""
    with pytest.raises(UsageError, match="is in the store already"):
        pulled(tmp_path, "store:app")

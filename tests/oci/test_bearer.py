"""A real docker-registry that believes a token service: what a token must hold, and when it must be a new one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.errors import ImageError
from builder.oci.body import Body
from builder.oci.client import Client
from builder.oci.keyring import OneLogin
from builder.oci.push import Pushed, Watch, push_image
from builder.values.access import Access, Credential
from builder.values.digest import Digest
from builder.values.image import MEDIA_LAYER_GZIP
from builder.values.reference import Reference
from tests.oci.images import Sample, sample
from tests.oci.rogue import QUICK
from tests.registry import running_registry
from tests.support.tokens import TokenService, running_token_service

BLOB = b"some layer"
DIGEST = str(Digest.of(BLOB))
RIGHTS = {"app": ("pull", "push"), "base": ("pull", "push"), "shown": ("pull",)}


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[tuple[str, TokenService]]:
    """The registry's address and its token service; the login is me and secret."""
    with (
        running_token_service(tmp_path, ("me", "secret"), RIGHTS) as service,
        running_registry(tmp_path, auth=service.config) as address,
    ):
        yield address, service


def client(address: str, name: str, password: str = "secret", **more: object) -> Client:
    """A client with a login."""
    access = Access(keyring=OneLogin(Credential("me", password), (address,)))
    return Client(Reference.parse(f"{address}/{name}"), access, QUICK, **more)  # type: ignore[arg-type]


def send_blob(to: Client) -> None:
    """Push BLOB."""
    with to.request("POST", to.url("blobs", "uploads/"), {}, good=(202,)) as response:
        place = to.location(response)
    url = f"{place}{'&' if '?' in place else '?'}digest={DIGEST}"
    to.request("PUT", url, {"Content-Type": "application/octet-stream"}, BLOB, good=(201,)).close()


def test_a_token_lets_us_push_and_pull(guarded: tuple[str, TokenService]) -> None:
    """One for everything, with the rights that were asked for."""
    address, service = guarded
    pushing = client(address, "app", actions="pull,push")
    send_blob(pushing)
    with pushing.get(pushing.url("blobs", DIGEST), {}) as response:
        assert response.content == BLOB
    assert service.asked == [["repository:app:pull,push"]]


@pytest.mark.parametrize("also", [(), ("base",)])
def test_a_mount_needs_the_other_repositorys_scope(guarded: tuple[str, TokenService], also: tuple[str, ...]) -> None:
    """Asked for from the start, or once the registry's challenge names it; then the blob need not be sent."""
    address, service = guarded
    send_blob(client(address, "base", actions="pull,push"))
    pushing = client(address, "app", actions="pull,push", also=also)
    pushing.request("HEAD", pushing.url("blobs", DIGEST), {}, good=(404,)).close()
    url = f"{pushing.url('blobs', 'uploads/')}?mount={DIGEST}&from=base"
    with pushing.request("POST", url, {}, Body.of(b""), good=(201, 202)) as response:
        assert response.status_code == 201
    assert service.asked[-1] == ["repository:app:pull,push", "repository:base:pull"]
    assert len(service.asked) == (2 if also else 3)


def test_a_token_that_ran_out_in_the_middle_is_renewed(guarded: tuple[str, TokenService]) -> None:
    """The registry says 401 in the middle of work, the request is sent again whole, nobody notices."""
    address, service = guarded
    service.lifetime_s = -58  # docker-registry allows for a minute between two clocks
    pushing = client(address, "app", actions="pull,push")
    with pushing.request("POST", pushing.url("blobs", "uploads/"), {}, good=(202,)) as response:
        place = pushing.location(response)
    time.sleep(3)
    service.lifetime_s = 60
    url = f"{place}{'&' if '?' in place else '?'}digest={DIGEST}"
    pushing.request("PUT", url, {"Content-Type": "application/octet-stream"}, BLOB, good=(201,)).close()
    assert len(service.asked) == 2


def test_a_login_without_the_right_is_told_from_a_wrong_one(guarded: tuple[str, TokenService]) -> None:
    """The token service knows us, but the registry finds nothing in the token; or it does not know us."""
    address, _ = guarded
    pushing = client(address, "shown", actions="pull,push")
    with pytest.raises(ImageError, match="does not let this login write") as caught:
        pushing.request("POST", pushing.url("blobs", "uploads/"), {}, good=(202,))
    assert "pybuild login" in (caught.value.hint or "")
    wrong = client(address, "app", password="wrong")
    with pytest.raises(ImageError, match=r"refuses the login: its token service .* answers 401"):
        wrong.get(wrong.url("manifests", "1"), {})


def push(address: str, name: str, made: Sample, blobs: Path, *origins: str) -> Pushed:
    """Push the image as NAME:1, believing that its blobs are in these repositories too."""
    access = Access(keyring=OneLogin(Credential("me", "secret"), (address,)))
    believed = tuple(Reference.parse(f"{address}/{origin}") for origin in origins)
    names = (Reference.parse(f"{address}/{name}:1"),)
    return push_image(made.image, lambda digest: blobs / digest.hex, names, access, Watch(origins=lambda _: believed))


def test_a_whole_image_is_mounted_with_one_token(guarded: tuple[str, TokenService], tmp_path: Path) -> None:
    """The token is asked for once, with the right to read where the base lies."""
    address, service = guarded
    made = sample(media_types=(MEDIA_LAYER_GZIP,))
    made.write_blobs(tmp_path / "blobs")
    push(address, "base", made, tmp_path / "blobs")
    service.asked.clear()
    pushed = push(address, "app", made, tmp_path / "blobs", "base")
    assert (pushed.sent.blobs, pushed.mounted.blobs) == (0, 2)
    assert service.asked == [["repository:app:pull,push", "repository:base:pull"]]


def test_what_we_may_not_read_is_sent(guarded: tuple[str, TokenService], tmp_path: Path) -> None:
    """A repository that has the blobs and is not ours to read gives no mount, and does not stop the push."""
    address, service = guarded
    made = sample(media_types=(MEDIA_LAYER_GZIP,))
    made.write_blobs(tmp_path / "blobs")
    service.rights = {**RIGHTS, "hidden": ("pull", "push")}
    push(address, "hidden", made, tmp_path / "blobs")
    service.rights = RIGHTS
    pushed = push(address, "app", made, tmp_path / "blobs", "hidden")
    assert (pushed.sent.blobs, pushed.mounted.blobs) == (2, 0)
    reader = client(address, "app")
    accept = {"Accept": made.image.manifest.media_type}
    assert reader.get(reader.url("manifests", "1"), accept).content == made.blobs[made.image.manifest.digest]

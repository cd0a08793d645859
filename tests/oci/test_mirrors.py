"""Where images come from when there are several places: mirrors, search registries, and what happens when one fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.errors import ImageError
from builder.oci.layout import write_layout
from builder.oci.registry import RegistrySource
from builder.oci.source import ignore_progress
from builder.values.access import Access, Credential
from builder.values.image import MEDIA_LAYER_GZIP
from builder.values.registries import Mirror, RegistryRule, RegistryRules
from tests.oci.images import AMD64, Sample, sample
from tests.oci.rogue import QUICK, Exchange, Rogue, body, ranges, running_rogue, status
from tests.registry import free_port, push, running_registry


@pytest.fixture
def other() -> Iterator[Rogue]:
    """A second server."""
    with running_rogue() as server:
        yield server


@pytest.fixture
def told() -> list[str]:
    """What people were told."""
    return []


def mirrored(original: str, *mirrors: str) -> RegistryRules:
    """Rules with mirrors of one registry."""
    return RegistryRules(rules=(RegistryRule(original, original, mirrors=tuple(map(Mirror, mirrors))),))


def source_of(name: str, rules: RegistryRules, told: list[str]) -> RegistrySource:
    """A source with little patience."""
    return RegistrySource(name, Access(rules=rules), QUICK, told.append)


def test_a_mirror_comes_first(rogue: Rogue, other: Rogue, told: list[str], tmp_path: Path) -> None:
    """What a mirror has is not asked of the registry; nobody need be told."""
    made = sample()
    rogue.serve("hub/app", made, "1")
    source = source_of(f"{other.address}/app:1", mirrored(other.address, f"{rogue.address}/hub"), told)
    assert source.load(AMD64) == made.image
    source.fetch(made.image.layers[0].descriptor, tmp_path / "layer", ignore_progress)
    assert (tmp_path / "layer").read_bytes() == made.layer_bytes()
    assert (other.requests, told) == ([], [])
    assert str(source.meant) == f"{other.address}/app:1"


@pytest.mark.parametrize("code", [404, 401, 403, 429, 500, 503])
def test_the_registry_stands_behind_its_mirrors(rogue: Rogue, other: Rogue, told: list[str], code: int) -> None:
    """A mirror that lacks the image, refuses it or is broken is passed over, once, and people are told why."""
    made = sample()
    rogue.routes["/v2/app/manifests/1"] = status(code)
    other.serve("app", made, "1")
    source = source_of(f"{other.address}/app:1", mirrored(other.address, rogue.address), told)
    assert source.load(AMD64) == made.image
    assert len(told) == 1
    assert told[0].startswith(f"{other.address}/app:1 comes from {other.address}: ")
    assert rogue.address in told[0]
    assert not any("blobs" in path for path, _ in rogue.requests)


def test_a_mirror_that_is_not_there(other: Rogue, told: list[str]) -> None:
    """Nobody listens: the next one is asked at once."""
    made = sample()
    other.serve("app", made, "1")
    dead = f"127.0.0.1:{free_port()}"
    source = source_of(f"{other.address}/app:1", mirrored(other.address, dead), told)
    assert source.load(AMD64) == made.image
    assert told == [f"{other.address}/app:1 comes from {other.address}: {dead} refuses the connection"]


def test_when_all_fail_each_reason_is_given(rogue: Rogue, other: Rogue, told: list[str]) -> None:
    """One line that lists the places in their order; the hint is the registry's."""
    dead = f"127.0.0.1:{free_port()}"
    source = source_of(f"{other.address}/app:1", mirrored(other.address, dead, rogue.address), told)
    with pytest.raises(ImageError, match=f"^{other.address}/app:1 was found nowhere: ") as caught:
        source.load(AMD64)
    reasons = caught.value.message.split(": ", 1)[1].split("; ")
    assert [address in reason for address, reason in zip((dead, rogue.address, other.address), reasons, strict=True)]
    assert "\n" not in caught.value.message
    assert caught.value.hint is not None


def test_a_blob_that_a_mirror_lacks_comes_from_the_registry(
    rogue: Rogue, other: Rogue, told: list[str], tmp_path: Path
) -> None:
    """A mirror may be incomplete: its manifest is good, and what it points at has its digest anywhere."""
    made = sample()
    rogue.serve("app", made, "1")
    other.serve("app", made, "1")
    layer = made.image.layers[0].descriptor
    del rogue.routes[f"/v2/app/blobs/{layer.digest}"]
    source = source_of(f"{other.address}/app:1", mirrored(other.address, rogue.address), told)
    source.load(AMD64)
    source.fetch(layer, tmp_path / "layer", ignore_progress)
    assert (tmp_path / "layer").read_bytes() == made.layer_bytes()
    assert len(told) == 1


@pytest.mark.parametrize("begun_well", [True, False])
def test_the_registry_goes_on_where_a_mirror_broke(
    rogue: Rogue, other: Rogue, told: list[str], tmp_path: Path, begun_well: bool
) -> None:
    """Only the rest is asked for; if the beginning was wrong, all of it is, once more."""
    made = sample()
    data, layer = made.layer_bytes(), made.image.layers[0].descriptor
    half, rest = len(data) // 2, ranges(data)
    rogue.serve("app", made, "1")
    other.serve("app", made, "1")
    asked = []

    def cut(exchange: Exchange) -> None:
        if exchange.headers.get("Range"):
            exchange.send(404, b"")
            return
        exchange.begin(200, Content_Length=len(data))
        exchange.write(data[:half] if begun_well else bytes(half))

    def whole(exchange: Exchange) -> None:
        asked.append(exchange.headers.get("Range") or "")
        rest(exchange)

    rogue.routes[f"/v2/app/blobs/{layer.digest}"] = cut
    other.routes[f"/v2/app/blobs/{layer.digest}"] = whole
    source = source_of(f"{other.address}/app:1", mirrored(other.address, rogue.address), told)
    source.load(AMD64)
    source.fetch(layer, tmp_path / "layer", ignore_progress)
    assert (tmp_path / "layer").read_bytes() == data
    assert asked == ([f"bytes={half}-"] if begun_well else [f"bytes={half}-", ""])


def test_a_mirror_that_lies_is_found_out(rogue: Rogue, other: Rogue, told: list[str], tmp_path: Path) -> None:
    """A pinned manifest and a blob with the wrong bytes: both are refused, and had from the registry."""
    made, wrong = sample(), sample(media_types=(MEDIA_LAYER_GZIP, MEDIA_LAYER_GZIP))
    digest, layer = made.image.manifest.digest, made.image.layers[0].descriptor
    other.serve("app", made, "1")
    rogue.routes[f"/v2/app/manifests/{digest}"] = body(wrong.blobs[wrong.image.manifest.digest])
    rogue.routes[f"/v2/app/blobs/{layer.digest}"] = body(b"x" * layer.size)
    source = source_of(f"{other.address}/app@{digest}", mirrored(other.address, rogue.address), told)
    assert source.load(AMD64) == made.image
    assert "damaged" in told[0]
    again = source_of(f"{other.address}/app:1", mirrored(other.address, rogue.address), told)
    again.fetch(layer, tmp_path / "layer", ignore_progress)
    assert (tmp_path / "layer").read_bytes() == made.layer_bytes()


class Ring:
    """Logins for one registry, and who asked for any."""

    def __init__(self, registry: str) -> None:
        self.registry = registry
        self.asked: list[str] = []

    def find(self, registry: str, repository: str) -> Credential | None:  # noqa: ARG002 - the protocol's signature
        """The login of the one registry."""
        self.asked.append(registry)
        return Credential("me", "secret") if registry == self.registry else None


def test_a_mirror_never_sees_the_registrys_login(rogue: Rogue, other: Rogue, told: list[str]) -> None:
    """The mirror asks for one and is given none; the registry gets its own."""
    made = sample()
    other.serve("app", made, "1")
    manifest = other.routes["/v2/app/manifests/1"]

    def asking(exchange: Exchange) -> None:
        exchange.send(401, b"", WWW_Authenticate='Basic realm="r"')

    def guarded(exchange: Exchange) -> None:
        manifest(exchange) if exchange.headers.get("Authorization") else asking(exchange)

    rogue.routes["/v2/app/manifests/1"] = asking
    other.routes["/v2/app/manifests/1"] = guarded
    ring = Ring(other.address)
    access = Access(keyring=ring, rules=mirrored(other.address, rogue.address))
    assert RegistrySource(f"{other.address}/app:1", access, QUICK, told.append).load(AMD64) == made.image
    assert all(not authorization for _, authorization in rogue.requests)
    assert any(authorization for _, authorization in other.requests)
    assert rogue.address in ring.asked


def test_a_blocked_name_is_refused(told: list[str]) -> None:
    """With the file that says so, and without asking anybody."""
    rules = RegistryRules(rules=(RegistryRule("bad.example", "bad.example", blocked=True, origin="/etc/r.conf"),))
    with pytest.raises(ImageError, match=r"bad\.example/app:1 is blocked by /etc/r\.conf"):
        source_of("bad.example/app:1", rules, told).load(AMD64)


def test_a_blocked_search_registry_is_left_out(rogue: Rogue, told: list[str]) -> None:
    """A short name may still be found at the others."""
    made = sample()
    rogue.serve("app", made, "1")
    rules = RegistryRules(("bad.example", rogue.address), rules=(RegistryRule("bad.example", blocked=True),))
    assert source_of("app:1", rules, told).load(AMD64) == made.image


def test_search_registries_are_asked_in_order(rogue: Rogue, other: Rogue, told: list[str]) -> None:
    """A short name means what the first of them has; people are told which."""
    made = sample()
    other.serve("app", made, "1")
    rules = RegistryRules(search=(rogue.address, other.address))
    source = source_of("app:1", rules, told)
    assert source.load(AMD64) == made.image
    assert str(source.meant) == f"{other.address}/app:1"
    assert told[-1] == f"app:1 is {other.address}/app:1"
    with pytest.raises(ImageError, match=r"^none:1 was found nowhere: ") as caught:
        source_of("none:1", rules, told).load(AMD64)
    assert caught.value.message.index(rogue.address) < caught.value.message.index(other.address)


@pytest.fixture
def own_registry(tmp_path: Path) -> Iterator[str]:
    """A registry that no other test fills: skopeo sends what it believes to be the same layer there instead of ours."""
    (tmp_path / "own").mkdir()
    with running_registry(tmp_path / "own") as address:
        yield address


def pushed(tmp_path: Path, made: Sample, name: str) -> None:
    """Push a sample with skopeo."""
    made.write_blobs(tmp_path / "blobs")
    write_layout(tmp_path / "push", made.image, lambda digest: tmp_path / "blobs" / digest.hex, ())
    push(f"oci:{tmp_path}/push", name)


@pytest.mark.clients
def test_a_mirror_killed_in_the_middle(own_registry: str, told: list[str], tmp_path: Path) -> None:
    """Two real registries: the mirror gives the manifest and is killed; the layers come from the original."""
    made = sample(media_types=(MEDIA_LAYER_GZIP, MEDIA_LAYER_GZIP))
    pushed(tmp_path, made, f"{own_registry}/killed:1")
    (tmp_path / "mirror").mkdir()
    with running_registry(tmp_path / "mirror") as mirror:
        push(f"docker://{own_registry}/killed:1", f"{mirror}/hub/killed:1", "--src-tls-verify=false")
        source = source_of(f"{own_registry}/killed:1", mirrored(own_registry, f"{mirror}/hub"), told)
        assert source.load(AMD64) == made.image
        assert told == []
    for number, layer in enumerate(made.image.layers):
        source.fetch(layer.descriptor, tmp_path / "layer", ignore_progress)
        assert (tmp_path / "layer").read_bytes() == made.layer_bytes(number)
    assert told == [f"{own_registry}/killed:1 comes from {own_registry}: {mirror} refuses the connection"]

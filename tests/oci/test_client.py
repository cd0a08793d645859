"""Tokens: who is asked for one, and who gets to see it."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.errors import ImageError
from builder.oci.registry import RegistrySource
from builder.oci.source import ignore_progress
from builder.values.reference import Reference
from tests.oci.images import AMD64, Sample, sample
from tests.oci.rogue import QUICK, Answer, Exchange, Rogue, body, json_answer, redirect, running_rogue, status


def guarded(answer: Answer, realm: str, token: str = "letmein") -> Answer:
    """`answer`, for who sends the token; for others a challenge that names `realm`."""

    def checked(exchange: Exchange) -> None:
        if exchange.headers.get("Authorization") == f"Bearer {token}":
            answer(exchange)
        else:
            challenge = f'Bearer realm="{realm}",service="reg \\"1\\"",scope="repository:app:pull"'
            exchange.send(401, b"{}", WWW_Authenticate=challenge)

    return checked


def serve_guarded(rogue: Rogue, made: Sample, realm: str) -> None:
    """Serve a sample as app:1, for who has the token."""
    rogue.serve("app", made)
    for path, answer in list(rogue.routes.items()):
        rogue.routes[path] = guarded(answer, realm)


def source_of(rogue: Rogue) -> RegistrySource:
    """app:1 of the server."""
    return RegistrySource(Reference.parse(f"{rogue.address}/app:1"), patience=QUICK)


@pytest.mark.parametrize("field", ["token", "access_token"])
def test_a_token_is_asked_for_once_and_used_for_everything(rogue: Rogue, field: str) -> None:
    """The challenge's service and scope are passed on; the token serves manifest, config and layers."""
    made = sample()
    serve_guarded(rogue, made, f"{rogue.url}/token?x=y")
    rogue.routes["/token"] = json_answer({field: "letmein"})
    source = source_of(rogue)
    assert source.load(AMD64) == made.image
    asked = [path for path, _ in rogue.requests if path.startswith("/token")]
    assert asked == ["/token?x=y&service=reg+%221%22&scope=repository%3Aapp%3Apull"]
    assert [auth for path, auth in rogue.requests if path.startswith("/token")] == [""]


def test_a_token_that_ran_out_is_renewed(rogue: Rogue) -> None:
    """A 401 in the middle leads to a new token, once."""
    made = sample()
    serve_guarded(rogue, made, f"{rogue.url}/token")
    rogue.routes["/token"] = json_answer({"token": "old"})
    config = f"/v2/app/blobs/{made.image.config_descriptor.digest}"
    rogue.routes["/v2/app/manifests/1"] = guarded(
        lambda exchange: exchange.send(200, made.blobs[made.image.manifest.digest]), f"{rogue.url}/token", "old"
    )
    fresh = json_answer({"token": "letmein"})

    def expired(exchange: Exchange) -> None:
        rogue.routes["/token"] = fresh
        rogue.routes[config] = guarded(body(made.blobs[made.image.config_descriptor.digest]), f"{rogue.url}/token")
        rogue.routes[config](exchange)

    rogue.routes[config] = expired
    assert source_of(rogue).load(AMD64) == made.image
    assert rogue.count("/token") == 2


def test_a_token_goes_to_no_other_host(rogue: Rogue, tmp_path: Path) -> None:
    """A blob that lies elsewhere is fetched there, without the Authorization header."""
    made = sample()
    layer = made.image.layers[0].descriptor
    with running_rogue() as storage:
        serve_guarded(rogue, made, f"{rogue.url}/token")
        rogue.routes["/token"] = json_answer({"token": "letmein"})
        path = f"/v2/app/blobs/{layer.digest}"
        rogue.routes[path] = guarded(redirect(f"{storage.url}/bucket?signature=1"), f"{rogue.url}/token")
        storage.routes["/bucket"] = body(made.layer_bytes())
        source = source_of(rogue)
        source.load(AMD64)
        source.fetch(layer, tmp_path / "layer", ignore_progress)
        assert storage.requests == [("/bucket?signature=1", "")]
        assert (path, "Bearer letmein") in rogue.requests


@pytest.mark.parametrize("realm", ["http://example.com/token", "file:///etc/passwd", "", "/token", "http://10.0.0.1/t"])
def test_a_token_service_that_is_not_trusted_is_not_asked(rogue: Rogue, realm: str) -> None:
    """Only https, or loopback for a registry on loopback."""
    serve_guarded(rogue, sample(), realm)
    with pytest.raises(ImageError, match="token service"):
        source_of(rogue).load(AMD64)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (status(403), "answers 403"),
        (status(500), "answers 500"),
        (json_answer({}), "gives no usable token"),
        (json_answer({"token": "a\r\nX-Evil: 1"}), "gives no usable token"),
        (json_answer({"token": 1}), "'token' is not a string"),
        (json_answer([]), "not a JSON object"),
        (body(b"x" * (2 << 20)), "more than 1 MiB"),
    ],
)
def test_a_bad_answer_of_a_token_service_is_explained(rogue: Rogue, answer: Answer, words: str) -> None:
    """Refusals, nonsense and floods each have their sentence."""
    serve_guarded(rogue, sample(), f"{rogue.url}/token")
    rogue.routes["/token"] = answer
    with pytest.raises(ImageError, match=words):
        source_of(rogue).load(AMD64)


def test_a_token_that_does_not_help_ends_in_one_sentence(rogue: Rogue) -> None:
    """A registry that refuses the token it asked for is not asked for ever."""
    serve_guarded(rogue, sample(), f"{rogue.url}/token")
    rogue.routes["/token"] = json_answer({"token": "useless"})
    with pytest.raises(ImageError, match="does not let us read") as caught:
        source_of(rogue).load(AMD64)
    assert caught.value.hint is not None
    assert "login" in caught.value.hint
    assert rogue.count("/v2/app/manifests/1") == 2


def test_a_basic_challenge_is_a_missing_login(rogue: Rogue) -> None:
    """Where a password is wanted, no token service is looked for."""
    rogue.routes["/v2/app/manifests/1"] = status(401, WWW_Authenticate='Basic realm="registry"')
    with pytest.raises(ImageError, match=r"does not let us read .* \(401\)"):
        source_of(rogue).load(AMD64)
    assert len(rogue.requests) == 1

"""Logins: who gets to see them, and what becomes of them."""

from __future__ import annotations

import base64
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import pytest

from builder.errors import ImageError
from builder.oci.client import Client
from builder.oci.tokens import withheld_hint
from builder.values.access import Access, Credential, Trust
from builder.values.reference import Reference
from tests.oci.rogue import QUICK, Answer, Exchange, Rogue, body, in_turn, json_answer, redirect, running_rogue, status

LOGIN = Credential("me", "sec:ret")
BASIC = "Basic " + base64.b64encode(b"me:sec:ret").decode()


class Keys:
    """A keyring that remembers who was asked about."""

    def __init__(self, login: Credential | None = LOGIN) -> None:
        self.login = login
        self.asked: list[tuple[str, str]] = []

    def find(self, registry: str, repository: str) -> Credential | None:
        """The login, whoever wants it."""
        self.asked.append((registry, repository))
        return self.login


def guarded(scheme: str, header: str, answer: Answer | None = None) -> Answer:
    """An answer for who sends the header; others are challenged."""

    def checked(exchange: Exchange) -> None:
        if exchange.headers.get("Authorization") == header:
            (answer or body(b"well"))(exchange)
        else:
            exchange.send(401, b"{}", WWW_Authenticate=scheme)

    return checked


def bearer(rogue: Rogue, header: str = "Bearer letmein", realm: str = "") -> None:
    """Serve app's manifest 1 for who has the token."""
    challenge = f'Bearer realm="{realm or rogue.url + "/token"}",service="reg",scope="repository:app:pull"'
    rogue.routes["/v2/app/manifests/1"] = guarded(challenge, header)


def client_of(rogue: Rogue, keys: Keys, **more: object) -> Client:
    """A client of the repository app."""
    insecure = more.pop("insecure", ())
    assert isinstance(insecure, tuple)
    access = Access(keyring=keys, trust=Trust(insecure=insecure))
    return Client(Reference.parse(f"{rogue.address}/app:1"), access, QUICK, **more)  # type: ignore[arg-type]


def read(client: Client) -> bytes:
    """The manifest 1."""
    with client.get(client.url("manifests", "1"), {}) as response:
        return bytes(response.content)


def auths(rogue: Rogue, path: str) -> list[str]:
    """What came as Authorization to a path."""
    return [auth for asked, auth in rogue.requests if asked.partition("?")[0] == path]


def test_a_login_is_only_looked_up_when_it_is_wanted(rogue: Rogue) -> None:
    """No file of logins is opened for a registry that lets everybody in."""
    rogue.routes["/v2/app/manifests/1"] = body(b"well")
    keys = Keys()
    assert read(client_of(rogue, keys)) == b"well"
    assert keys.asked == []
    assert auths(rogue, "/v2/app/manifests/1") == [""]


def test_a_basic_challenge_is_answered_with_the_login(rogue: Rogue) -> None:
    """Name and password go to the registry itself, from then on with each request."""
    rogue.routes["/v2/app/manifests/1"] = guarded('Basic realm="r"', BASIC)
    keys = Keys()
    client = client_of(rogue, keys)
    assert [read(client), read(client)] == [b"well", b"well"]
    assert auths(rogue, "/v2/app/manifests/1") == ["", BASIC, BASIC]
    assert keys.asked == [(rogue.address, "app")]


def test_a_login_goes_to_the_token_service(rogue: Rogue) -> None:
    """As Basic, with service and scope in the query; the registry itself sees only the token."""
    bearer(rogue)
    rogue.routes["/token"] = guarded("", BASIC, json_answer({"token": "letmein"}))
    assert read(client_of(rogue, Keys())) == b"well"
    assert auths(rogue, "/token") == [BASIC]
    assert auths(rogue, "/v2/app/manifests/1") == ["", "Bearer letmein"]
    query = parse_qs(urlsplit(next(path for path, _ in rogue.requests if path.startswith("/token"))).query)
    assert query == {"service": ["reg"], "scope": ["repository:app:pull"]}


def test_what_a_push_needs_is_asked_for(rogue: Rogue) -> None:
    """pull and push for the repository, and pull for those that blobs are mounted from, each as its own scope."""
    bearer(rogue)
    rogue.routes["/token"] = json_answer({"token": "letmein"})
    assert read(client_of(rogue, Keys(), actions="pull,push", also=("base", "x/y"))) == b"well"
    query = parse_qs(urlsplit(next(path for path, _ in rogue.requests if path.startswith("/token"))).query)
    assert query["scope"] == ["repository:app:pull,push", "repository:base:pull", "repository:x/y:pull"]


def test_a_mount_that_is_not_allowed_does_not_forbid_the_push(rogue: Rogue) -> None:
    """Where a token service refuses all because of a wish, it is asked again without."""
    bearer(rogue)

    def token(exchange: Exchange) -> None:
        (status(403) if "base" in exchange.path else json_answer({"token": "letmein"}))(exchange)

    rogue.routes["/token"] = token
    assert read(client_of(rogue, Keys(), actions="pull,push", also=("base",))) == b"well"
    assert rogue.count("/token") == 2


def test_an_identity_token_is_exchanged(rogue: Rogue) -> None:
    """By POST, as OAuth2 has it: the token stands in the body and in no header."""
    bearer(rogue)
    seen: list[dict[str, list[str]]] = []

    def token(exchange: Exchange) -> None:
        seen.append(parse_qs(exchange.read().decode()))
        json_answer({"access_token": "letmein", "expires_in": 300})(exchange)

    rogue.routes["POST /token"] = token
    assert read(client_of(rogue, Keys(Credential("<token>", identity_token="idt")))) == b"well"
    assert auths(rogue, "/token") == [""]
    assert seen == [
        {
            "grant_type": ["refresh_token"],
            "service": ["reg"],
            "client_id": ["pybuild"],
            "scope": ["repository:app:pull"],
            "refresh_token": ["idt"],
        }
    ]


@pytest.mark.parametrize("number", [404, 405])
def test_a_service_that_knows_no_post_gets_the_identity_token_by_get(rogue: Rogue, number: int) -> None:
    """Then it is the password, as it always was with such services."""
    bearer(rogue)
    rogue.routes["POST /token"] = status(number)
    header = "Basic " + base64.b64encode(b"me:idt").decode()
    rogue.routes["GET /token"] = guarded("", header, json_answer({"token": "letmein"}))
    assert read(client_of(rogue, Keys(Credential("me", identity_token="idt")))) == b"well"


def test_an_identity_token_follows_no_redirect(rogue: Rogue) -> None:
    """It is in the body, which a redirect would carry to another server."""
    bearer(rogue)
    with running_rogue() as elsewhere:
        rogue.routes["POST /token"] = redirect(f"{elsewhere.url}/token")
        with pytest.raises(ImageError, match="redirects a login"):
            read(client_of(rogue, Keys(Credential("<token>", identity_token="idt"))))
        assert elsewhere.requests == []


def test_a_login_follows_no_redirect_to_another_server(rogue: Rogue) -> None:
    """Neither from the registry nor from its token service."""
    rogue.routes["/v2/app/manifests/1"] = guarded('Basic realm="r"', BASIC)
    bearer(rogue)
    with running_rogue() as elsewhere:
        elsewhere.routes["/token"] = json_answer({"token": "letmein"})
        rogue.routes["/token"] = redirect(f"{elsewhere.url}/token")
        assert read(client_of(rogue, Keys())) == b"well"
        assert auths(elsewhere, "/token") == [""]


@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
def test_only_the_registry_itself_says_who_sees_a_login(rogue: Rogue, scheme: str) -> None:
    """Storage that a registry sends us to, and that wants to know who we are, is told nothing and may name nobody."""
    with running_rogue() as storage, running_rogue() as thief:
        rogue.routes["/v2/app/manifests/1"] = redirect(f"{storage.url}/blob")
        storage.routes["/blob"] = guarded(f'{scheme} realm="{thief.url}/token",service="reg"', "never")
        thief.routes["/token"] = json_answer({"token": "x"})
        keys = Keys()
        with pytest.raises(ImageError, match="401"):
            read(client_of(rogue, keys))
        assert thief.requests == []
        assert keys.asked == []
        assert {auth for _, auth in (*rogue.requests, *storage.requests)} == {""}


def test_a_token_that_ends_soon_is_renewed_in_time(rogue: Rogue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the next request, so that no upload is sent in vain."""
    bearer(rogue, "Bearer second")
    rogue.routes["/v2/app/manifests/1"] = in_turn(
        guarded('Bearer realm="' + rogue.url + '/token"', "no token yet"),
        guarded("", "Bearer first"),
        guarded("", "Bearer second"),
    )
    rogue.routes["/token"] = in_turn(
        json_answer({"token": "first", "expires_in": 100}), json_answer({"token": "second", "expires_in": 100})
    )
    client = client_of(rogue, Keys())
    assert read(client) == b"well"
    later = time.monotonic() + 101
    monkeypatch.setattr("builder.oci.tokens.time.monotonic", lambda: later)
    assert read(client) == b"well"
    assert rogue.count("/v2/app/manifests/1") == 3


def test_a_wrong_password_is_one_sentence(rogue: Rogue) -> None:
    """The registry is asked twice, not for ever, and the login is not in what is said."""
    rogue.routes["/v2/app/manifests/1"] = status(401, WWW_Authenticate='Basic realm="r"')
    with pytest.raises(ImageError, match=r"refuses the login \(401\)") as caught:
        read(client_of(rogue, Keys()))
    assert caught.value.hint == f"log in anew: pybuild login {rogue.address}"
    assert len(rogue.requests) == 2
    assert "sec" not in caught.value.message


def test_a_wrong_password_at_the_token_service_is_one_sentence(rogue: Rogue) -> None:
    """401 from there is the same as from the registry."""
    bearer(rogue)
    rogue.routes["/token"] = status(401)
    with pytest.raises(ImageError, match="refuses the login") as caught:
        read(client_of(rogue, Keys()))
    assert f"pybuild login {rogue.address}" in (caught.value.hint or "")


def test_without_a_login_the_hint_is_to_make_one(rogue: Rogue) -> None:
    """The image may also not exist: registries do not tell."""
    bearer(rogue)
    rogue.routes["/token"] = status(401)
    with pytest.raises(ImageError) as caught:
        read(client_of(rogue, Keys(None)))
    assert caught.value.hint == f"the image does not exist or needs a login: pybuild login {rogue.address}"


def test_a_login_that_may_not_is_told_from_a_wrong_one(rogue: Rogue) -> None:
    """403 with a login is about rights."""
    rogue.routes["/v2/app/manifests/1"] = guarded('Basic realm="r"', BASIC, status(403))
    with pytest.raises(ImageError, match=r"does not let this login write .* \(403\)"):
        read(client_of(rogue, Keys(), actions="pull,push"))


def test_a_login_is_not_sent_where_anybody_could_have_pointed(rogue: Rogue) -> None:
    """A registry without TLS names a token service elsewhere: it is asked as nobody, and the hint says why."""
    bearer(rogue, realm="https://auth.example.invalid/token")
    with pytest.raises(ImageError):
        read(client_of(rogue, Keys()))
    assert auths(rogue, "/v2/app/manifests/1") == [""]
    assert "was not sent to https://auth.example.invalid/token" in withheld_hint(
        "https://auth.example.invalid/token", rogue.address
    )


def test_threads_share_one_token(rogue: Rogue) -> None:
    """Whoever is refused first asks; the others use what it got."""
    bearer(rogue)
    rogue.routes["/token"] = json_answer({"token": "letmein"})
    client = client_of(rogue, Keys())
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: read(client), range(16))) == {b"well"}
    assert rogue.count("/token") == 1


def token_for(login: str, seen: list[str]) -> Answer:
    """A token service: one token for who logs in, another for nobody."""

    def token(exchange: Exchange) -> None:
        header = exchange.headers.get("Authorization") or ""
        seen.append(header)
        json_answer({"token": "letmein" if header == login else "nobody"})(exchange)

    return token


def test_a_login_for_nobody_in_particular_is_kept_back(rogue: Rogue) -> None:
    """A registry that serves everybody never sees it; one that does not gets it in the second attempt."""
    seen: list[str] = []
    rogue.routes["/token"] = token_for(BASIC, seen)
    keys = Keys()
    access = Access(keyring=keys, anonymous_first=True)
    bearer(rogue, "Bearer nobody")
    assert read(Client(Reference.parse(f"{rogue.address}/app"), access, QUICK)) == b"well"
    assert (keys.asked, seen) == ([], [""])
    bearer(rogue)
    assert read(Client(Reference.parse(f"{rogue.address}/app"), access, QUICK)) == b"well"
    assert seen == ["", "", BASIC]


def test_a_service_that_serves_nobody_gets_it_at_once(rogue: Rogue) -> None:
    """Where even the token is refused, and where the registry wants Basic, nobody is not an option."""
    access = Access(keyring=Keys(), anonymous_first=True)
    bearer(rogue)
    rogue.routes["/token"] = guarded("", BASIC, json_answer({"token": "letmein"}))
    assert read(Client(Reference.parse(f"{rogue.address}/app"), access, QUICK)) == b"well"
    rogue.routes["/v2/app/manifests/1"] = guarded('Basic realm="r"', BASIC)
    assert read(Client(Reference.parse(f"{rogue.address}/app"), access, QUICK)) == b"well"

"""Whom we believe, and who sees our certificates."""

from __future__ import annotations

import ssl
import warnings
from pathlib import Path

import pytest

from builder.errors import ImageError, PybuildError, UsageError
from builder.oci.client import Client
from builder.oci.tls import Contexts, certificates_for, certificates_in
from builder.values.access import Access, Credential, Trust
from builder.values.reference import Reference
from tests.certificates import Authority
from tests.oci.rogue import QUICK, body, json_answer, running_rogue, status
from tests.registry import Tls, running_registry

HOST = ("https", "reg.example", 5000)


def read(address: str, trust: Trust, login: Credential | None = None) -> int:
    """The status of a GET of the list of tags; raises what the client raises."""

    class Keys:
        def find(self, registry: str, repository: str) -> Credential | None:  # noqa: ARG002 - one login for all
            return login

    client = Client(Reference.parse(f"{address}/app"), Access(trust=trust, keyring=Keys()), QUICK)
    with client.request("GET", f"{client.base}/v2/", {}) as response:
        return response.status_code


def test_a_private_ca_is_believed_when_it_is_named(tls_registry: str, authority: Authority, tmp_path: Path) -> None:
    """By --cert-dir, a folder for the registry, or SSL_CERT_FILE; and with nothing of it, not."""
    authority.trusted_in(tmp_path / "certs.d" / tls_registry)
    for trust in (
        Trust(cert_dir=tmp_path / "certs.d" / tls_registry),
        Trust(cert_folders=(tmp_path / "missing", tmp_path / "certs.d")),
        Trust(roots_file=authority.certificate),
    ):
        assert read(tls_registry, trust, Credential("me", "secret")) == 200
    with pytest.raises(ImageError, match=r"certificate of .* is not trusted") as caught:
        read(tls_registry, Trust())
    assert "--cert-dir" in (caught.value.hint or "")


def test_an_insecure_registry_may_show_any_certificate(tls_registry: str) -> None:
    """Once it is named, TLS is spoken without asking who is there."""
    assert read(tls_registry, Trust(insecure=(tls_registry,)), Credential("me", "secret")) == 200


def test_a_certificate_for_another_name_is_refused(authority: Authority, tmp_path: Path) -> None:
    """The CA alone does not make a server the one that was meant."""
    certificate, key = authority.client("stranger")
    with running_registry(tmp_path, tls=Tls(certificate, key)) as address, pytest.raises(ImageError) as caught:
        read(address, Trust(roots_file=authority.certificate))
    assert "is not trusted" in caught.value.message


@pytest.mark.parametrize("kind", ["only a subject", "expired", "another address"])
def test_what_is_wrong_with_a_certificate_is_said(authority: Authority, kind: str) -> None:
    """A host's name must stand among the names of a certificate that is valid now; naming its CA does not mend that."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    names = {"only a subject": "", "expired": "IP:127.0.0.1", "another address": "IP:127.0.0.2"}[kind]
    context.load_cert_chain(*authority.odd_server(kind.replace(" ", "-"), names, days=-1 if kind == "expired" else 2))
    asked = ("127.0.0.1", "localhost" if kind == "only a subject" else "127.0.0.1")
    with running_rogue(tls=context) as rogue, pytest.raises(ImageError, match="is not trusted: ") as caught:
        read(rogue.address.replace(*asked), Trust(roots_file=authority.certificate))
    assert ("clock" if kind == "expired" else "subjectAltName") in (caught.value.hint or "")


def test_an_old_tls_is_not_spoken(authority: Authority) -> None:
    """TLS 1.2 is the least, also where nobody asks who is there."""
    context = authority.server_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore"):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with running_rogue(tls=context) as rogue:
        for trust in (Trust(roots_file=authority.certificate), Trust(insecure=(rogue.address,))):
            with pytest.raises(ImageError, match="no secure connection"):
                read(rogue.address, trust)


def test_a_client_certificate_is_shown_to_its_registry(authority: Authority, tmp_path: Path) -> None:
    """And without it, the registry's refusal is explained."""
    with running_registry(tmp_path, tls=Tls(*authority.server(), authority.certificate)) as address:
        assert read(address, Trust(cert_dir=authority.trusted_in(tmp_path / "both", client=True))) == 200
        with pytest.raises(ImageError, match="client certificate") as caught:
            read(address, Trust(cert_dir=authority.trusted_in(tmp_path / "ca")))
        assert "NAME.cert" in (caught.value.hint or "")


def test_nobody_else_sees_the_client_certificate_or_is_believed_by_the_folder(
    authority: Authority, tmp_path: Path
) -> None:
    """--cert-dir is for the registry: another server, even one it redirects to, gets neither."""
    folder = authority.trusted_in(tmp_path / "certs", client=True)
    trust = Trust(cert_dir=folder)
    assert certificates_for(HOST, trust, HOST).clients
    assert certificates_for(("https", "reg.example", 443), trust, HOST) == certificates_for(HOST, Trust(), HOST)
    context = authority.server_context()
    with running_rogue(tls=context) as registry, running_rogue(tls=context) as storage:
        registry.routes["/v2/app/blobs/x"] = status(307, Location=f"{storage.url}/x")
        storage.routes["/x"] = body(b"")
        client = Client(Reference.parse(f"{registry.address}/app"), Access(trust=trust), QUICK)
        with pytest.raises(ImageError, match=f"certificate of {storage.address} is not trusted"):
            client.get(client.url("blobs", "x"), {})
        assert storage.requests == []


def test_the_registrys_ca_vouches_for_its_token_service(authority: Authority, tmp_path: Path) -> None:
    """Who holds that CA could pass for the registry anyway; a private CA usually signs both."""
    context = authority.server_context()
    with running_rogue(tls=context) as registry, running_rogue(tls=context) as service:
        challenge = f'Bearer realm="{service.url}/token"'
        registry.routes["/v2/"] = status(401, WWW_Authenticate=challenge)
        service.routes["/token"] = json_answer({"token": "letmein"})
        with pytest.raises(ImageError, match="does not let"):
            read(registry.address, Trust(cert_dir=authority.trusted_in(tmp_path)), Credential("me", "secret"))
        assert [auth[:6] for _, auth in service.requests] == ["Basic "]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("client.cert",), "has no client.key beside it"),
        (("client.key",), "has no client.cert beside it"),
        (("ca.crt",), "the CA .* cannot be used"),
        (("client.cert", "client.key"), "the client certificate .* cannot be used"),
    ],
)
def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path, names: tuple[str, ...], words: str) -> None:
    """Half of a pair, or what is no PEM."""
    for name in names:
        (tmp_path / name).write_text("nonsense")
    with pytest.raises(UsageError, match=words) as caught:
        Contexts(Trust(cert_dir=tmp_path), HOST).of(HOST)
    assert str(tmp_path) in caught.value.message


def test_an_encrypted_key_asks_nobody_for_its_passphrase(authority: Authority, tmp_path: Path) -> None:
    """OpenSSL would ask on the terminal, in the middle of whatever is shown there."""
    import subprocess

    folder = authority.trusted_in(tmp_path / "certs", client=True)
    plain = folder / "client.key"
    command = ["openssl", "ec", "-in", str(plain), "-aes128", "-passout", "pass:x", "-out", str(tmp_path / "encrypted")]
    subprocess.run(command, check=True, capture_output=True)
    (tmp_path / "encrypted").rename(plain)
    with pytest.raises(UsageError, match="cannot be used"):
        Contexts(Trust(cert_dir=folder), HOST).of(HOST)


def test_the_first_folder_that_knows_a_host_counts(tmp_path: Path) -> None:
    """HOST:PORT; the port may be left out where it is the usual one."""
    for name in ("a/reg.example:5000", "b/reg.example:5000", "b/other.example"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "ca.crt").touch()
    trust = Trust(cert_folders=(tmp_path / "a", tmp_path / "b"))
    assert certificates_for(HOST, trust, None).authorities == (tmp_path / "a/reg.example:5000/ca.crt",)
    assert certificates_for(("https", "other.example", 443), trust, None).authorities
    assert not certificates_for(("https", "other.example", 444), trust, None).authorities


def test_roots_that_cannot_be_read_are_a_mistake(tmp_path: Path) -> None:
    """SSL_CERT_FILE that leads nowhere believes nobody, and says so."""
    with pytest.raises(UsageError, match="cannot be read"):
        Contexts(Trust(roots_file=tmp_path / "missing"), None).of(HOST)


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path) -> None:
    """--cert-dir with something else than a directory."""
    with pytest.raises(PybuildError, match="cannot be read"):
        certificates_in(tmp_path / "missing")


def test_names_and_certificates_are_checked_by_default() -> None:
    """A context for nobody in particular believes no unknown certificate and no other name; TLS 1.2 at least."""
    context = Contexts(Trust(), None).of(HOST)
    assert context.check_hostname and context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2

"""Files for ADD from URLs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.errors import ContextError
from builder.oci.fetch import Web, fetch_url, name_of
from builder.oci.hosts import NO_PROXIES
from builder.values.access import Trust
from builder.values.digest import Digest
from tests.certificates import Authority
from tests.oci.rogue import (
    QUICK,
    Answer,
    Rogue,
    body,
    cut_after,
    in_turn,
    redirect,
    running_rogue,
    silent,
    status,
    trickle,
)
from tests.registry import free_port

WEB = Web(NO_PROXIES, QUICK)
DATA = b"content" * 1000


def test_a_file_is_fetched(rogue: Rogue, tmp_path: Path) -> None:
    """Its bytes, its name, its size, its digest and when it was changed."""
    rogue.routes["/dir/file.tar"] = lambda exchange: exchange.send(
        200, DATA, Last_Modified="Wed, 21 Oct 2015 07:28:00 GMT", Content_Disposition="attachment; filename=other"
    )
    fetched = fetch_url(f"{rogue.url}/dir/file.tar?x=1", tmp_path / "out", Digest.of(DATA), WEB)
    assert (tmp_path / "out").read_bytes() == DATA
    assert (fetched.name, fetched.size, fetched.last_modified_s) == ("file.tar", len(DATA), 1445412480)
    assert fetched.digest == Digest.of(DATA)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://h/a/b.txt", "b.txt"),
        ("https://h/a/b/", "b"),
        ("https://h/a%20b.txt?q#f", "a b.txt"),
        ("https://h/a%2Fb", "b"),
        ("https://h/..%2f..", "__unnamed__"),
        ("https://h/", "__unnamed__"),
        ("https://h", "__unnamed__"),
        ("https://h/%00", "__unnamed__"),
    ],
)
def test_the_name_comes_from_the_path(url: str, name: str) -> None:
    """The last part of the path, decoded; never a path, never empty."""
    assert name_of(url) == name


@pytest.mark.parametrize("value", ["", "yesterday", "Wed, 99 Oct 2015 07:28:00 GMT"])
def test_a_bad_last_modified_is_none(rogue: Rogue, tmp_path: Path, value: str) -> None:
    """A date that cannot be read is as good as none."""
    rogue.routes["/f"] = lambda exchange: exchange.send(200, DATA, Last_Modified=value)
    assert fetch_url(f"{rogue.url}/f", tmp_path / "out", None, WEB).last_modified_s is None


def test_redirects_are_followed_and_the_name_stays(rogue: Rogue, tmp_path: Path) -> None:
    """A mirror's name for the file does not matter."""
    rogue.routes["/f"] = redirect("/mirror/g")
    rogue.routes["/mirror/g"] = body(DATA)
    assert fetch_url(f"{rogue.url}/f", tmp_path / "out", None, WEB).name == "f"


def test_what_passes_is_tried_again(rogue: Rogue, tmp_path: Path) -> None:
    """A 503, then a broken transfer, then all of it."""
    rogue.routes["/f"] = in_turn(status(503), cut_after(DATA, 100), body(DATA))
    fetch_url(f"{rogue.url}/f", tmp_path / "out", None, WEB)
    assert (tmp_path / "out").read_bytes() == DATA


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (status(404), "does not exist"),
        (status(403), "does not let us read it"),
        (status(500), "answers 500"),
        (redirect("/f"), "redirects more than 5 times"),
        (cut_after(DATA, 100), "broke"),
        (silent, "does not answer in time"),
        (body(b"other"), "its digest is sha256:.*, not sha256:"),
    ],
)
def test_what_goes_wrong_is_one_line(rogue: Rogue, tmp_path: Path, answer: Answer, words: str) -> None:
    """With the URL, and no file is left."""
    rogue.routes["/f"] = answer
    with pytest.raises(ContextError, match=words) as caught:
        fetch_url(f"{rogue.url}/f?secret=1", tmp_path / "out", Digest.of(DATA), WEB)
    assert caught.value.message.startswith(f"ADD cannot fetch {rogue.url}/f: ")
    assert "secret" not in caught.value.message
    assert os.listdir(tmp_path) == []


def test_a_body_that_trickles_ends_at_the_deadline(rogue: Rogue, tmp_path: Path) -> None:
    """Without an announced size there is a deadline all the same."""
    rogue.routes["/f"] = trickle
    patience = type(QUICK)(read_s=1, attempts=1, blob_s=1, slowest=1 << 40)
    with pytest.raises(ContextError, match="too slow"):
        fetch_url(f"{rogue.url}/f", tmp_path / "out", None, Web(NO_PROXIES, patience))


@pytest.mark.parametrize("url", ["ftp://h/f", "file:///etc/passwd", "nonsense", "http://"])
def test_only_web_urls_are_fetched(url: str, tmp_path: Path) -> None:
    """Anything else is refused before a connection is made."""
    with pytest.raises(ContextError, match="not an http or https URL"):
        fetch_url(url, tmp_path / "out", None, WEB)


def test_a_server_that_is_not_there_is_explained(tmp_path: Path) -> None:
    """Nobody listens on that port."""
    with pytest.raises(ContextError, match="refuses the connection"):
        fetch_url(f"http://127.0.0.1:{free_port()}/f", tmp_path / "out", None, WEB)


def test_whose_certificates_are_believed(authority: Authority, tmp_path: Path) -> None:
    """Those of the roots that SSL_CERT_FILE names; what is said of registries is not meant for files."""
    with running_rogue(tls=authority.server_context()) as rogue:
        rogue.routes["/f"] = body(DATA)
        roots = Trust(roots_file=authority.certificate)
        assert fetch_url(f"{rogue.url}/f", tmp_path / "out", None, Web(NO_PROXIES, QUICK, roots)).size == len(DATA)
        folder = authority.trusted_in(tmp_path / "certs.d" / rogue.address)
        others = Trust(insecure=(rogue.address,), cert_dir=folder, cert_folders=(tmp_path / "certs.d",))
        with pytest.raises(ContextError, match="is not trusted") as caught:
            fetch_url(f"{rogue.url}/f", tmp_path / "no", None, Web(NO_PROXIES, QUICK, others))
    assert "SSL_CERT_FILE" in (caught.value.hint or "")

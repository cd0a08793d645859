"""What secrets look like."""

from __future__ import annotations

import json
import subprocess
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.values.traces import Trace, is_telling, pieces, shown_forms, traces

TOKEN = b"tok/en+with 9 odd?bytes\xc3\xb6"
KEY = (
    b"-----BEGIN OPENSSH PRIVATE KEY-----\n"
    b"b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n"
    b"QyNTUxOQAAACBPs7t3l5xkq2Xw0c9Zk1b4vQ8mJr6Yh2nT5uVw7aBcDeFgHiJkLmNoPqRs\n"
    b"-----END OPENSSH PRIVATE KEY-----\n"
)
CERTIFICATE = (
    b"-----BEGIN CERTIFICATE-----\nMIIBkTCB+wIJAKHHIG4kq9W7MA0GCSqGSIb3DQEBBQUAMA0xCzAJ\n-----END CERTIFICATE-----\n"
)


def _finds(value: bytes, data: bytes) -> bool:
    return any(trace.data in data for trace in traces(value))


@given(st.binary(min_size=16, max_size=60), st.binary(max_size=200), st.binary(max_size=200))
def test_a_value_is_found_in_base64_wherever_it_stands(value: bytes, before: bytes, after: bytes) -> None:
    """All three alignments, both alphabets."""
    value = b"9" + value.strip() + b"z"
    assert _finds(value, b64encode(before + value + after))
    assert _finds(value, urlsafe_b64encode(before + value + after))


@given(st.integers(0, 100), st.sampled_from([64, 76]))
def test_lines_of_base64_do_not_hide_a_value(offset: int, width: int) -> None:
    """Encoders break lines; a value that is cut by that is found all the same."""
    value = b"ghp_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"
    text = b64encode(b"x" * offset + value + b"y" * 100)
    assert _finds(value, b"\n".join(text[at : at + width] for at in range(0, len(text), width)))


@pytest.mark.parametrize(
    "data",
    [
        quote(TOKEN).encode(),
        quote(TOKEN, safe="").encode(),
        quote(TOKEN, safe="").lower().encode(),
        quote_plus(TOKEN).encode(),
        TOKEN.hex().encode(),
        TOKEN.hex().upper().encode(),
    ],
)
def test_a_value_is_found_and_hidden_as_encoders_write_it(data: bytes) -> None:
    """URL-encoded by every habit, in hex."""
    assert _finds(TOKEN, data)
    assert any(form in data for form in shown_forms(TOKEN))


def test_a_value_is_found_and_hidden_in_json() -> None:
    """With the escapes that JSON needs."""
    value = 'quo"te\\back\nlinö'
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        assert _finds(value.encode(), text.encode())
        assert shown_forms(value.encode()) & {text[1:-1].encode()}


def test_a_form_is_named() -> None:
    """An error can say how the secret is written."""
    assert Trace(b"hunter2hunter2", "as it is") in traces(b"hunter2hunter2\n")
    assert {trace.form for trace in traces(b"hunter 2hunter")} == {"as it is", "in base64", "in hex", "URL-encoded"}


@pytest.mark.parametrize("value", [b"", b"short", b"1234567", b"password", b"production", b"changeme"])
def test_what_every_image_holds_is_not_looked_for(value: bytes) -> None:
    """Short values and plain words say nothing where they are found."""
    assert not is_telling(value)
    assert not traces(value)


def test_certificates_are_no_secrets() -> None:
    """A CA goes into images on purpose; of a bundle only the key is looked for."""
    assert traces(CERTIFICATE) == ()
    assert _finds(CERTIFICATE + KEY, KEY)
    assert not _finds(CERTIFICATE + KEY, CERTIFICATE)


@pytest.mark.parametrize(
    ("value", "token"),
    [
        (
            b"//registry.example/:_authToken=npm_AbCdEf0123456789abcdef\nalways-auth=true\n",
            b"npm_AbCdEf0123456789abcdef",
        ),
        (b"machine example login me password s3cret-pass\n", b"s3cret-pass"),
        (b"postgres://me:s3cret-pass@db/x", b"s3cret-pass"),
        (
            b'{"type": "service", "client_secret": "GOCSPX-4711-aBcD", "token_uri": "https://x.example/token"}',
            b"GOCSPX-4711-aBcD",
        ),
        (
            b"[default]\naws_secret_access_key = wJalrXUtnFEMIbK7MDENGbPxRfiCYEXAMPLEKEY0\n",
            b"wJalrXUtnFEMIbK7MDENGbPxRfiCYEXAMPLEKEY0",
        ),
    ],
)
def test_the_token_in_a_file_is_a_secret_by_itself(value: bytes, token: bytes) -> None:
    """What tools take out of their configuration and write elsewhere is found and hidden."""
    assert pieces(value) == (token,)
    assert _finds(value, b"x" + token + b"y")
    assert token in shown_forms(value)


@pytest.mark.parametrize("prefix", [b"    ", b"", b"\r"])
def test_a_key_is_found_by_its_lines(prefix: bytes) -> None:
    """Indented or with other line ends it is the same key."""
    assert _finds(KEY, KEY.replace(b"\n", prefix + b"\n"))


def test_the_frame_of_a_key_is_no_secret() -> None:
    """Programs that read keys hold these words, also in base64."""
    frame = b"-----BEGIN OPENSSH PRIVATE KEY-----\n-----END OPENSSH PRIVATE KEY-----\n"
    assert not _finds(KEY, frame + b64encode(frame))


def test_what_base64_writes_is_hidden_line_by_line() -> None:
    """As base64(1) shows a key."""
    for line in subprocess.run(["base64"], input=KEY, capture_output=True, check=True).stdout.splitlines():
        assert line in shown_forms(KEY)


def test_what_a_traced_shell_writes_is_hidden() -> None:
    """Shells quote the arguments that they show, and an apostrophe in a value comes out as four or five letters."""
    value = b"it's 4711 o'clock"
    traced = subprocess.run(
        ["bash", "-xc", 'true "$1"', "-", value], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, check=True
    ).stderr
    busybox = b"""+ true 'it'"'"'s 4711 o'"'"'clock'"""
    assert all(any(form in line for form in shown_forms(value)) for line in (traced, busybox))


def test_a_huge_value_is_looked_for_by_a_part() -> None:
    """What is searched for stays small."""
    assert max(len(trace.data) for trace in traces(b"a7" * 250_000)) == 4096

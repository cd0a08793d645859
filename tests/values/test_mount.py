"""Tests of the values that mounts are read into."""

from __future__ import annotations

from builder.values.mount import BindRequest, SecretRequest, Sharing, SshRequest


def test_defaults() -> None:
    """What is not said is what the reference says: read-only binds of everything, optional secrets for root only."""
    assert BindRequest("/a") == BindRequest("/a", "/", None, writable=False)
    assert SecretRequest("s").mode == 0o400
    assert not SecretRequest("s").required
    assert SshRequest().id == "default"


def test_sharing_is_its_word() -> None:
    """Ways of sharing compare as the words they are written with."""
    assert [str(way) for way in Sharing] == ["shared", "private", "locked"]

"""Values that look like credentials. Those here are made up, and put together so that no scanner wants them."""

from __future__ import annotations

import pytest

from builder.lang.credentials import credential_in

RANDOM = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0fL3nR6uX9zA2cE5gJ8"


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("ghp" + "_" + RANDOM[:36], "a GitHub token"),
        ("github" + "_pat_" + RANDOM + "_" + RANDOM, "a GitHub token"),
        ("glpat" + "-" + RANDOM[:20], "a GitLab token"),
        ("xoxb" + "-1234567890-" + RANDOM[:24], "a Slack token"),
        ("npm" + "_" + RANDOM[:36], "an npm token"),
        ("pypi" + "-" + RANDOM + RANDOM, "a PyPI token"),
        ("AKIA" + "ABCDEFGHIJKLMNOP", "an AWS access key"),
        ("AIza" + RANDOM[:35], "a Google API key"),
        ("dckr" + "_pat_" + RANDOM[:27], "a Docker Hub token"),
        ("sk" + "_live_" + RANDOM[:24], "a Stripe key"),
        ("eyJ" + RANDOM[:20] + ".eyJ" + RANDOM + "." + RANDOM, "a JSON web token"),
        ("-----BEGIN " + "OPENSSH PRIVATE KEY-----", "a private key"),
        ("-----BEGIN " + "PRIVATE KEY-----", "a private key"),
        ("https://me:hunter2@example.com/x.tar", "a password in a URL"),
        ("postgres://me:hunter2@db/x", "a password in a URL"),
        ("${TOKEN:-" + "ghp" + "_" + RANDOM[:36] + "}", "a GitHub token"),
    ],
)
def test_credentials_are_known_by_their_form(value: str, kind: str) -> None:
    """Also inside of other text."""
    assert credential_in(value) == kind
    assert credential_in(f"x={value} y") == kind


@pytest.mark.parametrize(
    "value",
    [
        "",
        "/usr/local/sbin:/usr/local/bin",
        "https://example.com:8080/a@b",
        "https://user@example.com/x",
        "https://${USER}:${TOKEN}@example.com",
        "https://me:***@example.com",
        "ssh://git@example.com:22/x.git",
        "git@github.com:owner/name.git",
        "npm_config_cache",
        "ghost_of_a_chance",
        "-----BEGIN CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----",
        "eyJhbGciOiJub25lIn0",
        "sha256:" + "0123456789abcdef" * 4,
    ],
)
def test_ordinary_values_are_not_credentials(value: str) -> None:
    """Paths, ports, variables and digests are nobody's password."""
    assert credential_in(value) is None

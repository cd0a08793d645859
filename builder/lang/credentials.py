"""Values that look like credentials: the tokens of well-known services by their form, private keys, passwords in URLs.

Forms are those that the services publish for scanners (GitHub's and GitLab's secret scanning). Nothing here shows a
value.
"""

from __future__ import annotations

import re
from functools import lru_cache

_MARKS = (
    *("://", "-----BEGIN", "eyJ", "gh", "github_pat_", "glpat-", "gldt-", "xox", "xapp-", "npm_", "pypi-"),
    *("AKIA", "ASIA", "AIza", "dckr_pat_", "k_live_"),
)
"""What one of them begins with: nearly all values have none of it, and then no pattern is even made."""

_FORMS = (
    ("a private key", r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY"),
    ("a GitHub token", r"\bgh[pousr]_[A-Za-z0-9]{36}|\bgithub_pat_[A-Za-z0-9_]{50}"),
    ("a GitLab token", r"\bgl(?:pat|dt)-[A-Za-z0-9_-]{20}"),
    ("a Slack token", r"\b(?:xox[abeprs]|xapp)-[A-Za-z0-9]+-[A-Za-z0-9-]{10}"),
    ("an npm token", r"\bnpm_[A-Za-z0-9]{36}"),
    ("a PyPI token", r"\bpypi-[A-Za-z0-9_-]{50}"),
    ("an AWS access key", r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
    ("a Google API key", r"\bAIza[A-Za-z0-9_-]{35}"),
    ("a Docker Hub token", r"\bdckr_pat_[A-Za-z0-9_-]{20}"),
    ("a Stripe key", r"\b[rs]k_live_[A-Za-z0-9]{16}"),
    ("a JSON web token", r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8}"),
    ("a password in a URL", r"[a-z0-9]://[^\s/:@$\"']*:[^\s/:@$\"'*]+@[A-Za-z0-9\[]"),
)


def credential_in(text: str) -> str | None:
    """What the text seems to hold, as one says it (`a GitHub token`), or None."""
    if not any(mark in text for mark in _MARKS):
        return None
    match = _pattern().search(text)
    return None if match is None else _FORMS[(match.lastindex or 1) - 1][0]


@lru_cache(maxsize=1)
def _pattern() -> re.Pattern[str]:
    return re.compile("|".join(f"({form})" for _, form in _FORMS))

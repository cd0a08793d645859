"""Tests for the names of git repositories."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.values.repository import Repository, parse_repository

COMMIT = "0123456789abcdef0123456789abcdef01234567"
URL = "https://example.com/a/b.git"


@pytest.mark.parametrize(
    "text",
    [
        *("https://example.com/", "https://example.com/foo", "https://example.com/foo.git/", "http://[::1/x.git"),
        *("https://example.com/foo.git.bar", "https://example.com/foo.tar.gz", "file:///x.git", "oci:x.git"),
        *("./.git", ".git", "a/b.git", "x@y/z", "ext::sh -c x", "github.com/a/b"),
    ],
)
def test_no_repository(text: str) -> None:
    """Paths, other URLs and other protocols are not git repositories."""
    assert parse_repository(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (URL, Repository(URL)),
        (f"{URL}#main", Repository(URL, "main")),
        (f"{URL}#release/1.2:docs/x", Repository(URL, "release/1.2", "docs/x")),
        (f"{URL}#:/../x/./y/", Repository(URL, None, "x/y")),
        (f"{URL}?ref=v1&subdir=/d", Repository(URL, "v1", "d")),
        (f"{URL}?subdir=d#v1", Repository(URL, "v1", "d")),
        (f"{URL}?tag=v1", Repository(URL, "refs/tags/v1")),
        (f"{URL}?branch=refs/heads/x", Repository(URL, "refs/heads/x")),
        (f"{URL}?commit={COMMIT}", Repository(URL, checksum=COMMIT)),
        (f"{URL}?keep-git-dir", Repository(URL, keep_git_dir=True)),
        (f"{URL}?keep-git-dir=0&submodules=false&mtime=commit", Repository(URL, keep_git_dir=False, submodules=False)),
        ("git://example.com/foo", Repository("git://example.com/foo")),
        ("SSH://git@example.com:22/foo#v1", Repository("ssh://git@example.com:22/foo", "v1")),
        ("git@example.com:a/b.git?subdir=d#v1", Repository("git@example.com:a/b.git", "v1", "d")),
    ],
)
def test_repositories(text: str, expected: Repository) -> None:
    """Both ways to write ref and directory are read, for URLs and for ssh's short form."""
    assert parse_repository(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *(f"{URL}?ref=a#b", f"{URL}?tag=a&branch=a", f"{URL}?subdir=a#x:b", f"{URL}?ref=a&ref=a", f"{URL}?ref="),
        *(f"{URL}?mtime=x", f"{URL}?evil=1", f"{URL}?submodules=maybe", f"{URL}?checksum=xyz", f"{URL}?checksum=12"),
        *(f"{URL}#--upload-pack=x", f"{URL}?ref=-x", f"{URL}#a..b", f"{URL}#a b", f"{URL}#a^b", f"{URL}#a@{{1}}"),
        *(f"{URL}#/x", f"{URL}#x.lock", f"{URL}#.x", f"{URL}#x%00", f"{URL}#:a%00b", f"{URL}#*"),
        *("ssh://-oProxyCommand=x/r", "ssh://-x@host/r", "git:///r", "git://host:port/r", "git@-oProxy:r", "-x@host:r"),
        "git://host/a\nb",
    ],
)
def test_malformed(text: str) -> None:
    """What contradicts itself, is not known, or could be an option or another revision for git is refused."""
    with pytest.raises(ValueError):
        parse_repository(text)


def test_facts() -> None:
    """A whole commit id is known as one; the scheme and host are at hand; passwords are not shown."""
    found = parse_repository(f"https://me:hush@Example.com:8443/b.git#{COMMIT}")
    assert found is not None
    assert (found.commit, found.scheme, found.host) == (COMMIT, "https", "example.com")
    assert found.shown == "https://Example.com:8443/b.git"
    short = parse_repository("git@example.com:b.git#main")
    assert short is not None
    assert (short.commit, short.scheme, short.host, short.shown) == (
        None,
        "ssh",
        "example.com",
        "git@example.com:b.git",
    )


def test_checksum_beside_the_url() -> None:
    """A --checksum is the URL's, unless that names another."""
    assert Repository(URL).with_checksum(COMMIT).checksum == COMMIT
    with pytest.raises(ValueError, match="another"):
        Repository(URL, checksum="abcdef0").with_checksum(COMMIT)


@given(st.text(max_size=60), st.text(max_size=60))
def test_nothing_becomes_an_option(ref: str, subdir: str) -> None:
    """Whatever stands in the URL, no word that git gets begins with a dash, and no directory leads out."""
    for text in (f"{URL}#{ref}:{subdir}", f"{URL}?ref={ref}&subdir={subdir}", ref, f"ssh://{ref}/{subdir}"):
        try:
            found = parse_repository(text)
        except ValueError:
            continue
        if found is not None:
            assert not found.remote.startswith("-")
            assert not (found.ref or "").startswith("-")
            assert ".." not in found.subdir.split("/")
            assert not found.subdir.startswith("/")

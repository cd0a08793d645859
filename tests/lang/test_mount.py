"""Tests of the values of `RUN --mount`."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.errors import BuildfileError
from builder.lang.mount import check_mount, parse_mount
from builder.values.mount import (
    BindRequest,
    CacheRequest,
    MountRequest,
    SecretRequest,
    Sharing,
    SshRequest,
    TmpfsRequest,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("target=/a", BindRequest("/a")),
        ("type=bind,src=s,dst=a,from=b", BindRequest("a", "s", "b")),
        ("TYPE=Bind,destination=/a,rw", BindRequest("/a", writable=True)),
        ("target=/a,readwrite=true,ro=false", BindRequest("/a", writable=True)),
        ("target=/a,rw,ro", BindRequest("/a")),
        ("target=/a,ro,rw,ro", BindRequest("/a")),
        ("source=s", BindRequest(".", "s")),
        ('"target=/a,b",source=c', BindRequest("/a,b", "c")),
        ('target=/a,"source=c""d"', BindRequest("/a", 'c"d')),
        ("type=cache,target=/a/./b/", CacheRequest("/a/./b/", "/a/b")),
        (
            "type=cache,target=/a,id=i,sharing=LOCKED,ro,from=f,source=s,mode=0700,uid=1,gid=2",
            CacheRequest("/a", "i", Sharing.LOCKED, read_only=True, from_="f", source="s", mode=0o700, uid=1, gid=2),
        ),
        ("type=tmpfs,target=/a", TmpfsRequest("/a")),
        ("type=tmpfs,target=/a,size=1.5m,ro", TmpfsRequest("/a", 3 << 19, read_only=True)),
        ("size=1k,type=tmpfs,target=/a", TmpfsRequest("/a", 1024)),
        ("target=/a,env=E", BindRequest("/a")),
        ("type=cache,target=/a,env=E", CacheRequest("/a", "/a")),
        ("type=tmpfs,target=/a,env=E", TmpfsRequest("/a")),
        ("type=secret,id=t", SecretRequest("t", "/run/secrets/t")),
        ("type=secret,id=a/t", SecretRequest("a/t", "/run/secrets/t")),
        ("type=secret,source=t,required", SecretRequest("t", "/run/secrets/t", required=True)),
        ("type=secret,target=/x/t", SecretRequest("t", "/x/t")),
        ("type=secret,id=t,env=T", SecretRequest("t", None, "T")),
        ("type=secret,id=t,env=", SecretRequest("t", None, "t")),
        ("type=secret,id=t,env=T,target=/t", SecretRequest("t", "/t", "T")),
        ("type=secret,id=t,mode=0440,uid=1,gid=2", SecretRequest("t", "/run/secrets/t", mode=0o440, uid=1, gid=2)),
        ("type=ssh", SshRequest()),
        ("required,type=ssh,id=i,target=/s,mode=0666,uid=1,gid=2", SshRequest("i", "/s", True, 0o666, 1, 2)),
        ("target=/a,", None),
    ],
)
def test_mounts(text: str, expected: MountRequest | None) -> None:
    """Every kind of mount has its keys, their synonyms and defaults."""
    if expected is None:
        with pytest.raises(BuildfileError):
            parse_mount(text)
    else:
        assert parse_mount(text) == expected


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "a mount needs a value", "--mount=type="),
        ("type=tmpfs,target=/a,colour=red", "unexpected key 'colour'", "keys are"),
        ("tagret=/a", "unexpected key 'tagret'", "target"),
        ("type=bnd,target=/a", "unsupported mount type 'bnd'", "bind"),
        ("type=volume", "unsupported mount type 'volume'", "cache"),
        ("target", "target of a mount needs a value", ""),
        ("target=/", "invalid mount target '/'", "below /"),
        ("target=/a/..", "invalid mount target", ""),
        ("target=/a,sharing=locked", "unexpected key 'sharing' for mount type 'bind'", "a bind mount takes"),
        ("target=/a,required", "unexpected key 'required' for mount type 'bind'", ""),
        ("target=/a,size=1", "unexpected key 'size' for mount type 'bind'", ""),
        ("target=/a,mode=0700", "unexpected key 'mode' for mount type 'bind'", ""),
        ("type=cache,target=/a,sharing=lokced", "unsupported sharing value 'lokced'", "locked"),
        ("type=cache,target=/a,mode=999", "mode of a mount: invalid octal number '999'", ""),
        ("type=cache,target=/a,uid=root", "uid of a mount: invalid number 'root'", ""),
        ("type=cache,target=/a,ro=maybe", "readonly of a mount: invalid value 'maybe'", ""),
        ("type=tmpfs,target=/a,size=big", "size of a mount: invalid size 'big'", ""),
        ("type=secret", "a secret mount needs an id or a target", "id=NAME"),
        ("type=secret,id=a,source=b", "either id or source", ""),
        ("type=secret,id=a,from=b", "unexpected key 'from' for mount type 'secret'", ""),
        ("type=ssh,source=b", "unexpected key 'source' for mount type 'ssh'", ""),
        ('target="/a"', "double quote", ""),
        ('"target=/a', "double quote", ""),
        ('"target=/a"b', "double quote", ""),
    ],
)
def test_errors(text: str, message: str, hint: str) -> None:
    """An error names the key or value at fault."""
    with pytest.raises(BuildfileError) as caught:
        parse_mount(text)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_values_are_expanded_one_by_one() -> None:
    """A comma in a variable's value separates nothing."""
    assert parse_mount("target=$t,source=s", lambda value: value.replace("$t", "/a,b")) == BindRequest("/a,b", "s")


def test_variables_in_from_are_refused_early() -> None:
    """`from` decides what is built, so it cannot wait for a variable."""
    with pytest.raises(BuildfileError, match="variable expansion"):
        check_mount("type=cache,from=$x,target=/a")
    check_mount("type=$t,target=$x,from=a$")


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(["type=", "cache", "target=", "/a", ",", '"', "=", "id", "ro", "required", "$"])).map(
        "".join
    )
    | st.text()
)
def test_any_text_is_a_mount_or_refused(text: str) -> None:
    """No text raises anything but BuildfileError."""
    for function in (parse_mount, check_mount):
        try:
            function(text)
        except BuildfileError as error:
            assert error.message

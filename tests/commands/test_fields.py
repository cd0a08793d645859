"""Values written as fields: outputs, secrets, ssh agents."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.commands.fields import SECRET_LIMIT_BYTES, read_secret, read_ssh
from builder.errors import UsageError
from builder.values.request import Secret


def test_secrets_from_files_and_variables(tmp_path: Path) -> None:
    """A secret's bytes come from its file or variable, by every spelling that docker has."""
    path = tmp_path / "token"
    path.write_bytes(b"value\xff\n")
    environment = {"TOKEN": "from env", "byname": "by name"}
    for text in (f"id=a,src={path}", f"id=a,source={path}", f"type=file,id=a,src={path}"):
        assert read_secret(text, environment) == Secret("a", b"value\xff\n")
    for text in ("id=a,env=TOKEN", "id=a,type=env,env=TOKEN", "id=a,type=env,src=TOKEN"):
        assert read_secret(text, environment) == Secret("a", b"from env")
    assert read_secret("id=byname", environment) == Secret("byname", b"by name")


def test_a_secret_by_its_id_alone_may_be_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without src and env, and with no variable of that name, the id is a file's name."""
    (tmp_path / "token").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    assert read_secret("id=token", {}) == Secret("token", b"x")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "src=x",
        "id=",
        "id=a,value=hunter2",
        "id=a,src=/nonexistent/hunter",
        "id=a,env=MISSING",
        "id=a,type=vault",
        "id=a,src=/",
        "id=a,src=\0",
        "hunter2",
    ],
)
def test_malformed_secrets(text: str) -> None:
    """A secret that cannot be had is a UsageError which repeats no value."""
    with pytest.raises(UsageError) as caught:
        read_secret(text, {})
    assert caught.value.message.startswith("--secret")
    assert "hunter2" not in caught.value.message + (caught.value.hint or "")


def test_secrets_have_a_limit(tmp_path: Path) -> None:
    """As with BuildKit a secret is at most 500 KiB, also one that never ends."""
    path = tmp_path / "big"
    path.write_bytes(b"x" * SECRET_LIMIT_BYTES)
    assert len(read_secret(f"id=a,src={path}", {}).value) == SECRET_LIMIT_BYTES
    path.write_bytes(b"x" * (SECRET_LIMIT_BYTES + 1))
    for text in (f"id=a,src={path}", "id=a,src=/dev/zero"):
        with pytest.raises(UsageError, match="larger than 500 KiB"):
            read_secret(text, {})


def test_a_secret_is_not_in_its_repr() -> None:
    """A secret that ends up in a message by accident does not show its bytes."""
    assert "hunter2" not in repr(read_secret("id=a,env=P", {"P": "hunter2"}))


def test_ssh_agents(tmp_path: Path) -> None:
    """An agent is a socket: the named one, or the one of SSH_AUTH_SOCK."""
    path = tmp_path / "agent"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(path))
        environment = {"SSH_AUTH_SOCK": os.fspath(path)}
        assert read_ssh("default", environment).socket == path
        assert read_ssh("work", environment).id == "work"
        agent = read_ssh(f"work={path}", {})
        assert (agent.id, agent.socket) == ("work", path)


def test_ssh_without_an_agent(tmp_path: Path) -> None:
    """No agent, a missing socket, a key's file and a malformed value each say what to do."""
    key = tmp_path / "id_ed25519"
    key.write_text("PRIVATE")
    for text, words in (
        ("default", "SSH_AUTH_SOCK is not set"),
        (f"default={tmp_path / 'none'}", "No such file"),
        (f"default={key}", "not the socket of an agent"),
        ("default=", "lacks its socket"),
    ):
        with pytest.raises(UsageError, match=words) as caught:
            read_ssh(text, {})
        assert caught.value.hint


@given(st.text(max_size=60))
def test_any_fields_are_read_or_refused(text: str) -> None:
    """Whatever a person types, it is a value or a UsageError."""
    for read in (lambda word: read_secret(word, {}), lambda word: read_ssh(word, {})):
        try:
            read(text)
        except UsageError:
            pass


def test_a_secret_may_be_meant_for_the_image() -> None:
    """search=false says that layers are not to be searched for this one."""
    assert read_secret("id=a,env=A", {"A": "x"}).is_sought
    assert not read_secret("id=a,env=A,search=false", {"A": "x"}).is_sought
    with pytest.raises(UsageError, match="search=maybe"):
        read_secret("id=a,env=A,search=maybe", {"A": "x"})

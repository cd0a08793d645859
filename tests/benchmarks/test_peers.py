"""Which builders are measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.tools import peers


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory in which programs are looked for."""
    (tmp_path / "sh").symlink_to("/bin/sh")
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def put(directory: Path, name: str, status: int = 0) -> None:
    """A program that does nothing and ends with that status."""
    path = directory / name
    path.write_text(f"#!/bin/sh\nexit {status}\n")
    path.chmod(0o755)


def test_whoever_is_installed_is_measured(programs: Path) -> None:
    """Nobody has to be named."""
    put(programs, "buildah")
    assert [tool.name for tool in peers.found(())] == ["buildah"]


def test_a_peer_whose_cache_would_be_emptied_is_measured_only_by_name(programs: Path) -> None:
    """It may be somebody's daemon, with work in it."""
    put(programs, "buildah")
    put(programs, "docker")
    assert [tool.name for tool in peers.found(())] == ["buildah"]
    assert [tool.name for tool in peers.found(("buildah", "docker"))] == ["buildah", "docker"]


def test_a_client_whose_daemon_does_not_answer_is_not_there(programs: Path) -> None:
    """Whoever asks for it is told."""
    put(programs, "docker", status=1)
    with pytest.raises(peers.UnknownPeer, match="not answering: docker"):
        peers.found(("docker",))


def test_none_is_no_peer() -> None:
    """To measure ours alone."""
    assert peers.found(("none",)) == []

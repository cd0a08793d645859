"""Big temporary files of sources."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.oci.scratch import in_system_directory, owned_descriptor, owned_file


class Owner:
    """Something that needs files."""


def test_a_file_goes_with_its_owner(tmp_path: Path) -> None:
    """When nobody holds the source any more its file is removed; that it is gone already is no harm."""
    owner = Owner()
    path = owned_file(owner, lambda: tmp_path / "big")
    gone = owned_file(owner, lambda: tmp_path / "gone")
    path.write_bytes(b"x")
    assert path.exists()
    assert not gone.exists()
    del owner
    assert not path.exists()


def test_a_descriptor_goes_with_its_owner() -> None:
    """It is closed and not leaked."""
    owner = Owner()
    fd = owned_descriptor(owner, os.open("/dev/null", os.O_RDONLY))
    os.fstat(fd)
    del owner
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_names_in_the_system_directory_are_fresh() -> None:
    """Two sources never get the same path."""
    one, other = in_system_directory(), in_system_directory()
    assert one != other and not one.exists()
    assert one.parent.stat().st_mode & 0o777 == 0o700
    one.parent.rmdir()
    other.parent.rmdir()


def test_a_file_of_the_system_directory_leaves_nothing() -> None:
    """Its directory goes with it."""
    owner = Owner()
    path = owned_file(owner, None)
    path.write_bytes(b"x")
    del owner
    assert not path.parent.exists()

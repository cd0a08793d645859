"""The configuration file: where it is found, what goes over what, and what is said about mistakes in it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from builder.commands.caller import Caller
from builder.commands.setting_keys import KEYS
from builder.commands.settings import settings_of
from builder.values.compression import Compression
from builder.values.crossing import NetworkMode
from builder.values.settings import Setting, Settings
from tests.commands.callers import caller

WHOLE = """# everything that there is
[store]
path = "/var/tmp/images"
limit = "20GB"

[build]
network = "none"
compression = "zstd"
compression-level = 9

[registries]
search = ["registry.example.com", "docker.io"]
insecure = ["registry.example.com:5000"]
cert-folders = ["/etc/docker/certs.d", "certs"]
authfile = "~/auth.json"
timeout = "10m"

[registries.mirrors]
"docker.io" = ["mirror.example.com", "other.example.com/hub"]
"""


class House:
    """A machine's /etc and a user's home."""

    def __init__(self, room: Path) -> None:
        self.etc = room / "etc"
        self.home = room / "home"
        self.user_file = self.home / ".config/pybuild/config.toml"
        self.system_file = self.etc / "pybuild/config.toml"

    def caller(self, **environment: str) -> Caller:
        """The user, in their home."""
        return caller(self.home, environment, home=self.home)

    def user(self, text: str) -> None:
        """Write the user's file."""
        self._write(self.user_file, text)

    def system(self, text: str) -> None:
        """Write the machine's file."""
        self._write(self.system_file, text)

    def settings(self, **environment: str) -> Settings:
        """What is in force."""
        return settings_of(self.caller(**environment), self.etc)

    def _write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Without any file."""
    return House(tmp_path)


# --- where and what --------------------------------------------------------------------------------------------------


def test_without_files_all_is_default(house: House) -> None:
    """No file, no setting."""
    assert house.settings() == Settings()


def test_every_key(house: House) -> None:
    """Each with the line that sets it; sizes are powers of 1024; ~ is the home; relative paths start at the file."""
    house.user(WHOLE)
    file = house.user_file
    assert house.settings() == Settings(
        root=Setting(Path("/var/tmp/images"), f"{file}:3"),
        limit_bytes=Setting(20 << 30, f"{file}:4"),
        network=Setting(NetworkMode.NONE, f"{file}:7"),
        compression=Setting(Compression.ZSTD, f"{file}:8"),
        compression_level=Setting(9, f"{file}:9"),
        search=Setting(("registry.example.com", "docker.io"), f"{file}:12"),
        insecure=Setting(("registry.example.com:5000",), f"{file}:13"),
        cert_folders=Setting((Path("/etc/docker/certs.d"), file.parent / "certs"), f"{file}:14"),
        authfile=Setting(house.home / "auth.json", f"{file}:15"),
        timeout_s=Setting(600.0, f"{file}:16"),
        mirrors=Setting((("docker.io", ("mirror.example.com", "other.example.com/hub")),), f"{file}:18"),
    )


def test_every_field_of_the_settings_has_a_key() -> None:
    """The table of keys and the fields of Settings are the same, and each key is there once."""
    assert sorted(key.field for key in KEYS) == sorted(field.name for field in fields(Settings))
    assert len({key.title for key in KEYS}) == len(KEYS)

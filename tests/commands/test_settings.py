"""The configuration file: where it is found, what goes over what, and what is said about mistakes in it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from builder.commands.caller import Caller, store_root
from builder.commands.setting_keys import KEYS
from builder.commands.settings import config_files, line_of, rules_of, settings_of
from builder.errors import ImageError, UsageError
from builder.values.compression import Compression
from builder.values.crossing import NetworkMode
from builder.values.settings import Setting, Settings
from builder.values.shortnames import parsed
from tests.commands.callers import caller

WHOLE = """# everything that there is
[store]
path = "/var/tmp/images"
limit = "20GB"

[build]
network = "none"
compression = "zstd"
compression-level = 9
jobs = 3

[registries]
search = ["registry.example.com", "docker.io"]
insecure = ["registry.example.com:5000"]
cert-folders = ["/etc/docker/certs.d", "certs"]
authfile = "~/auth.json"
timeout = "10m"

[registries.mirrors]
"docker.io" = ["mirror.example.com", "other.example.com/hub"]

[limits]
layer = "50GB"
index-depth = 8
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


def test_settings_cost_nothing_where_there_is_no_file(house: House) -> None:
    """No parser of TOML and no table of keys is imported for the defaults."""
    program = (
        "import sys; from pathlib import Path; from builder.commands.caller import Caller;"
        "from builder.commands.settings import rules_of, settings_of;"
        "who = Caller({}, Path('/'), Path(sys.argv[1]), sys.stdin.buffer, sys.stdout, sys.stderr);"
        "rules_of(settings_of(who, Path(sys.argv[2])), who);"
        "print(*sorted({'tomllib', 'builder.commands.setting_keys', 'requests'} & sys.modules.keys()))"
    )
    command = [sys.executable, "-c", program, str(house.home), str(house.etc)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "\n"


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
        jobs=Setting(3, f"{file}:10"),
        search=Setting(("registry.example.com", "docker.io"), f"{file}:13"),
        insecure=Setting(("registry.example.com:5000",), f"{file}:14"),
        cert_folders=Setting((Path("/etc/docker/certs.d"), file.parent / "certs"), f"{file}:15"),
        authfile=Setting(house.home / "auth.json", f"{file}:16"),
        timeout_s=Setting(600.0, f"{file}:17"),
        mirrors=Setting((("docker.io", ("mirror.example.com", "other.example.com/hub")),), f"{file}:19"),
        layer_bytes=Setting(50 << 30, f"{file}:23"),
        index_depth=Setting(8, f"{file}:24"),
    )


def test_every_field_of_the_settings_has_a_key() -> None:
    """The table of keys and the fields of Settings are the same, and each key is there once."""
    assert sorted(key.field for key in KEYS) == sorted(field.name for field in fields(Settings))
    assert len({key.title for key in KEYS}) == len(KEYS)


# --- precedence ------------------------------------------------------------------------------------------------------


def test_the_users_file_goes_over_the_machines(house: House) -> None:
    """Key by key: what the user does not say stays as the machine has it."""
    house.system('[store]\nlimit = "1GB"\n\n[build]\nnetwork = "none"\n')
    house.user('[build]\nnetwork = "host"\n')
    settings = house.settings()
    assert settings.limit_bytes == Setting(1 << 30, f"{house.system_file}:2")
    assert settings.network == Setting(NetworkMode.HOST, f"{house.user_file}:2")


def test_variables_go_over_files(house: House) -> None:
    """PYBUILD_ROOT and REGISTRY_AUTH_FILE; empty ones count as not set."""
    house.user('[store]\npath = "/file"\n\n[registries]\nauthfile = "/file.json"\n')
    settings = house.settings(PYBUILD_ROOT="/variable", REGISTRY_AUTH_FILE="auth.json")
    assert settings.root == Setting(Path("/variable"), "$PYBUILD_ROOT")
    assert settings.authfile == Setting(house.home / "auth.json", "$REGISTRY_AUTH_FILE")
    assert house.settings(PYBUILD_ROOT="").root.value == Path("/file")


def test_the_command_line_goes_over_all(house: House) -> None:
    """--root, then PYBUILD_ROOT, then the file, then the XDG data directory."""
    house.user('[store]\npath = "/file"\n')
    variable = house.caller(PYBUILD_ROOT="/variable", XDG_DATA_HOME="/data")
    assert store_root("/option", variable) == Path("/option")
    assert store_root(None, variable) == Path("/variable")
    assert store_root(None, house.caller(XDG_DATA_HOME="/data")) == Path("/file")


def test_one_file_may_be_named(house: House) -> None:
    """PYBUILD_CONFIG is read alone; it must exist; a relative one starts at the current directory."""
    house.system('[store]\nlimit = "1GB"\n')
    house.home.mkdir()
    (house.home / "mine.toml").write_text('[store]\npath = "/mine"\n')
    settings = house.settings(PYBUILD_CONFIG="mine.toml")
    assert settings == Settings(root=Setting(Path("/mine"), f"{house.home}/mine.toml:2"))
    with pytest.raises(UsageError, match="cannot be read: No such file") as caught:
        house.settings(PYBUILD_CONFIG="none.toml")
    assert caught.value.hint == "PYBUILD_CONFIG names it"
    assert house.settings(PYBUILD_CONFIG="/dev/null") == Settings()


def test_where_the_files_are(house: House) -> None:
    """XDG_CONFIG_HOME counts where it is absolute; without a home there is only the machine's file."""
    etc = house.system_file
    assert config_files(house.caller(XDG_CONFIG_HOME="/xdg"), house.etc) == (etc, Path("/xdg/pybuild/config.toml"))
    assert config_files(house.caller(XDG_CONFIG_HOME="xdg"), house.etc) == (etc, house.user_file)
    assert config_files(caller(), house.etc) == (etc,)


# --- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        ("\n[build]\nnetwrk = 'none'\n", 3, "[build] has no netwrk", "did you mean network?"),
        ("[build]\nlimit = '1GB'\n", 2, "[build] has no limit", "it belongs below [store]"),
        ("[build]\nspeed = 1\n", 2, "[build] has no speed", "[build] has network, compression, compression-level"),
        ("[biuld]\nnetwork = 'none'\n", 1, "there is no table biuld", "did you mean build?"),
        ("network = 'none'\n", 1, "there is no key network", "it belongs below [build]"),
        ("# x\nbuild = 1\n", 2, "build is a table", "it is written [build], and its keys below"),
        ("build.network = 'x'\n", 1, "network: 'x' is none of auto, default, host, none, proxy", 'network = "auto"'),
        ("[store]\n\nlimit = 'much'\n", 3, "limit: ", 'it is written limit = "20GB"'),
        ("[registries]\ninsecure = 'a.io'\n", 2, "insecure: a text is not a list in brackets", "insecure = ["),
        ("[registries]\n[registries.mirrors]\n'a.io' = 'b.io'\n", 2, "mirrors: a text is not a list", "mirrors = {"),
        ("[registries.mirors]\n'a.io' = ['b.io']\n", 1, "[registries] has no mirors", "did you mean mirrors?"),
        ("[build]\ncompression = 'none'\ncompression-level = 3\n", 3, "none has no level 3", "leave out"),
        ("[build]\ncompression-level = 20\n", 2, "gzip has no level 20", "it has 0 to 9"),
        ("[build]\nnetwork = none\n", 2, "this is not TOML: Invalid value", "https://toml.io"),
        ("[build]\nnetwork = 'none'\n[build]\n", 3, "this is not TOML: Cannot declare", "https://toml.io"),
        ("[build\n", 1, "this is not TOML: Expected", "https://toml.io"),
        ("a = '''\n\n", 3, "this is not TOML: ", "https://toml.io"),
    ],
)
def test_mistakes_are_told_with_their_place(house: House, text: str, line: int, message: str, hint: str) -> None:
    """One line with the file, the line and what is wrong; the hint says what to write."""
    house.user(text)
    with pytest.raises(UsageError) as caught:
        house.settings()
    assert caught.value.message.startswith(f"{house.user_file}:{line}: {message}")
    assert "\n" not in caught.value.message
    assert hint in (caught.value.hint or "")


def test_files_that_are_none(house: House) -> None:
    """Directories, other encodings and floods end in one line too."""
    house.user_file.mkdir(parents=True)
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        house.settings()
    house.user_file.rmdir()
    house.user_file.write_bytes(b"[store]\n# \xff\n")
    with pytest.raises(UsageError, match=r"config\.toml:2: this is not text in UTF-8"):
        house.settings()
    house.user_file.write_bytes(b"#" * (2 << 20))
    with pytest.raises(UsageError, match="larger than 1 MiB"):
        house.settings()
    house.user("a = " + "[" * 100_000 + "]" * 100_000)
    with pytest.raises(UsageError, match=r"config\.toml: nested too deeply"):
        house.settings()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[build]\nnetwork = 1\n", 2),
        ("[store]\nnetwork = 1\n[ build ]\n\n  'network' = 1\n", 5),
        ("build.network = 1\n", 1),
        ("# [build]\n[build]\n# network = 1\nnetwork=1\n", 4),
        ("\nbuild = {network = 1}\n", 1),
        ("\n[build]\n", 2),
        ("\n[build.network]\nx = 1\n", 2),
        ("\n[build]\nnetwork.x = 1\n", 3),
    ],
)
def test_the_line_of_a_key(text: str, line: int) -> None:
    """Found in the usual ways to write TOML; the table's line, or 1, in rarer ones."""
    assert line_of(text, "build", "network") == line


# --- what names mean here --------------------------------------------------------------------------------------------


def test_mirrors_and_search_of_the_settings(house: House) -> None:
    """They go before what registries.conf says of the same prefix, and say where they come from."""
    house.user('[registries]\nsearch = ["s.example"]\n\n[registries.mirrors]\n"docker.io" = ["m.example/hub"]\n')
    (house.etc / "containers").mkdir(parents=True)
    (house.etc / "containers/registries.conf").write_text(
        'unqualified-search-registries = ["conf.example"]\n[[registry]]\nlocation = "docker.io"\n'
        '[[registry.mirror]]\nlocation = "conf.example"\n[[registry]]\nlocation = "bad.example"\nblocked = true\n'
    )
    rules = rules_of(house.settings(), house.caller(), house.etc)
    assert [str(name) for name in rules.candidates("app:1")] == ["s.example/app:1"]
    asked = [str(endpoint.reference) for endpoint in rules.endpoints(parsed("docker.io/app:1"))]
    assert asked == ["m.example/hub/library/app:1", "docker.io/library/app:1"]
    assert rules.blocked(parsed("bad.example/x")) == f"{house.etc}/containers/registries.conf"


@pytest.mark.parametrize("variable", ["CONTAINERS_REGISTRIES_CONF", "REGISTRIES_CONFIG_PATH"])
def test_a_registries_conf_may_be_named(house: House, variable: str) -> None:
    """The variables that podman and buildah honour; nothing is read before it is asked."""
    house.home.mkdir()
    (house.home / "own.conf").write_text('unqualified-search-registries = ["own.example"]\n')
    rules = rules_of(house.settings(), house.caller(**{variable: "own.conf"}), house.etc)
    assert [str(name) for name in rules.candidates("app")] == ["own.example/app:latest"]
    missing = rules_of(house.settings(), house.caller(**{variable: "none.conf"}), house.etc)
    with pytest.raises(ImageError, match=r"none\.conf cannot be read"):
        missing.candidates("app")

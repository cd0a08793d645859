"""`pybuild config`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builder.commands.config import run
from builder.commands.line import Line
from builder.commands.setting_keys import KEYS
from builder.errors import UsageError
from tests.commands.callers import caller, said

CONFIG = """[store]
limit = "20GB"

[build]
compression-level = 0

[registries]
timeout = 90.5
insecure = ["a.example", "b.example"]

[registries.mirrors]
"docker.io" = ["m.example", "n.example"]
"quay.io" = ["o.example"]
"""


def printed(directory: Path, config: str, **options: str | None) -> str:
    """What the command prints with this configuration file."""
    (directory / "config.toml").write_text(config)
    who = caller(directory, {"PYBUILD_CONFIG": "config.toml"}, home=Path("/home/me"))
    assert run(Line({"format": None, "root": None, **options}), who) == 0
    return said(who)


def rows(text: str) -> dict[str, tuple[str, str]]:
    """The table by its keys."""
    lines = [line.split("  ") for line in text.partition("\n\n")[0].splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    return {title: (value, origin) for title, value, origin in cells}


def test_every_key_and_its_default(tmp_path: Path) -> None:
    """Without any setting each key has the value that counts then, and says that it is the default."""
    table = rows(printed(tmp_path, ""))
    assert table.pop("KEY") == ("VALUE", "FROM")
    assert list(table) == [key.title for key in KEYS]
    assert {origin for _, origin in table.values()} == {"default"}
    assert table["store.path"][0] == "/home/me/.local/share/pybuild"
    assert table["store.limit"][0] == "no limit"
    assert table["build.network"][0] == "default"
    assert table["registries.mirrors"][0] == "as registries.conf says"
    assert table["registries.insecure"][0] == "none"


def test_what_is_set_is_shown_with_its_line(tmp_path: Path) -> None:
    """Sizes and times with their units, lists with commas, mirrors by their registries."""
    table = rows(printed(tmp_path, CONFIG))
    file = tmp_path / "config.toml"
    assert table["store.limit"] == ("20GB", f"{file}:2")
    assert table["build.compression-level"] == ("0", f"{file}:5")
    assert table["registries.timeout"] == ("90.5s", f"{file}:8")
    assert table["registries.insecure"] == ("a.example, b.example", f"{file}:9")
    assert table["registries.mirrors"] == (
        "docker.io: m.example, n.example; quay.io: o.example",
        f"{file}:11",
    )


@pytest.mark.parametrize(
    ("written", "shown"), [("1", "1B"), ("1536", "1536B"), ("'1.5GB'", "1536MB"), ("0", "no limit")]
)
def test_sizes_are_shown_whole(tmp_path: Path, written: str, shown: str) -> None:
    """The largest unit that leaves a whole number: what is printed could be written in the file."""
    assert rows(printed(tmp_path, f"[store]\nlimit = {written}\n"))["store.limit"][0] == shown


def test_the_command_line_and_variables_are_shown(tmp_path: Path) -> None:
    """--root and PYBUILD_ROOT say that they are it."""
    assert rows(printed(tmp_path, "", root="store"))["store.path"] == (f"{tmp_path}/store", "--root")
    who = caller(tmp_path, {"PYBUILD_ROOT": "/variable", "PYBUILD_CONFIG": "/dev/null"})
    run(Line({"format": None, "root": None}), who)
    assert rows(said(who))["store.path"] == ("/variable", "$PYBUILD_ROOT")


def test_nobody_is_told_that_there_is_no_home(tmp_path: Path) -> None:
    """A user without a home can still look at the settings."""
    who = caller(tmp_path, {"PYBUILD_CONFIG": "/dev/null"})
    assert run(Line({"format": None, "root": None}), who) == 0
    assert "no home directory" in said(who)


def test_json(tmp_path: Path) -> None:
    """Bytes and seconds as numbers, lists as lists, mirrors as an object, and the files that were looked for."""
    document = json.loads(printed(tmp_path, CONFIG, format="json"))
    assert document["files"] == [f"{tmp_path}/config.toml"]
    values = {title: each["value"] for title, each in document["settings"].items()}
    assert values["store.limit"] == 20 << 30
    assert values["build.compression-level"] == 0
    assert values["registries.timeout"] == 90.5
    assert values["registries.mirrors"] == {"docker.io": ["m.example", "n.example"], "quay.io": ["o.example"]}
    assert values["registries.search"] == []
    assert values["registries.authfile"] is None
    assert document["settings"]["store.path"]["from"] == "default"
    assert json.loads(printed(tmp_path, "", format="json"))["settings"]["registries.mirrors"]["value"] == {}


def test_the_registries_conf_that_counts_is_named(tmp_path: Path) -> None:
    """The user's own, which replaces the machine's, with its drop-ins; in both forms."""
    folder = tmp_path / ".config/containers"
    for path in (folder / "registries.conf", folder / "registries.conf.d/1.conf"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    expected = [str(folder / "registries.conf"), str(folder / "registries.conf.d/1.conf")]
    who = caller(tmp_path, {"PYBUILD_CONFIG": "/dev/null"}, home=tmp_path)
    run(Line({"format": None, "root": None}), who)
    assert said(who).splitlines()[-2:] == [f"What names mean: {path}" for path in expected]
    who = caller(tmp_path, {"PYBUILD_CONFIG": "/dev/null"}, home=tmp_path)
    run(Line({"format": "json", "root": None}), who)
    assert json.loads(said(who))["registriesConf"] == expected


def test_a_mistake_in_the_file_is_told(tmp_path: Path) -> None:
    """Instead of settings that would not be in force."""
    with pytest.raises(UsageError, match=r"config\.toml:1: there is no table stoer"):
        printed(tmp_path, "[stoer]\n")

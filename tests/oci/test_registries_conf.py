"""Reading registries.conf. The files are those of containers-registries.conf(5) and what people write wrongly."""

from __future__ import annotations

from pathlib import Path

from builder.oci.registries_conf import RegistriesFiles, read_rules
from builder.values.registries import Mirror, RegistryRule, RegistryRules

MANUAL = """
unqualified-search-registries = ["example.com"]

[[registry]]
prefix = "example.com/foo"
insecure = false
blocked = false
location = "internal-registry-for-example.com/bar"

[[registry.mirror]]
location = "example-mirror-0.local/mirror-for-foo"

[[registry.mirror]]
location = "example-mirror-1.local/mirrors/foo"
insecure = true

[[registry]]
location = "registry.com"

[[registry.mirror]]
location = "mirror.registry.com"
"""
"""The example of the manual page."""


def written(directory: Path, text: str, name: str = "registries.conf") -> Path:
    """A file with this text."""
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def rules_of(directory: Path, text: str) -> RegistryRules:
    """The rules of one file."""
    written(directory, text)
    return read_rules(RegistriesFiles(directory))


def test_the_manuals_example(tmp_path: Path) -> None:
    """Every key of it."""
    rules = rules_of(tmp_path, MANUAL)
    origin = str(tmp_path / "registries.conf")
    first = Mirror("example-mirror-0.local/mirror-for-foo")
    second = Mirror("example-mirror-1.local/mirrors/foo", insecure=True)
    assert rules == RegistryRules(
        search=("example.com",),
        rules=(
            RegistryRule(
                "example.com/foo",
                "internal-registry-for-example.com/bar",
                mirrors=(first, second),
                origin=origin,
            ),
            RegistryRule("registry.com", "registry.com", mirrors=(Mirror("mirror.registry.com"),), origin=origin),
        ),
    )


def test_without_files_there_are_no_rules(tmp_path: Path) -> None:
    """Nothing is missing where nothing is."""
    assert read_rules(RegistriesFiles(tmp_path, tmp_path / "none")) == RegistryRules()

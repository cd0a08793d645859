"""Reading registries.conf. The files are those of containers-registries.conf(5) and what people write wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.errors import ImageError
from builder.oci.registries_conf import ConfiguredRules, RegistriesFiles, read_rules
from builder.values.registries import Mirror, PullFrom, RegistryRule, RegistryRules
from builder.values.shortnames import parsed

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


# --- which files, in which order -------------------------------------------------------------------------------------


def searched(files: RegistriesFiles) -> tuple[str, ...]:
    """The search registries, by which a file can be told."""
    return read_rules(files).search


def by_name(directory: Path, name: str, host: str) -> None:
    """A file that sets one search registry."""
    written(directory, f'unqualified-search-registries = ["{host}"]\n', name)


def test_the_users_main_file_replaces_the_machines_files(tmp_path: Path) -> None:
    """With its own drop-ins only, as containers-registries.conf.d(5) has it."""
    files = RegistriesFiles(tmp_path / "etc", tmp_path / "user")
    by_name(tmp_path / "etc", "registries.conf", "main.etc")
    assert searched(files) == ("main.etc",)
    by_name(tmp_path / "etc", "registries.conf.d/20.conf", "drop.etc")
    assert searched(files) == ("drop.etc",)
    by_name(tmp_path / "user", "registries.conf", "main.user")
    assert searched(files) == ("main.user",)
    by_name(tmp_path / "user", "registries.conf.d/10.conf", "drop.user")
    assert searched(files) == ("drop.user",)


def test_the_users_drop_ins_go_over_the_machines_files(tmp_path: Path) -> None:
    """Where the user has no main file; each folder by its names, and only files that end in .conf."""
    files = RegistriesFiles(tmp_path / "etc", tmp_path / "user")
    for name, host in (("20.conf", "two"), ("10.conf", "one"), ("30.conf.bak", "three"), ("x.conf/y", "four")):
        by_name(tmp_path / "etc", f"registries.conf.d/{name}", host)
    assert searched(files) == ("two",)
    by_name(tmp_path / "user", "registries.conf.d/05.conf", "user")
    assert searched(files) == ("user",)
    assert [path.name for path in files.all()] == ["10.conf", "20.conf", "05.conf"]


def test_a_named_file_stands_for_the_main_files(tmp_path: Path) -> None:
    """It replaces both main files, and must exist; drop-ins still count."""
    by_name(tmp_path / "user", "registries.conf", "main.user")
    by_name(tmp_path, "own.conf", "own")
    assert searched(RegistriesFiles(tmp_path / "etc", tmp_path / "user", tmp_path / "own.conf")) == ("own",)
    by_name(tmp_path / "etc", "registries.conf.d/20.conf", "drop.etc")
    assert searched(RegistriesFiles(tmp_path / "etc", tmp_path / "user", tmp_path / "own.conf")) == ("drop.etc",)
    with pytest.raises(ImageError, match=r"none\.conf cannot be read: No such file"):
        read_rules(RegistriesFiles(tmp_path / "etc", None, tmp_path / "none.conf"))


def test_later_files_overwrite_what_they_say(tmp_path: Path) -> None:
    """A rule with the same prefix as a whole, an alias by its name (an empty one takes it back), the rest by key."""
    written(
        tmp_path,
        'short-name-mode = "enforcing"\nunqualified-search-registries = ["a.io", "b.io"]\n'
        '[[registry]]\nlocation = "a.io"\ninsecure = true\n[[registry.mirror]]\nlocation = "m.io"\n'
        '[[registry]]\nlocation = "c.io"\n[aliases]\none = "a.io/one"\ntwo = "a.io/two"\n',
    )
    written(
        tmp_path,
        '[[registry]]\nlocation = "a.io"\nblocked = true\n[aliases]\none = ""\ntwo = "b.io/two"\n',
        "registries.conf.d/1.conf",
    )
    rules = read_rules(RegistriesFiles(tmp_path))
    assert rules.search == ("a.io", "b.io")
    assert rules.enforcing
    assert rules.aliases == (("two", "b.io/two"),)
    assert [(rule.prefix, rule.insecure, rule.blocked, rule.mirrors) for rule in rules.rules] == [
        ("a.io", False, True, ()),
        ("c.io", False, False, ()),
    ]
    assert rules.blocked(parsed("a.io/x")) == f"{tmp_path}/registries.conf.d/1.conf"


def test_nothing_is_read_before_it_is_asked(tmp_path: Path) -> None:
    """A full name means itself without any file; the first other question reads them, once."""
    rules = ConfiguredRules(RegistriesFiles(tmp_path))
    written(tmp_path, "this is no TOML")
    assert rules.candidates("a.io/x") == (parsed("a.io/x"),)
    with pytest.raises(ImageError, match="is not TOML"):
        rules.candidates("x")
    written(tmp_path, 'unqualified-search-registries = ["a.io"]')
    assert rules.candidates("x") == (parsed("a.io/x"),)
    written(tmp_path, "this is no TOML")
    assert rules.endpoints(parsed("a.io/x"))[0].reference == parsed("a.io/x")


# --- what a file may say ---------------------------------------------------------------------------------------------


def test_wildcards_and_locations(tmp_path: Path) -> None:
    """A wildcard needs no location, a location alone is its own prefix; slashes at the end do not matter."""
    rules = rules_of(tmp_path, '[[registry]]\nprefix = "*.a.io"\n[[registry]]\nlocation = "b.io/x/"\n')
    assert [(rule.prefix, rule.location) for rule in rules.rules] == [("*.a.io", ""), ("b.io/x", "b.io/x")]


def test_which_mirrors_serve_what(tmp_path: Path) -> None:
    """mirror-by-digest-only is for all mirrors of a registry, pull-from-mirror for one."""
    rules = rules_of(
        tmp_path,
        '[[registry]]\nlocation = "a.io"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = "m.io"\n'
        '[[registry]]\nlocation = "b.io"\n[[registry.mirror]]\nlocation = "n.io"\npull-from-mirror = "tag-only"\n',
    )
    assert [mirror.pull_from for rule in rules.rules for mirror in rule.mirrors] == [
        PullFrom.DIGEST_ONLY,
        PullFrom.TAG_ONLY,
    ]


def test_unknown_keys_are_left_alone(tmp_path: Path) -> None:
    """Other programs know more keys."""
    assert rules_of(tmp_path, "new-key = 1\n") == RegistryRules()


def test_helpers_that_keep_logins(tmp_path: Path) -> None:
    """In the order in which they are asked; a list that is none is told."""
    rules = rules_of(tmp_path, 'credential-helpers = ["containers-auth.json", "pass"]\n')
    assert rules.helpers == ("containers-auth.json", "pass")
    with pytest.raises(ImageError, match="credential-helpers is not a list"):
        rules_of(tmp_path, 'credential-helpers = "pass"\n')


def test_version_1_is_still_read(tmp_path: Path) -> None:
    """Lists of hosts to search, to trust and to block, in the main file."""
    rules = rules_of(
        tmp_path,
        "[registries.search]\nregistries = ['one.io', 'two.io']\n[registries.insecure]\nregistries = ['three.io']\n"
        "[registries.block]\nregistries = ['four.io']\n",
    )
    assert rules.search == ("one.io", "two.io")
    assert rules.endpoints(parsed("three.io/x"))[0].insecure
    assert rules.blocked(parsed("four.io/x")) == f"{tmp_path}/registries.conf"


def test_version_1_is_not_mixed_with_version_2(tmp_path: Path) -> None:
    """Neither in one file nor as a drop-in."""
    old = "[registries.search]\nregistries = ['one.io']\n"
    with pytest.raises(ImageError, match="cannot be mixed"):
        rules_of(tmp_path, f"{old}[[registry]]\nlocation = 'a.io'\n")
    written(tmp_path, "")
    written(tmp_path, old, "registries.conf.d/1.conf")
    with pytest.raises(ImageError, match=r"registries\.conf\.d/1\.conf: .*cannot be mixed"):
        read_rules(RegistriesFiles(tmp_path))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[registry]]\n", r"\[\[registry\]\] number 1: location is missing"),
        ("[[registry]]\nprefix = 'a.io'\n", "location is missing"),
        ("[[registry]]\nlocation = 'https://a.io'\n", "begins with a scheme"),
        ("[[registry]]\nlocation = 'a b'\n", "is no location"),
        ("[[registry]]\nlocation = 5\n", "location is not a text"),
        ("[[registry]]\nlocation = 'a.io'\ninsecure = 'yes'\n", "insecure is neither true nor false"),
        ("[[registry]]\nprefix = '*.a.io/x'\nlocation = 'b.io'\n", "a wildcard is written"),
        ("[[registry]]\nprefix = 'x.*.io'\nlocation = 'b.io'\n", "a wildcard is written"),
        ("[[registry]]\nprefix = '*.a.io:5000'\n", "a wildcard is written"),
        ("[registry]\nlocation = 'a.io'\n", r"registry is not written \[\[registry\]\]"),
        ("[[registry]]\nlocation = 'a.io'\n[[registry.mirror]]\n", "registry.mirror.* number 1: location is missing"),
        (
            "[[registry]]\nlocation = 'a.io'\n[[registry.mirror]]\nlocation = 'b.io'\npull-from-mirror = 'x'\n",
            "'x' is none of all, digest-only, tag-only",
        ),
        (
            "[[registry]]\nlocation='a.io'\nmirror-by-digest-only=true\n"
            "[[registry.mirror]]\nlocation='b.io'\npull-from-mirror='all'\n",
            "cannot stand beside mirror-by-digest-only",
        ),
        ("[[registry]]\nlocation='a.io'\n[[registry]]\nlocation='a.io'\nblocked=true\n", "is there twice"),
        ("short-name-mode = 'loose'\n", "none of enforcing, permissive, disabled"),
        ("unqualified-search-registries = 'a.io'\n", "is not a list of texts"),
        ("unqualified-search-registries = ['a.io/x']\n", r"'a\.io/x' is no host"),
        ("unqualified-search-registries = ['']\n", "'' is no host"),
        ("aliases = 1\n", "aliases is not a table"),
        ("[aliases]\nx = 1\n", "x is not a text"),
        ("[aliases]\nx = 'y'\n", "does not lead from"),
        ("[aliases]\n'a.io/x' = 'b.io/y'\n", "does not lead from"),
        ("[aliases]\nx = 'b.io/y:1'\n", "neither side has a tag"),
        ("[aliases]\n'x:1' = 'b.io/y'\n", "neither side has a tag"),
        ("[aliases]\nX = 'b.io/y'\n", "lower case"),
        ("x = [\n", "is not TOML: "),
        ("x = " + "[" * 100_000, "nested too deeply"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, text: str, words: str) -> None:
    """One line with the file and what is wrong in it; half a file is never used."""
    with pytest.raises(ImageError, match=words) as caught:
        rules_of(tmp_path, text)
    assert caught.value.message.startswith(str(tmp_path / "registries.conf"))
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 400


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """Other encodings, floods, and a folder that is none."""
    (tmp_path / "registries.conf").write_bytes(b"# \xff\n")
    with pytest.raises(ImageError, match="is not TOML"):
        read_rules(RegistriesFiles(tmp_path))
    (tmp_path / "registries.conf").write_bytes(b"#" * (5 << 20))
    with pytest.raises(ImageError, match="larger than 4 MiB"):
        read_rules(RegistriesFiles(tmp_path))
    (tmp_path / "registries.conf").unlink()
    (tmp_path / "registries.conf.d").write_text("")
    assert read_rules(RegistriesFiles(tmp_path)) == RegistryRules()


# --- the same file, the same meaning ---------------------------------------------------------------------------------

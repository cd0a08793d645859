"""What names mean and where they are asked for. The cases are those of containers-registries.conf(5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import ImageError
from builder.values.reference import Reference
from builder.values.registries import (
    Endpoint,
    Mirror,
    PullFrom,
    RegistryRule,
    RegistryRules,
    match_length,
    moved,
)
from builder.values.shortnames import parsed

DIGEST = "sha256:" + "a" * 64


def names(rules: RegistryRules, text: str) -> list[str]:
    """What a name may mean."""
    return [str(reference) for reference in rules.candidates(text)]


def asked(rules: RegistryRules, text: str) -> list[str]:
    """Where an image is asked for."""
    return [str(endpoint.reference) for endpoint in rules.endpoints(parsed(text))]


def rule(prefix: str, location: str = "", *mirrors: Mirror) -> RegistryRule:
    """A rule with mirrors."""
    return RegistryRule(prefix, location, mirrors=mirrors)


# --- what a name means -----------------------------------------------------------------------------------------------


def test_without_rules_names_mean_what_docker_takes_them_for() -> None:
    """A short name is one of Docker Hub, and is asked for there and nowhere else."""
    assert names(RegistryRules(), "alpine") == ["docker.io/library/alpine:latest"]
    assert names(RegistryRules(), "me/app:1") == ["docker.io/me/app:1"]
    assert RegistryRules().endpoints(parsed("alpine")) == (Endpoint(parsed("alpine")),)
    assert RegistryRules().blocked(parsed("alpine")) is None


def test_search_registries_are_tried_in_order() -> None:
    """Only Docker Hub has a library; tags and digests go along."""
    rules = RegistryRules(search=("one.example:5000", "docker.io", "mirror"))
    assert names(rules, "app:2") == ["one.example:5000/app:2", "docker.io/library/app:2", "mirror/app:2"]
    assert names(rules, f"me/app@{DIGEST}") == [
        f"one.example:5000/me/app@{DIGEST}",
        f"docker.io/me/app@{DIGEST}",
        f"mirror/me/app@{DIGEST}",
    ]


def test_full_names_are_not_searched_for() -> None:
    """A name with a registry means itself, whatever the rules say."""
    rules = RegistryRules(search=("one.example",), aliases=(("app", "two.example/app"),))
    for text in ("docker.io/app:1", "localhost/app:1", "three.example/app:1", "host:5000/app:1"):
        assert names(rules, text) == [str(Reference.parse(text))]


def test_an_alias_goes_before_the_search() -> None:
    """The tag and the digest of the short name are put behind what the alias stands for."""
    rules = RegistryRules(search=("one.example",), aliases=(("app", "two.example/our/app"), ("a/b", "docker.io/c")))
    assert names(rules, "app") == ["two.example/our/app:latest"]
    assert names(rules, f"app:3@{DIGEST}") == [f"two.example/our/app:3@{DIGEST}"]
    assert names(rules, "a/b:1") == ["docker.io/library/c:1"]
    assert names(rules, "app2:1") == ["one.example/app2:1"]


def test_an_enforced_choice_is_not_guessed() -> None:
    """short-name-mode = enforcing with several registries: the name must be written in full."""
    with pytest.raises(ImageError, match=r"app:1 may mean an image of any of one\.example, two\.example") as caught:
        RegistryRules(search=("one.example", "two.example"), enforcing=True).candidates("app:1")
    assert "enforcing" in (caught.value.hint or "")
    assert names(RegistryRules(search=("one.example",), enforcing=True), "app:1") == ["one.example/app:1"]


def test_what_is_no_name_is_refused() -> None:
    """With a hint how one is written."""
    with pytest.raises(ImageError, match="names are lower case"):
        RegistryRules().candidates("App")


# --- where it is asked for -------------------------------------------------------------------------------------------

MANUAL = RegistryRules(
    rules=(
        rule(
            "example.com/foo",
            "internal-registry-for-example.com/bar",
            Mirror("example-mirror-0.local/mirror-for-foo"),
            Mirror("example-mirror-1.local/mirrors/foo", insecure=True),
        ),
        rule("registry.com", "registry.com", Mirror("mirror.registry.com")),
    )
)
"""The example of the manual page."""


def test_the_manuals_example() -> None:
    """Mirrors in order, then the location; insecure belongs to the place; a mirror serves its own rule only."""
    assert MANUAL.endpoints(parsed("example.com/foo/image:latest")) == (
        Endpoint(parsed("example-mirror-0.local/mirror-for-foo/image:latest"), is_mirror=True),
        Endpoint(parsed("example-mirror-1.local/mirrors/foo/image:latest"), insecure=True, is_mirror=True),
        Endpoint(parsed("internal-registry-for-example.com/bar/image:latest")),
    )
    assert asked(MANUAL, "registry.com/image") == ["mirror.registry.com/image:latest", "registry.com/image:latest"]
    assert asked(MANUAL, "example.com/food/image") == ["example.com/food/image:latest"]


def test_the_longest_prefix_decides_alone() -> None:
    """Only one rule is used: a longer one without mirrors hides a shorter one with some."""
    rules = RegistryRules(rules=(rule("a.io", "a.io", Mirror("m.io")), rule("a.io/x", "a.io/x"), rule("*.io", "w.io")))
    assert asked(rules, "a.io/y:1") == ["m.io/y:1", "a.io/y:1"]
    assert asked(rules, "a.io/x/z:1") == ["a.io/x/z:1"]
    assert asked(rules, "b.io/z:1") == ["w.io/z:1"]


def test_a_wildcard_covers_the_host() -> None:
    """Any number of names in front of the domain; without a location the name stays as it is."""
    rules = RegistryRules(rules=(rule("*.example.com", "", Mirror("mirror.local/all")),))
    assert asked(rules, "a.b.example.com/x:1") == ["mirror.local/all/x:1", "a.b.example.com/x:1"]
    assert asked(rules, "example.com/x:1") == ["example.com/x:1"]
    assert asked(rules, "other.com/a.example.com/x:1") == ["other.com/a.example.com/x:1"]


def test_docker_hub_needs_its_library_in_rules() -> None:
    """As the manual has it: docker.io/alpine covers other repositories than docker.io/library/alpine."""
    rules = RegistryRules(rules=(rule("docker.io/library", "own.example/hub"), rule("docker.io/alpine", "x.example")))
    assert asked(rules, "alpine:3") == ["own.example/hub/alpine:3"]
    assert asked(rules, "alpine/git:1") == ["x.example/git:1"]


@pytest.mark.parametrize(
    ("pull_from", "by_tag", "by_digest"),
    [(PullFrom.ALL, True, True), (PullFrom.DIGEST_ONLY, False, True), (PullFrom.TAG_ONLY, True, False)],
)
def test_some_mirrors_serve_only_tags_or_digests(pull_from: PullFrom, by_tag: bool, by_digest: bool) -> None:
    """A name with a tag and a digest is asked for by its digest."""
    rules = RegistryRules(rules=(rule("a.io", "a.io", Mirror("m.io", pull_from=pull_from)),))
    assert (len(rules.endpoints(parsed("a.io/x:1"))) == 2) is by_tag
    assert (len(rules.endpoints(parsed(f"a.io/x:1@{DIGEST}"))) == 2) is by_digest


def test_a_mirror_may_be_a_bare_word() -> None:
    """A location's first part is a host, even where it looks like none."""
    rules = RegistryRules(rules=(rule("docker.io", "docker.io", Mirror("mirror")),))
    assert asked(rules, "alpine:3") == ["mirror/library/alpine:3", "docker.io/library/alpine:3"]


def test_a_location_that_leads_to_no_name() -> None:
    """A rule for a whole image name whose location is only a host leaves no repository."""
    with pytest.raises(ImageError, match="would lie at"):
        moved(parsed("a.io/x:1"), "a.io/x", "b.io")


def test_blocked_names_say_who_blocks_them() -> None:
    """The file of the rule that matches."""
    rules = RegistryRules(rules=(RegistryRule("bad.io", "bad.io", blocked=True, origin="/etc/r.conf"),))
    for name in ("bad.io/x", "bad.io:443/x", "BAD.io/x"):  # one host, however it is written
        assert rules.blocked(parsed(name)) == "/etc/r.conf"
    assert rules.blocked(parsed("bad.io:8443/x")) is None
    assert rules.blocked(parsed("good.io/x")) is None


# --- laws ------------------------------------------------------------------------------------------------------------

_PART = st.text("ab1", min_size=1, max_size=2)
_HOST = st.builds(
    lambda parts, port: ".".join([*parts, "io"]) + port,
    st.lists(_PART, min_size=1, max_size=3),
    st.sampled_from(["", ":5000"]),
)
_PATH = st.lists(_PART, min_size=1, max_size=3).map("/".join)


@given(host=_HOST, path=_PATH, data=st.data())
def test_a_prefix_is_cut_at_whole_parts(host: str, path: str, data: st.DataObject) -> None:
    """A prefix matches exactly when it is made of the first whole parts of the name."""
    name = f"{host}/{path}:t"
    cut = data.draw(st.integers(1, len(name)))
    ends = cut == len(name) or name[cut] in ":/"
    whole_host = cut >= len(host)
    assert (match_length(name, name[:cut]) == cut) is (ends and whole_host)


@given(host=_HOST, path=_PATH, prefixes=st.lists(st.tuples(_HOST, _PATH | st.just("")), max_size=6))
def test_the_longest_match_wins_whatever_the_order(host: str, path: str, prefixes: list[tuple[str, str]]) -> None:
    """No other rule that matches has a longer prefix, and the order of rules does not matter."""
    every = {f"{one}/{two}".rstrip("/") for one, two in prefixes} | {host}
    reference = parsed(f"{host}/{path}:t")
    forward = RegistryRules(rules=tuple(rule(prefix, prefix) for prefix in sorted(every)))
    backward = RegistryRules(rules=tuple(reversed(forward.rules)))
    found = forward.rule_for(reference)
    assert found is not None
    assert found == backward.rule_for(reference)
    assert all(len(prefix) <= len(found.prefix) for prefix in every if match_length(str(reference), prefix) is not None)


@given(host=_HOST, path=_PATH, location=st.tuples(_HOST, _PATH | st.just("")))
def test_moving_keeps_what_the_prefix_does_not_cover(host: str, path: str, location: tuple[str, str]) -> None:
    """The new name is the location and then the rest; moving it back gives the old one."""
    place = "/".join(location).rstrip("/")
    reference = parsed(f"{host}/{path}:t")
    there = moved(reference, host, place)
    assert str(there) == f"{place}/{path}:t"
    assert moved(there, place, host) == reference

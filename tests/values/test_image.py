"""Tests of images as values: a config's variables and labels, and what a config says of its file system."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from builder.values.digest import EMPTY_CHAIN, DiffId, chain_of
from builder.values.image import ImageConfig, RunConfig
from builder.values.platform import Platform

names = st.sampled_from(["A", "B", "PATH", "a", "Ä", ""])
pairs = st.lists(st.tuples(names, st.text(max_size=4)), max_size=8)


def test_a_new_variable_stands_last() -> None:
    """A variable that was not there comes behind the others."""
    config = RunConfig(env=(("A", "1"),)).with_env("B", "2")
    assert config.env == (("A", "1"), ("B", "2"))


def test_a_variable_that_is_set_again_keeps_its_place() -> None:
    """As docker has it, so that a rebuilt image's environment reads the same."""
    config = RunConfig(env=(("A", "1"), ("B", "2"))).with_env("A", "3")
    assert config.env == (("A", "3"), ("B", "2"))


def test_names_are_told_apart_by_case() -> None:
    """`path` and `PATH` are two variables."""
    config = RunConfig().with_env("PATH", "1").with_env("path", "2")
    assert (config.env_value("PATH"), config.env_value("path")) == ("1", "2")
    assert config.env_value("Path") is None


@given(pairs)
def test_the_last_value_counts_and_no_name_is_there_twice(given_pairs: list[tuple[str, str]]) -> None:
    """Setting variables and labels one after the other is what a mapping does."""
    config = RunConfig()
    for name, value in given_pairs:
        config = config.with_env(name, value).with_label(name, value)
    assert dict(config.env) == dict(config.labels) == dict(given_pairs)
    assert len(config.env) == len(dict(given_pairs))


def test_a_config_is_not_changed_by_what_is_made_of_it() -> None:
    """Targets that share a base do not see each other's variables."""
    base = RunConfig(env=(("A", "1"),))
    base.with_env("A", "2").with_label("l", "x")
    assert base == RunConfig(env=(("A", "1"),))


def test_the_chain_of_a_config_is_that_of_its_layers() -> None:
    """A config names its file system by its diff-ids; none at all is the empty one."""
    platform = Platform("linux", "amd64")
    layers = (DiffId.of(b"a"), DiffId.of(b"b"))
    assert ImageConfig(platform, diff_ids=layers).chain == chain_of(layers)
    assert ImageConfig(platform).chain == EMPTY_CHAIN

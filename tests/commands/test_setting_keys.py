"""How the values of the configuration file are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.commands.setting_keys import KEYS, Place
from builder.values.compression import Compression
from builder.values.crossing import NetworkMode

PLACE = Place(Path("/etc/pybuild"), Path("/home/me"))


def read(title: str, value: object) -> object:
    """A value as the key reads it."""
    return next(key for key in KEYS if key.title == title).read(value, PLACE)


@pytest.mark.parametrize(
    ("title", "value", "expected"),
    [
        ("store.path", "store", Path("/etc/pybuild/store")),
        ("store.path", "~", Path("/home/me")),
        ("store.path", "~/store", Path("/home/me/store")),
        ("store.limit", "512m", 512 << 20),
        ("store.limit", "1.5GiB", 3 << 29),
        ("store.limit", 12345, 12345),
        ("store.limit", 0, 0),
        ("build.network", "host", NetworkMode.HOST),
        ("build.network", "auto", NetworkMode.DEFAULT),
        ("build.compression", "none", Compression.NONE),
        ("build.compression-level", 0, 0),
        ("build.jobs", 0, 0),
        ("build.jobs", 16, 16),
        ("registries.insecure", ["a.io:5000/"], ("a.io:5000",)),
        ("registries.mirrors", {"docker.io": []}, (("docker.io", ()),)),
        ("registries.timeout", 90, 90.0),
        ("registries.timeout", 0.5, 0.5),
        ("registries.timeout", "1h30m", 5400.0),
        ("limits.layer", "50GB", 50 << 30),
        ("limits.ratio", 2000, 2000),
    ],
)
def test_values(title: str, value: object, expected: object) -> None:
    """Each key in the forms that it may have."""
    assert read(title, value) == expected


BAD: dict[str, tuple[object, ...]] = {
    "store.path": (1, "", ["a"], "a\0b", "a\nb"),
    "store.limit": ("much", -1, True, 1.5, "9999999999999999999GB", {}),
    "build.network": ("bridge", 1, ""),
    "build.compression": ("xz", False),
    "build.compression-level": ("3", -1, 99, True, 1.0),
    "build.jobs": ("4", -1, 10_000, True, 4.0),
    "registries.insecure": ("a.io", [1], ["http://a.io"], [""], ["a b"]),
    "registries.mirrors": ([], {"a.io": "b.io"}, {"a.io": ["https://b.io"]}, {"": ["b"]}),
    "registries.cert-folders": ("certs", [1]),
    "limits.document": ("1g", 0, "much"),
    "limits.ratio": ("100", 1, True, 1.5),
    "registries.timeout": ("soon", -1, float("inf"), float("nan"), True, "10"),
}


@pytest.mark.parametrize(("title", "value"), [(title, value) for title, values in BAD.items() for value in values])
def test_values_that_are_none(title: str, value: object) -> None:
    """A ValueError with one line, which the caller puts behind the file and the line."""
    with pytest.raises(ValueError, match=r"\S") as caught:
        read(title, value)
    assert "\n" not in str(caught.value)


def test_every_key_shows_how_it_is_written() -> None:
    """The hint of an error is a value that would do (or several, joined by `or`)."""
    import tomllib

    for key in KEYS:
        for written in key.written.replace(", ", " or ").split(" or ") if key.written[0] == '"' else [key.written]:
            assert read(key.title, tomllib.loads(f"x = {written}")["x"]) is not None


def test_a_home_is_needed_for_a_tilde() -> None:
    """Nobody's home is guessed."""
    with pytest.raises(ValueError, match="no home directory"):
        KEYS[0].read("~/x", Place(Path("/etc"), None))

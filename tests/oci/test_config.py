"""The image config document."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import ImageError
from builder.oci.config import MAX_LAYERS, MAX_TRIGGERS, read_config, write_config
from builder.values.digest import DiffId
from builder.values.image import Healthcheck, History, ImageConfig, RunConfig
from builder.values.platform import Platform
from tests.oci.schemas import check_schema

FULL = ImageConfig(
    platform=Platform("linux", "arm", "v6"),
    config=RunConfig(
        user="app:app",
        env=(("PATH", "/bin"), ("A", "b=c"), ("EMPTY", "")),
        entrypoint=("/bin/sh", "-c"),
        cmd=("echo", "ü"),
        working_dir="/srv",
        labels=(("a", "1"), ("b", "")),
        exposed_ports=("53/udp", "80/tcp"),
        volumes=("/data",),
        stop_signal="SIGQUIT",
        healthcheck=Healthcheck(("CMD", "true"), 1_000_000_000, 2_000_000_000, 3_000_000_000, 4_000_000_000, 5),
        shell=("/bin/bash", "-c"),
        on_build=("RUN true",),
    ),
    created="2024-01-02T03:04:05.678Z",
    author="me",
    history=(History("RUN x", "2024-01-02T03:04:05Z"), History("ENV A=b", empty_layer=True, comment="c", author="a")),
    diff_ids=(DiffId("0" * 63 + "1"),),
    os_version="1.2",
)

DOCKER = {
    "architecture": "amd64",
    "os": "linux",
    "config": {
        "Hostname": "",
        "ArgsEscaped": True,
        "Env": ["PATH=/bin", "BARE"],
        "Cmd": ["sh"],
        "Entrypoint": None,
        "Labels": None,
        "Healthcheck": {"Test": ["CMD-SHELL", "x"], "Interval": 30000000000},
        "ExposedPorts": {"80/tcp": {}},
        "Image": "sha256:123",
    },
    "container": "abc",
    "container_config": {"Cmd": ["x"]},
    "docker_version": "20.10",
    "created": "2020-01-01T00:00:00Z",
    "history": [{"created": "2020-01-01T00:00:00Z", "created_by": "x"}],
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "1" * 64]},
}


def edited(**changes: object) -> bytes:
    """Docker's document with fields replaced."""
    return json.dumps({**DOCKER, **changes}).encode()


def test_a_written_config_reads_back() -> None:
    """Every field survives the round trip."""
    assert read_config(write_config(FULL)) == FULL


def test_the_bytes_are_frozen() -> None:
    """The written form is a promise: a change of it changes every image's digest."""
    config = replace(FULL, author="", os_version="", history=FULL.history[:1], config=RunConfig(env=(("A", "b"),)))
    assert write_config(config) == (
        b'{"created":"2024-01-02T03:04:05.678Z","architecture":"arm","variant":"v6","os":"linux",'
        b'"config":{"Env":["A=b"]},'
        b'"rootfs":{"type":"layers","diff_ids":["sha256:0000000000000000000000000000000000000000000000000000000000000001"]},'
        b'"history":[{"created":"2024-01-02T03:04:05Z","created_by":"RUN x"}]}'
    )


def test_the_order_of_sets_does_not_show() -> None:
    """Ports, volumes and labels are written sorted."""
    turned = replace(
        FULL.config, labels=FULL.config.labels[::-1], exposed_ports=FULL.config.exposed_ports[::-1], volumes=("/data",)
    )
    assert write_config(replace(FULL, config=turned)) == write_config(FULL)


@pytest.mark.parametrize("config", [FULL, ImageConfig(Platform("linux", "amd64"))])
def test_the_written_config_fits_the_schema(config: ImageConfig) -> None:
    """The image specification's own schema accepts it."""
    check_schema(write_config(config), "config-schema.json")


def test_dockers_config_is_read() -> None:
    """Docker's document is understood and its private fields are dropped."""
    config = read_config(edited())
    assert config.config.env == (("PATH", "/bin"), ("BARE", ""))
    assert config.config.cmd == ("sh",)
    assert config.config.entrypoint is None
    assert config.config.healthcheck == Healthcheck(("CMD-SHELL", "x"), interval_ns=30_000_000_000)
    assert b"ArgsEscaped" not in write_config(config)
    assert b"container" not in write_config(config)


def test_an_empty_command_is_kept_apart_from_none_while_reading() -> None:
    """`Cmd: []` is an empty command, `null` is none; a string is one word."""
    assert read_config(edited(config={"Cmd": []})).config.cmd == ()
    assert read_config(edited(config={"Cmd": None})).config.cmd is None
    assert read_config(edited(config={"Cmd": "sh"})).config.cmd == ("sh",)


def test_variant_and_os_version_are_kept() -> None:
    """They are part of what an image runs on."""
    config = read_config(edited(architecture="arm", variant="v7", **{"os.version": "10.0"}))
    assert config.platform == Platform("linux", "arm", "v7")
    assert config.os_version == "10.0"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (edited(rootfs=None), "no 'rootfs'"),
        (edited(rootfs={"type": "other", "diff_ids": []}), "of type 'other'"),
        (edited(rootfs={"type": "layers", "diff_ids": ["../x"]}), "not a sha256 digest"),
        (edited(rootfs={"type": "layers", "diff_ids": ["sha256:" + "1" * 64] * (MAX_LAYERS + 1)}), "501 layers"),
        (edited(config=[]), "'config' is not an object"),
        (edited(config={"Env": "A=b"}), "'Env' is not a list of strings"),
        (edited(config={"Healthcheck": {"Interval": "30s"}}), "'Interval' is not a whole number"),
        (edited(history={}), "'history' is not a list of objects"),
        (edited(history=[{"empty_layer": 1}]), "'empty_layer' is not true or false"),
    ],
)
def test_nonsense_is_named(data: bytes, words: str) -> None:
    """Every field of the wrong kind is an ImageError that names it."""
    with pytest.raises(ImageError, match=words):
        read_config(data)


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


@given(
    env=st.lists(st.tuples(st.text("ABC", min_size=1), TEXT), max_size=4),
    labels=st.dictionaries(TEXT, TEXT, max_size=4),
    cmd=st.none() | st.lists(TEXT, min_size=1, max_size=3),
)
def test_any_text_survives(env: list[tuple[str, str]], labels: dict[str, str], cmd: list[str] | None) -> None:
    """Reading what was written gives the same value, whatever letters (a NUL is none) are in it."""
    run = RunConfig(env=tuple(env), labels=tuple(sorted(labels.items())), cmd=None if cmd is None else tuple(cmd))
    config = ImageConfig(Platform("linux", "amd64"), run)
    assert read_config(write_config(config)) == config


@pytest.mark.parametrize("name", ["User", "WorkingDir", "Env", "Entrypoint", "Cmd", "Shell", "OnBuild"])
@pytest.mark.parametrize("text", ["A=a\0b", "A=\ud800"])
def test_what_no_program_can_be_given(name: str, text: str) -> None:
    """A NUL or half a character in what a step is given is an error that names the field, before anything runs."""
    value = text if name in ("User", "WorkingDir") else [text]
    document = {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers"}, "config": {name: value}}
    with pytest.raises(ImageError, match=f"'{name}' is not text that a program can be given"):
        read_config(json.dumps(document).encode())


def test_variables_without_a_name_are_dropped() -> None:
    """An entry of Env without a name means nothing, and the kernel would hand it on all the same."""
    document = {"rootfs": {"type": "layers"}, "config": {"Env": ["", "=x", "A=b"]}}
    assert read_config(json.dumps(document).encode()).config.env == (("A", "b"),)


def test_more_triggers_than_a_buildfile_has() -> None:
    """An image that would have every build on it plan a hundred thousand instructions is refused."""
    document = {"rootfs": {"type": "layers"}, "config": {"OnBuild": ["RUN x"] * (MAX_TRIGGERS + 1)}}
    with pytest.raises(ImageError, match="1001 ONBUILD instructions"):
        read_config(json.dumps(document).encode())

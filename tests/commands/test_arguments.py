"""Words of the command line as values."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.commands import arguments
from builder.errors import UsageError
from builder.values.crossing import NetworkMode
from builder.values.platform import Platform
from builder.values.reference import Reference
from builder.values.request import Ulimit


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("app", "docker.io/library/app:latest"),
        ("app:1", "docker.io/library/app:1"),
        ("localhost:5000/team/app:v1.0", "localhost:5000/team/app:v1.0"),
    ],
)
def test_tags(text: str, tag: str) -> None:
    """A tag is read as docker reads names."""
    assert str(arguments.read_tag(text)) == tag


def test_build_args_come_from_the_line_or_the_environment() -> None:
    """The last value of a name counts; a bare name is looked up, and dropped where it is not set."""
    words = ("A=1", "B=x=y", "A=2", "HOME_DIR", "MISSING", "EMPTY=", "SET_EMPTY")
    found = arguments.read_build_args(words, {"HOME_DIR": "/root", "SET_EMPTY": ""})
    assert found == (("A", "2"), ("B", "x=y"), ("HOME_DIR", "/root"), ("EMPTY", ""), ("SET_EMPTY", ""))


def test_labels_may_lack_a_value() -> None:
    """`--label name` is an empty label, as docker has it; the last value of a name counts."""
    assert arguments.read_pairs("--label", ("a=1", "b", "a=2=3")) == (("a", "2=3"), ("b", ""))


def test_networks() -> None:
    """The networks there are; without the option it is the default one, which is also called auto."""
    assert [arguments.read_network(word) for word in (None, "default", "auto")] == [NetworkMode.DEFAULT] * 3
    assert [arguments.read_network(word) for word in ("none", "host", "proxy")] == [
        NetworkMode.NONE,
        NetworkMode.HOST,
        NetworkMode.PROXY,
    ]


def test_platforms() -> None:
    """A platform with its aliases resolved; none, or `local`, is this machine's."""
    assert arguments.read_platform("linux/aarch64") == Platform("linux", "arm64")
    assert arguments.read_platform(None) is None and arguments.read_platform("local") is None


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("db:10.0.0.1", ("db", "10.0.0.1")),
        ("db=10.0.0.1", ("db", "10.0.0.1")),
        ("six:::1", ("six", "::1")),
        ("six=[fe80::0001]", ("six", "fe80::1")),
        ("six:[::1]", ("six", "::1")),
    ],
)
def test_added_hosts(text: str, pair: tuple[str, str]) -> None:
    """A host and its address in docker's spellings."""
    assert arguments.read_add_host(text) == pair


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("nofile=1024", Ulimit("nofile", 1024, 1024)),
        ("nofile=1024:4096", Ulimit("nofile", 1024, 4096)),
        ("core=0:-1", Ulimit("core", 0, -1)),
        ("nproc=-1", Ulimit("nproc", -1, -1)),
    ],
)
def test_ulimits(text: str, limit: Ulimit) -> None:
    """A soft limit and, if it is there, a hard one; -1 is none."""
    assert arguments.read_ulimit(text) == limit


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512", 512),
        ("1b", 1),
        ("512m", 512 << 20),
        ("1.5g", 3 << 29),
        ("2GiB", 2 << 30),
        ("4 kB", 4096),
        ("1T", 1 << 40),
    ],
)
def test_memory(text: str, size: int) -> None:
    """Sizes have docker's units, all of them powers of 1024."""
    assert arguments.read_memory(text) == size
    assert arguments.read_memory(None) == 0


def test_rights() -> None:
    """Rights are known by name, each once."""
    words = ("network.host", "security.insecure", "network.host")
    assert arguments.read_allow(words) == ("network.host", "security.insecure")


def test_proxies_in_either_case() -> None:
    """Proxy variables that are set and not empty, under the names they have."""
    environment = {
        "HTTP_PROXY": "http://p",
        "https_proxy": "http://q",
        "NO_PROXY": "",
        "PATH": "/bin",
        "all_proxy": "s",
    }
    assert arguments.proxies_of(environment) == (
        ("HTTP_PROXY", "http://p"),
        ("https_proxy", "http://q"),
        ("all_proxy", "s"),
    )


@pytest.mark.parametrize(
    ("read", "text", "option"),
    [
        (arguments.read_tag, "", "-t/--tag"),
        (arguments.read_tag, "App:1", "-t/--tag"),
        (arguments.read_tag, "app:a b", "-t/--tag"),
        (arguments.read_tag, "app@sha256:" + "a" * 64, "-t/--tag"),
        (arguments.read_tag, "app@sha256:zz", "-t/--tag"),
        (arguments.read_network, "bridge", "--network"),
        (arguments.read_platform, "linux/amd64/v1/x", "--platform"),
        (arguments.read_platform, "quux", "--platform"),
        (arguments.read_platform, "linux/amd64,linux/arm64", "--platform"),
        (arguments.read_add_host, "db", "--add-host"),
        (arguments.read_add_host, ":10.0.0.1", "--add-host"),
        (arguments.read_add_host, "db:10.0.0", "--add-host"),
        (arguments.read_add_host, "db\n:10.0.0.1", "--add-host"),
        (arguments.read_add_host, "db:host-gateway", "--add-host"),
        (arguments.read_ulimit, "nofile", "--ulimit"),
        (arguments.read_ulimit, "nofile=", "--ulimit"),
        (arguments.read_ulimit, "nofile=5:4", "--ulimit"),
        (arguments.read_ulimit, "nofile=-1:4", "--ulimit"),
        (arguments.read_ulimit, "files=4", "--ulimit"),
        (arguments.read_ulimit, "nofile=1:2:3", "--ulimit"),
        *((arguments.read_jobs, word, "--jobs") for word in ("", "-1", "four", "1.5", "99999")),
        (arguments.read_memory, "", "--memory"),
        (arguments.read_memory, "0", "--memory"),
        (arguments.read_memory, "lots", "--memory"),
        (arguments.read_memory, "-1", "--memory"),
        (arguments.read_memory, "9999999p", "--memory"),
        (lambda text: arguments.read_build_args((text,), {}), "=x", "--build-arg"),
        (lambda text: arguments.read_build_args((text,), {}), "", "--build-arg"),
        (lambda text: arguments.read_pairs("--label", (text,)), "=x", "--label"),
        (lambda text: arguments.read_build_contexts((text,)), "name", "--build-context"),
        (lambda text: arguments.read_build_contexts((text,)), "=dir", "--build-context"),
        (lambda text: arguments.read_allow((text,)), "everything", "--allow"),
    ],
)
def test_malformed_values_name_their_option(read: Callable[[str], object], text: str, option: str) -> None:
    """A malformed value is a UsageError that begins with its option and hints at what is right."""
    with pytest.raises(UsageError) as caught:
        read(text)
    assert caught.value.message.startswith(f"{option}:")
    assert caught.value.hint
    assert caught.value.exit_code == 2


def test_a_password_on_the_wrong_side_is_not_repeated() -> None:
    """A malformed build argument is not shown with its value."""
    with pytest.raises(UsageError) as caught:
        arguments.read_build_args(("=hunter2",), {})
    assert "hunter2" not in caught.value.message


@given(st.text(max_size=40))
def test_any_word_is_read_or_refused(text: str) -> None:
    """Whatever a person types, it is a value or a UsageError."""
    for read in (
        arguments.read_tag,
        arguments.read_network,
        arguments.read_platform,
        arguments.read_add_host,
        arguments.read_ulimit,
        arguments.read_memory,
        arguments.read_jobs,
        lambda word: arguments.read_build_args((word,), {}),
    ):
        try:
            read(text)
        except UsageError:
            pass


def test_references_keep_registry_and_tag() -> None:
    """A name with a registry is not taken for one of docker.io."""
    assert arguments.read_tag("r.example/a") == Reference("r.example", "a", "latest")

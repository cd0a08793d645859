"""Secrets that would be in the image."""

from __future__ import annotations

import base64
import re
import shutil
from pathlib import Path
from urllib.parse import quote

import pytest

from builder.errors import BuildfileError
from builder.values.output import Annotation
from builder.values.request import Secret
from tests.stages.builds import Bench

VALUE = b"tok/en+4711 of-ours"
SECRET = Secret("token", VALUE + b"\n")
MOUNT = "--mount=type=secret,id=token"


def _leak(bench: Bench, buildfile: str, **asked: object) -> str:
    asked = {"secrets": (SECRET,), **asked}
    error = bench.fails(BuildfileError, buildfile, **asked)
    assert error.message.startswith("the secret 'token' would be in the image: ")
    assert VALUE.decode() not in f"{error.message} {error.hint}"
    assert "search=false" in (error.hint or "")
    assert error.span is None or error.span.first > 1
    return error.message.removeprefix("the secret 'token' would be in the image: ")


def _holds(directory: Path, data: bytes) -> list[str]:
    return [str(path) for path in directory.rglob("*") if path.is_file() and data in path.read_bytes()]


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("cp /run/secrets/token /etc/copy", "/etc/copy has its value, or a part of it, as it is"),
        ("base64 < /run/secrets/token > /copy", "/copy has its value, or a part of it, in base64"),
        ("(echo -n x; cat /run/secrets/token) | base64 > /copy", "/copy has its value, or a part of it, in base64"),
        ("od -An -tx1 /run/secrets/token | tr -d ' \\n' > /copy", "/copy has its value, or a part of it, in hex"),
        (f"echo '{quote(VALUE)}' > /copy", "/copy has its value, or a part of it, URL-encoded"),
        (
            'ln -s "$(cat /run/secrets/token)" /link',
            "the target of the link /link has its value, or a part of it, as it is",
        ),
        ("echo > /tok4711; sed s/^/4711tok/ /run/secrets/token >> /etc/group", "/etc/group has its value"),
    ],
)
def test_a_step_that_keeps_a_secret_is_refused(bench: Bench, busybox: str, command: str, found: str) -> None:
    """Whatever form it has; the error names the step, the file and the secret, and nothing of it stays in the store."""
    assert _leak(bench, f"FROM {busybox}\nRUN {MOUNT} {command}\n").startswith(found)
    assert _holds(bench.root, VALUE) == []
    assert bench.problems() == []
    assert list(bench.root.glob("pybuild/trash/*")) == []


@pytest.mark.kernel
def test_a_step_may_use_a_secret(bench: Bench, busybox: str) -> None:
    """What is gone at the end of its RUN, or was only read, is no leak."""
    bench.build(
        f"FROM {busybox}\nRUN {MOUNT} cp /run/secrets/token /copy; rm /copy; wc -c < /run/secrets/token > /count\n",
        secrets=(SECRET,),
    )
    assert bench.started


@pytest.mark.kernel
def test_a_failing_step_leaves_nothing(bench: Bench, busybox: str) -> None:
    """What it had written of a secret is not kept for the next build to remove."""
    with pytest.raises(Exception, match="exit code 3"):
        bench.build(f"FROM {busybox}\nRUN {MOUNT} cp /run/secrets/token /copy; exit 3\n", secrets=(SECRET,))
    assert _holds(bench.root, VALUE) == []


def test_a_copied_file_is_refused(bench: Bench) -> None:
    """COPY of a file that has a secret: the usual way for it to get out."""
    bench.file("app/.npmrc", b"//registry/:_authToken=" + VALUE)
    assert _leak(bench, "FROM scratch\nCOPY app /app\n").startswith("/app/.npmrc has its value")
    assert _holds(bench.root, VALUE) == []
    bench.build("FROM scratch\nCOPY app /app\n")
    assert bench.started


def test_a_known_step_is_searched_too(bench: Bench) -> None:
    """A layer that was built before anybody gave the secret; then its step is not known any more."""
    bench.file("f", VALUE)
    bench.build("FROM scratch\nCOPY f /f\n")
    assert _leak(bench, "FROM scratch\nCOPY f /f\n").startswith("/f has its value")
    bench.build("FROM scratch\nCOPY f /f\n")
    assert bench.started and not bench.cached


def test_a_known_step_is_searched_once(bench: Bench) -> None:
    """It is remembered for which secrets a layer has been looked through: a cached build reads no layer."""
    bench.file("f", b"harmless")
    for secrets in ((), (SECRET,)):
        bench.build("FROM scratch\nCOPY f /f\n", secrets=secrets)
    for blob in bench.root.glob("blobs/sha256/*"):
        blob.chmod(0o600)
        blob.write_bytes(b"\0" * blob.stat().st_size)
    with pytest.raises(Exception, match=r"damaged|not"):
        bench.build("FROM scratch\nCOPY f /f\n", secrets=(SECRET, Secret("other", b"another-value-1")))
    shutil.rmtree(bench.root)


@pytest.mark.parametrize(
    ("buildfile", "asked", "place"),
    [
        ("ENV TOKEN='{}'", {}, "the variable TOKEN of the image's environment"),
        ("LABEL a='{}'", {}, "the label a"),
        ("CMD ['{}']", {}, "the image's history"),
        ("ARG T\nWORKDIR /d\nENTRYPOINT x $T\n", {"build_args": (("T", VALUE.decode()),)}, "the image's history"),
        ("", {"annotations": (Annotation("a.b", VALUE.decode()),)}, "the annotation a.b"),
        ("", {"labels": (("l", VALUE.decode()),)}, "the label l"),
        ("ENV TOKEN={b64}", {}, "the variable TOKEN of the image's environment"),
    ],
)
def test_the_config_is_searched(bench: Bench, buildfile: str, asked: dict[str, object], place: str) -> None:
    """Environment, labels, commands, history and annotations go out with the image as its files do."""
    bench.file("f", b"1")
    text = buildfile.replace("{}", VALUE.decode()).replace("{b64}", base64.b64encode(VALUE).decode())
    assert _leak(bench, f"FROM scratch\nCOPY f /\n{text}\n", **asked).startswith(place)
    assert _holds(bench.root, VALUE) == []


@pytest.mark.kernel
def test_a_build_argument_in_the_history_is_refused(bench: Bench, busybox: str) -> None:
    """The value of an ARG is in the history of each RUN after it."""
    place = _leak(bench, f"FROM {busybox}\nARG T\nRUN true > /f\n", build_args=(("T", VALUE.decode()),))
    assert place.startswith("the image's history")


def test_a_secret_may_be_meant_for_the_image(bench: Bench) -> None:
    """search=false says so, for this secret alone."""
    bench.file("f", VALUE)
    bench.build("FROM scratch\nCOPY f /f\n", secrets=(Secret("token", VALUE, is_sought=False),))
    assert bench.notes == []


@pytest.mark.parametrize("value", [b"1234", b"password"])
def test_a_secret_that_is_found_anywhere_is_not_searched_for(bench: Bench, value: bytes) -> None:
    """Nobody could build with a secret that every image holds; it is said."""
    bench.file("f", value)
    bench.build("FROM scratch\nCOPY f /f\n", secrets=(Secret("pin", value),))
    assert [re.search("'pin'.*", note) is not None for note in bench.notes] == [True]


def test_a_certificate_may_be_in_the_image(bench: Bench) -> None:
    """A CA is given as a secret to be put there."""
    pem = (
        b"-----BEGIN CERTIFICATE-----\n"
        + b"MIIBkTCB+wIJAKHHIG4kq9W7MA0GCSqGSIb3DQEBBQUAMA0xCzAJ\n-----END CERTIFICATE-----\n"
    )
    bench.file("ca.crt", pem)
    bench.build("FROM scratch\nCOPY ca.crt /\n", secrets=(Secret("ca", pem),))
    assert bench.notes == []


def test_what_is_sought_is_in_no_repr() -> None:
    """A traceback or a log line that shows one shows no value."""
    from builder.stages.leaks import Sought

    assert "tok" not in repr(Sought("id", VALUE, "in hex"))

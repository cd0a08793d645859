"""Secrets in all forms that encoders give them, at random cuts: none is shown, and none gets into a layer unseen."""

from __future__ import annotations

import json
import random
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from builder.report.lines import LIMIT_BYTES, LineCutter
from builder.report.mask import Mask
from builder.tree.leaks import Search
from builder.values.traces import is_telling, traces
from tests.conftest import LONG
from tests.hostile.buildfiles import a_bench, ground_of

BOUNDED = settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'()*+,-./:;<=>?@[]^_{|}~\"\\äß€"


def _base64_at(offset: int, encode: Callable[[bytes], bytes]) -> Callable[[str], bytes]:
    """The value in base64 after so many other bytes, without the letters that are its neighbours' too."""

    def form(value: str) -> bytes:
        text = encode(b"\0" * offset + value.encode() + b"\0" * 3)
        return text[-(-8 * offset // 6) : 8 * (offset + len(value.encode())) // 6]

    return form


FORMS: dict[str, Callable[[str], bytes]] = {
    "as it is": str.encode,
    "hex": lambda value: value.encode().hex().encode(),
    "HEX": lambda value: value.encode().hex().upper().encode(),
    "URL-encoded": lambda value: quote(value, safe="").encode(),
    "path of a URL": lambda value: quote(value).encode(),
    "JSON": lambda value: json.dumps(value)[1:-1].encode(),
    "JSON in UTF-8": lambda value: json.dumps(value, ensure_ascii=False)[1:-1].encode(),
    **{f"base64 after {at}": _base64_at(at, b64encode) for at in range(3)},
    **{f"base64 for URLs after {at}": _base64_at(at, urlsafe_b64encode) for at in range(3)},
}
"""How a value is written down, by what one calls it: of each all bytes are its own."""

SHOWN: dict[str, Callable[[str], bytes]] = {**FORMS, "quoted": lambda value: value.replace("'", "'\"'\"'").encode()}
"""Those that are hidden in what is shown."""

values = st.text(st.sampled_from(_LETTERS), min_size=8, max_size=60).filter(lambda text: is_telling(text.encode()))
filling = st.binary(max_size=40) | st.integers(LIMIT_BYTES - 90, LIMIT_BYTES + 90).map(lambda count: b"." * count)
cuts = st.lists(st.integers(1, 90), min_size=1, max_size=8)


def _pieces(data: bytes, sizes: list[int], at: int) -> list[bytes]:
    """The data cut at random around a place, and whole before and after it."""
    places = [max(at - 60, 0)]
    for size in sizes:
        places.append(places[-1] + size)
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


@BOUNDED
@given(form=st.sampled_from(sorted(SHOWN)), value=values, before=filling, after=filling, sizes=cuts)
def test_no_form_is_shown(form: str, value: str, before: bytes, after: bytes, sizes: list[int]) -> None:
    """Wherever a step's output is cut into writes, and wherever a long line is, the value is not in what is shown."""
    word = SHOWN[form](value)
    before = before.replace(b"\r", b"").replace(b"\x1b", b"")
    after = after.replace(b"\r", b"").replace(b"\x1b", b"")
    cutter = LineCutter(Mask([value.encode()]))
    lines = [line for piece in _pieces(before + word + after, sizes, len(before)) for line in cutter.feed(piece)]
    assert word not in "".join([*lines, *cutter.flush()]).encode("utf-8", "surrogateescape")


@BOUNDED
@example(value=r"00\n0000", at=1, sizes=[1])
@given(value=values.filter(lambda text: text[0] not in "[K"), at=st.integers(1, 7), sizes=cuts)
def test_colours_hide_nothing_from_the_mask(value: str, at: int, sizes: list[int]) -> None:
    """A value with escape sequences between its letters is hidden as one without."""
    data = f"{value[:at]}\x1b[01;31m\x1b[K{value[at:]}\x1b[m\n".encode()
    cutter = LineCutter(Mask([value.encode()]))
    assert [line for piece in _pieces(data, sizes, 0) for line in cutter.feed(piece)] == ["***"]


@BOUNDED
@given(
    form=st.sampled_from(sorted(FORMS)),
    value=values,
    before=st.binary(max_size=200),
    after=st.binary(max_size=200),
    sizes=cuts,
)
def test_no_form_gets_into_a_layer(form: str, value: str, before: bytes, after: bytes, sizes: list[int]) -> None:
    """Wherever it lies across the blocks of a tar, the search finds the value."""
    search = Search([trace.data for trace in traces(value.encode())])
    for piece in _pieces(before + FORMS[form](value) + after, sizes, len(before)):
        search.feed(memoryview(bytearray(piece)))
    assert search.hits


@pytest.mark.kernel
def test_a_step_that_prints_all_forms_of_many_secrets(tmp_path: Path) -> None:
    """A whole build: each form of 24 random values, in writes cut at random, and not one in what a person sees."""
    seed = random.randrange(1 << 32) if LONG else 11
    dice = random.Random(seed)
    made = ["".join(dice.choices(_LETTERS, k=dice.randrange(10, 40))) for _ in range(24)]
    with a_bench(tmp_path) as bench:
        ground = ground_of(tmp_path, bench)
        words: list[str] = []
        output = b""
        for number, value in enumerate(made):
            (ground.room.path / "home" / f"s{number}").write_text(value)
            words += ["--secret", f"id=s{number},src=../home/s{number},search=false"]
            for form in SHOWN.values():
                output += form(value) + dice.choice((b"\n", b" ", b"\n\n"))
        _write_in_pieces(ground.context, output, dice)
        text = "FROM @BASE@\nRUN --mount=type=bind,target=/c for f in /c/part*; do cat $f; done; false\n"
        (ground.context / "Buildfile").write_text(ground.filled(text))
        verdict = ground.room.run("build", "--progress", "plain", *words, ".", directory="context")
        assert verdict.status == 1 and verdict.text.count("***") > len(made) * 6, verdict.text
        shown = verdict.text.encode()
        seen = [(form, value) for value in made for form, make in SHOWN.items() if make(value) in shown]
        assert not seen, (seed, seen)
        logged = ground.room.run("builds", "show", directory="context")
        assert not [value for value in made if value in logged.text]


def _write_in_pieces(directory: Path, data: bytes, dice: random.Random) -> None:
    number = 0
    while data:
        size = dice.randrange(1, 400)
        (directory / f"part{number:05}").write_bytes(data[:size])
        data, number = data[size:], number + 1

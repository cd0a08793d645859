"""What of RUN --mount is in the key of its step."""

from __future__ import annotations

import pytest

from tests.stages.builds import Bench, base, row

pytestmark = pytest.mark.kernel


def test_a_bind_is_in_the_key(bench: Bench, busybox: str) -> None:
    """The step runs again when what it was shown changed, and only then."""
    bench.file("a", "1")
    buildfile = f"FROM {busybox}\nRUN --mount=type=bind,source=a,target=/a cat /a\n"
    bench.build(buildfile)
    bench.file("b", "1")
    bench.build(buildfile)
    assert bench.cached
    bench.file("a", "2")
    bench.build(buildfile)
    assert bench.output == "2"
    bench.file("a", "2", 0o755)
    bench.build(buildfile)
    assert bench.started


def test_owners_in_a_bound_stage_are_in_the_key(bench: Bench, busybox: str) -> None:
    """Two images that differ by an owner alone are different things to see."""
    seen = []
    for uid in (1, 2):
        layout = base(bench.room / f"base{uid}", [[row("f", "same", uid=uid)]])
        contexts = (("other", layout),)
        bench.build(f"FROM {busybox}\nRUN --mount=from=other,target=/o stat -c %u /o/f\n", build_contexts=contexts)
        seen.append(bench.output)
    assert seen == ["1\n", "2\n"]


def test_the_seed_of_a_cache_is_in_the_key(bench: Bench, busybox: str) -> None:
    """Another tree to start from is another step."""
    for text in ("1", "2"):
        layout = base(bench.room / f"base{text}", [[row("f", text)]])
        mount = "--mount=type=cache,target=/c,from=other"
        bench.build(f"FROM {busybox}\nRUN {mount} true\n", build_contexts=(("other", layout),))
        assert bench.started

"""Steps on plain copies: the copy is the stack, and its changes are those that an overlay would have had."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from builder.tree.commit import NOTHING, perform
from builder.tree.copyup import changes_into_upper, merge
from builder.tree.diff import changes
from builder.tree.inode import OWNER_XATTR
from tests.tree import inside, operations
from tests.tree.test_commit import ATTRIBUTES, Operations, job
from tests.tree.test_diff import BASE
from tests.tree.trees import apply, describe, overlay, sh, shown, step

pytestmark = pytest.mark.kernel


def _merged_stack(directory: Path) -> bool:
    upper, lower = step(directory, BASE, ATTRIBUTES + "rm h1; rm -r tmp; mkdir tmp; chmod 700 .")
    os.setxattr(lower / "h2", OWNER_XATTR, b"7:7")
    merge([str(upper), str(lower)], str(directory / "plain"))
    with overlay(directory, [upper, lower], directory / "look") as merged:
        assert (directory / "plain").stat().st_mode == upper.stat().st_mode
        assert describe(directory / "plain", directory_times=True) == describe(merged, directory_times=True)
    return True


def test_merge(tmp_path: Path) -> None:
    """The copy has every attribute and every hard link that the mounted stack shows, directory times too."""
    assert inside.run(_merged_stack, tmp_path)


def _copied(directory: Path, script: str) -> list[str]:
    lower, plain, upper = directory / "lower", directory / "plain", directory / "upper"
    lower.mkdir()
    sh(lower, BASE)
    merge([str(lower)], str(plain))
    sh(plain, script)
    changes_into_upper(str(plain), [str(lower)], str(upper))
    return shown(changes(str(upper), (str(lower),)))


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param("true", [], id="nothing"),
        pytest.param("echo x > d/sub/x", ["d d", "d d/sub", "f d/sub/x"], id="a new file"),
        pytest.param("rm -r d", ["w d"], id="a removed directory"),
        pytest.param("rm -r d; mkdir d", ["d d", "w d/a", "w d/link", "w d/sub"], id="a directory made anew"),
        pytest.param("rm -r d; echo x > d", ["f d"], id="a directory becomes a file"),
        pytest.param("chmod 700 d", ["d d"], id="a mode"),
        pytest.param("chmod 700 .", ["d "], id="the root's mode"),
        pytest.param("touch -d @5 d", [], id="a directory's time"),
        pytest.param("ln d/a z", ["d d", "f d/a", "h z->d/a"], id="a new name takes the file along"),
        pytest.param("echo x >> h1", ["f h1", "h h2->h1"], id="both names of a changed file"),
        pytest.param("ln -f t1 t2", ["f t1", "h t2->t1"], id="two equal files become one"),
        pytest.param("rm h1", ["w h1"], id="one name of two removed"),
    ],
)
def test_changes(tmp_path: Path, script: str, expected: list[str]) -> None:
    """What a step changed in the copy is what its layer has."""
    assert inside.run(_copied, tmp_path, script) == expected


def _random_steps(directory: Path) -> None:
    @settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(operations.operations, operations.operations, operations.operations)
    def law(base: Operations, first: Operations, second: Operations) -> None:
        here = Path(tempfile.mkdtemp(dir=directory))
        lower, plain = here / "lower", here / "plain"
        lower.mkdir()
        operations.perform(lower, base)
        merge([str(lower)], str(plain))
        lowers = [lower]
        for number, some in enumerate((first, second)):
            copy, upper = here / f"copy{number}", here / f"upper{number}"
            merge([str(each) for each in lowers], str(copy))
            operations.perform(copy, some)
            expected = describe(copy)
            changes_into_upper(str(copy), [str(each) for each in lowers], str(upper))
            if perform(job(here, upper, lowers, f"layer{number}")) != NOTHING:
                apply(here / f"layer{number}", plain)
            assert describe(plain) == expected
            lowers.insert(0, upper)
        with overlay(here, lowers, here / "look") as merged:
            assert describe(merged) == expected
        shutil.rmtree(here)

    law()


def test_law_the_upper_directory_gives_the_tree_again(tmp_path: Path) -> None:
    """Whatever two steps do to copies, their layers and their upper directories both give the tree they saw."""
    inside.run(_random_steps, tmp_path)

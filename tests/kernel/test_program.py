"""Commands that are found, and commands that cannot be run."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.kernel.program import DEFAULT_PATH, program_of
from builder.values.crossing import Tree
from tests.kernel.bench import Bench


class TestSearch:
    """Where a program is looked for."""

    def test_path(self) -> None:
        """A plain name is looked for in the step's PATH, in order."""
        program = program_of(("ls", "-l"), (("PATH", "/a:/b"), ("X", "1")))
        assert program.candidates == (b"/a/ls", b"/b/ls")
        assert (program.argv, program.env) == ((b"ls", b"-l"), {b"PATH": b"/a:/b", b"X": b"1"})

    def test_default(self) -> None:
        """Without a PATH the usual one is used."""
        assert len(program_of(("ls",), ()).candidates) == len(DEFAULT_PATH.split(":"))

    def test_with_slash(self) -> None:
        """A name with a slash is a path."""
        assert program_of(("./x",), (("PATH", "/a"),)).candidates == (b"./x",)

    def test_nothing(self) -> None:
        """An empty command has no candidates."""
        assert program_of((), ()).candidates == program_of(("",), ()).candidates == ()


@pytest.mark.kernel
class TestFailure:
    """What a step says and gives that cannot be begun."""

    def test_no_shell(self, room: Bench) -> None:
        """Without a shell the message says so, and the status is 127."""
        outcome = room.run("sh", "-c", "true", root=Tree(()))
        assert outcome.status == 127
        assert '"sh"' in outcome.output and "without a shell" in outcome.output

    def test_absolute(self, room: Bench) -> None:
        """A path that is not there is named."""
        outcome = room.run("/opt/none", "x")
        assert (outcome.status, outcome.output) == (
            127,
            'pybuild: cannot run "/opt/none": the image has no such file\n',
        )

    def test_empty(self, room: Bench) -> None:
        """An empty command says that there is none."""
        outcome = room.run("", "")
        assert (outcome.status, outcome.output) == (127, "pybuild: there is no command to run\n")

    @pytest.mark.parametrize(
        ("content", "mode", "status", "words"),
        [
            ("text", 0o644, 126, "permission denied"),
            ("text", 0o755, 126, "format is unknown"),
            ("#!/opt/absent\n", 0o755, 127, "the interpreter or loader"),
        ],
    )
    def test_unusable(self, room: Bench, content: str, mode: int, status: int, words: str) -> None:
        """No permission, an unknown format and a missing interpreter give 126 or 127, and are told apart."""
        root = room.with_image(f"unusable-{mode}-{len(content)}", {"opt/x": content})
        Path(root.lowers[0], "opt/x").chmod(mode)
        outcome = room.run("/opt/x", "y", root=root)
        assert outcome.status == status
        assert words in outcome.output

    def test_directory(self, room: Bench) -> None:
        """A directory is no program."""
        outcome = room.run("/bin", "x")
        assert (outcome.status, "it is a directory" in outcome.output) == (126, True)

    def test_search_goes_on(self, room: Bench) -> None:
        """A file in PATH that may not be executed does not hide a later one that may."""
        root = room.with_image("hidden", {"first/tool": "text"})
        env = (("PATH", "/first:/second:/bin"),)
        assert room.run("tool", "x", root=root, env=env).status == 126
        above = room.with_image("found", {"second/tool": "#!/bin/sh\necho second\n"})
        Path(above.lowers[0], "second/tool").chmod(0o755)
        both = Tree((*above.lowers[:1], *root.lowers))
        assert room.run("tool", "x", root=both, env=env).output == "second\n"

"""What must happen to a case: one clear line, or success; never anything else."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from tests.hostile.judged import Verdict
from tests.hostile.server import Server
from tests.oci.images import Sample

IMAGE_ERROR = 5
_CLEAR = (1, 3, 4, 5, 7)  # a step that fails, the Buildfile, the context, an image, the store


@dataclass(frozen=True)
class Refused:
    """The command ends with one error whose words match, and with the exit code of images."""

    words: str
    status: int = IMAGE_ERROR

    def faults(self, verdict: Verdict) -> list[str]:
        """What was not so."""
        errors = [line for line in verdict.text.splitlines() if line.startswith("pybuild: ")]
        found = []
        if verdict.status != self.status:
            found.append(f"status {verdict.status} and not {self.status}")
        if len(errors) != 1:
            found.append(f"{len(errors)} errors and not one")
        elif not re.search(self.words, errors[0]):
            found.append(f"it does not say {self.words!r}")
        if any(len(line) > 1000 for line in errors):
            found.append("the error is endless")
        return found


@dataclass(frozen=True)
class Accepted:
    """The command succeeds: nothing was wrong, or trying again has mended it."""

    def faults(self, verdict: Verdict) -> list[str]:
        """What was not so."""
        return [] if verdict.status == 0 else [f"status {verdict.status}"]


@dataclass(frozen=True)
class Contained:
    """The command succeeds, or ends with one error that is not a bug: what the stranger made stays where it belongs."""

    def faults(self, verdict: Verdict) -> list[str]:
        """What was not so."""
        errors = [line for line in verdict.text.splitlines() if line.startswith("pybuild: ")]
        if verdict.status == 0 or (verdict.status in _CLEAR and len(errors) == 1):
            return []
        return [f"status {verdict.status}, {len(errors)} errors"]


Outcome = Refused | Accepted | Contained


@dataclass(frozen=True)
class Case:
    """A way to misbehave. `arrange` is given a server that answers well for `sample` as `app:1` and spoils it."""

    name: str
    arrange: Callable[[Server, Sample], None]
    outcome: Outcome

"""Everything that can go wrong, as one tree of exceptions.

    PybuildError
    ├── StepFailed       1  a command of the Buildfile ended badly
    ├── UsageError       2  the command line
    ├── BuildfileError   3  the text of the Buildfile or of an ignore file
    ├── ContextError     4  the build context, or a source named in it, is missing or unusable
    ├── ImageError       5  a base or another image cannot be had, read, verified or sent
    ├── MachineError     6  the kernel, the machine or its set-up refuses what the build needs
    ├── StoreError       7  the store or an output cannot be read or written (damage, space, version)
    └── Interrupted    130  somebody asked us to stop

The numbers are exit codes; the README's table repeats them. Anything else that escapes is a bug of ours (exit 70).
"""

from __future__ import annotations

from typing import ClassVar

from builder.source import Span


class PybuildError(Exception):
    """What failed in the user's words, where (if it was in a Buildfile), and what to do about it."""

    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, *, span: Span | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.span = span
        self.hint = hint

    def at(self, span: Span) -> PybuildError:
        """This error with a place; a place that it has already is kept."""
        if self.span is None:
            self.span = span
        return self


class StepFailed(PybuildError):
    """A command of the Buildfile ended with a status other than 0, or by a signal."""

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        span: Span | None = None,
        hint: str | None = None,
        command: str = "",
        status: int = 0,
        tail: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, span=span, hint=hint)
        self.command = command
        self.status = status
        self.tail = tail


class UsageError(PybuildError):
    """The command line cannot be understood or asks for what is not there."""

    exit_code = 2


class BuildfileError(PybuildError):
    """The Buildfile (or its ignore file) says something that cannot be built."""

    exit_code = 3


class ContextError(PybuildError):
    """The build context or something taken from it is missing, ignored or unreadable."""

    exit_code = 4


class ImageError(PybuildError):
    """An image cannot be found, fetched, verified, understood or sent."""

    exit_code = 5


class MachineError(PybuildError):
    """This machine, its kernel or its set-up refuses something that the build needs."""

    exit_code = 6


class StoreError(PybuildError):
    """The store or an output cannot be read or written: damage, no space, another version."""

    exit_code = 7


class Interrupted(PybuildError):
    """The build was stopped from outside (SIGINT 130, SIGTERM 143)."""

    exit_code = 130

    def __init__(self, message: str = "interrupted", *, signal_number: int = 2) -> None:
        super().__init__(message)
        self.signal_number = signal_number


BY_NAME: dict[str, type[PybuildError]] = {
    kind.__name__: kind
    for kind in (StepFailed, UsageError, BuildfileError, ContextError, ImageError, MachineError, StoreError)
}
"""The kinds that may cross from the worker to the conductor, by the name they travel under."""

"""The `check` directive (`# check=skip=RULE,RULE;error=true`) as a value.

Which rules there are is known in `lang.checks`. Source: the Dockerfile reference, "check"; BuildKit's frontend for
what is malformed. Spaces around words do
not count, and ` //` begins a remark.
"""

from __future__ import annotations

import re

from builder.declare import dataclass
from builder.errors import BuildfileError
from builder.lang.letters import SPACES, clipped
from builder.lang.quantities import truth
from builder.pattern import pattern

_COMMENT = pattern(r"check[\t\n\f\r ]*+=[\t\n\f\r ]*+(.+)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """Which rules are left out, which experimental ones are wanted, and whether a finding ends the build."""

    skip_all: bool = False
    skip: frozenset[str] = frozenset()
    experimental_all: bool = False
    experimental: frozenset[str] = frozenset()
    error: bool = False

    def wants(self, rule: str, is_experimental: bool) -> bool:
        """Whether findings of a rule are to be shown."""
        if is_experimental:
            return self.experimental_all or rule in self.experimental
        return not (self.skip_all or rule in self.skip)

    def joined(self, other: CheckOptions) -> CheckOptions:
        """These options with those of a comment above an instruction, which cannot make findings errors."""
        return CheckOptions(
            self.skip_all or other.skip_all,
            self.skip | other.skip,
            self.experimental_all or other.experimental_all,
            self.experimental | other.experimental,
            self.error,
        )


def read_options(text: str | None) -> CheckOptions:
    """Read the directive's value (None: there is none). Raises BuildfileError without a span."""
    options = CheckOptions()
    for part in (text or "").partition(" //")[0].split(";"):
        name, separator, value = (word.strip(SPACES) for word in part.partition("="))
        if not part.strip(SPACES):
            continue
        if not separator or name not in ("skip", "experimental", "error"):
            raise BuildfileError(
                f"invalid check option {clipped(part.strip(SPACES))}",
                hint="the check directive takes skip=RULE,…, experimental=RULE,… and error=true, with ; between them",
            )
        options = options.joined(_option(name, value)) if name != "error" else _with_error(options, value)
    return options


def options_in(comments: tuple[str, ...]) -> CheckOptions:
    """What the first check comment above an instruction asks for; a malformed one asks for nothing."""
    for comment in comments:
        found = _COMMENT.fullmatch(comment)
        if found is not None:
            try:
                return read_options(found[1])
            except BuildfileError:
                return CheckOptions()
    return CheckOptions()


def _option(name: str, value: str) -> CheckOptions:
    rules = frozenset(rule.strip(SPACES) for rule in value.split(","))
    if name == "skip":
        return CheckOptions(skip_all=True) if value == "all" else CheckOptions(skip=rules)
    return CheckOptions(experimental_all=True) if value == "all" else CheckOptions(experimental=rules)


def _with_error(options: CheckOptions, value: str) -> CheckOptions:
    try:
        error = truth(value)
    except ValueError as problem:
        raise BuildfileError(f"check option error: {problem}", hint="write error=true or error=false") from None
    return CheckOptions(options.skip_all, options.skip, options.experimental_all, options.experimental, error)

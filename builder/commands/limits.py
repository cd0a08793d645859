"""`--limit NAME=VALUE` and `[limits]` of the configuration → the limits in force."""

from __future__ import annotations

from builder.commands.arguments import bad
from builder.commands.caller import Caller
from builder.commands.settings import settings_of
from builder.errors import UsageError
from builder.lang.quantities import size_bytes
from builder.lang.suggest import did_you_mean
from builder.tree import bounds
from builder.values.limit_names import BOUND_NAMES, BOUNDS, Bound, with_values
from builder.values.limits import Limits
from builder.values.settings import Settings

_WRITTEN = "--limit NAME=VALUE, such as layer=50GB or index-depth=8"


def enforce_limits(words: tuple[str, ...], caller: Caller) -> None:
    """Have the limits hold that this command line and the configuration name. Raises UsageError."""
    bounds.enforce(limits_of(words, settings_of(caller)))


def limits_of(words: tuple[str, ...], settings: Settings) -> Limits:
    """The limits: the defaults, what the configuration says, and above all the options; of a name the last counts."""
    return with_values(settings.limits, [_read(word) for word in words])


def _read(word: str) -> tuple[str, int]:
    name, equals, text = word.partition("=")
    bound = next((bound for bound in BOUNDS if bound.name == name), None)
    if bound is None:
        hint = did_you_mean(name, BOUND_NAMES, f"there are {', '.join(BOUND_NAMES)}")
        raise UsageError(f"--limit: there is no limit {name[:40]!r}", hint=hint)
    if not equals:
        raise bad("--limit", f"{name} has no value", _WRITTEN)
    try:
        return bound.field, bound.check(_number(bound, text))
    except ValueError as error:
        raise bad("--limit", f"{name}: {error}", _WRITTEN) from None


def _number(bound: Bound, text: str) -> int:
    if bound.is_size:
        return size_bytes(text)
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise ValueError(f"{text[:40]!r} is not a whole number")
    return int(text)

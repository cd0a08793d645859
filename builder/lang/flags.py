"""The flags of an instruction (`--name=value`) held against those it knows. Which it knows is the grammar's to say.

Source: the Dockerfile reference; BuildKit's frontend for repeated flags, missing values and what counts as true.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

from builder.declare import dataclass
from builder.errors import BuildfileError
from builder.lang.letters import clipped
from builder.lang.suggest import did_you_mean


class Takes(Enum):
    """What a flag takes: one text, several (one each time it is given), or true and false."""

    TEXT = auto()
    TEXTS = auto()
    TRUTH = auto()


@dataclass(frozen=True, slots=True)
class Flags:
    """The values given, by the flag's name."""

    values: Mapping[str, tuple[str, ...]]

    def text(self, name: str) -> str | None:
        """The value of a flag, None where it is absent or empty."""
        return self.values.get(name, ("",))[0] or None

    def texts(self, name: str) -> tuple[str, ...]:
        """All values of a flag."""
        return self.values.get(name, ())

    def truth(self, name: str) -> bool | None:
        """Whether a flag is on; None where it is absent."""
        given = self.values.get(name)
        return None if given is None else given[0] == "true"

    def has(self, name: str) -> bool:
        """Whether a flag was given at all."""
        return name in self.values


def read_flags(instruction: str, words: tuple[str, ...], known: Mapping[str, Takes]) -> Flags:
    """Read the flags of an instruction. Raises BuildfileError without a span."""
    values: dict[str, list[str]] = {}
    for word in words:
        name, separator, value = word[2:].partition("=")
        takes = known.get(name)
        if takes is None:
            raise BuildfileError(f"unknown flag: {clipped('--' + name)[1:-1]}", hint=_which(instruction, name, known))
        if name in values and takes is not Takes.TEXTS:
            raise BuildfileError(f"duplicate flag specified: --{name}", hint=f"give --{name} once")
        values.setdefault(name, []).append(_value(name, value, bool(separator), takes))
    return Flags({name: tuple(given) for name, given in values.items()})


def _value(name: str, value: str, has_value: bool, takes: Takes) -> str:
    if takes is not Takes.TRUTH:
        if not has_value:
            raise BuildfileError(f"missing a value on flag: --{name}", hint=f"write --{name}=VALUE")
        return value
    if has_value and not value:
        raise BuildfileError(
            f"missing a value on flag: --{name}", hint=f"write --{name}, --{name}=true or --{name}=false"
        )
    folded = value.lower() or "true"
    if folded not in ("true", "false"):
        raise BuildfileError(
            f"expecting boolean value for flag --{name}, not: {clipped(value)[1:-1]}",
            hint=f"write --{name}, --{name}=true or --{name}=false",
        )
    return folded


def _which(instruction: str, name: str, known: Mapping[str, Takes]) -> str:
    if not known:
        return f"{instruction} takes no flags; a bare -- before the arguments lets them begin with --"
    everything = ", ".join(f"--{flag}" for flag in sorted(known))
    return did_you_mean(f"--{name}", (f"--{flag}" for flag in known), f"{instruction} knows {everything}")

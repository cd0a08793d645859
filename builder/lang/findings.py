"""What the build checks look at and what they find: instructions with their lines, findings with their place.

`lang.check_rules` and `lang.check_names` make findings; `lang.checks` filters them. Names and messages of rules are
BuildKit's published ones, so that people find their documentation.
"""

from __future__ import annotations

from collections.abc import Iterator

from builder.declare import dataclass
from builder.lang.lines import LogicalLine
from builder.source import Span
from builder.values.instruction import Block, Buildfile, From, Instruction


@dataclass(frozen=True, slots=True)
class Item:
    """An instruction with the line it came from; `block` is None before the first FROM."""

    line: LogicalLine
    instruction: Instruction | From
    block: Block | None

    @property
    def written_name(self) -> str:
        """The instruction's name in the letter case of the file."""
        return self.line.statement.name


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule's complaint. The comments above `item` may wave it away; `span` is what it points at."""

    rule: str
    message: str
    item: Item
    span: Span


def found(rule: str, message: str, item: Item) -> Finding:
    """A finding that points at the instruction itself."""
    return Finding(rule, message, item, item.line.span)


def items_of(buildfile: Buildfile, lines: tuple[LogicalLine, ...]) -> tuple[Item, ...]:
    """The instructions of a file with their lines, in order."""
    return tuple(
        Item(line, instruction, block)
        for line, (instruction, block) in zip(lines, _instructions(buildfile), strict=True)
    )


def _instructions(buildfile: Buildfile) -> Iterator[tuple[Instruction | From, Block | None]]:
    for argument in buildfile.global_args:
        yield argument, None
    for block in buildfile.blocks:
        yield block.from_, block
        for instruction in block.instructions:
            yield instruction, block


def parents_of(buildfile: Buildfile) -> dict[int, int | None]:
    """For each block the number of the earlier block that it builds on, or None."""
    names: dict[str, int] = {}
    parents: dict[int, int | None] = {}
    for block in buildfile.blocks:
        parents[block.index] = names.get(block.from_.image.lower())
        if block.from_.alias is not None:
            names[block.from_.alias] = block.index
    return parents

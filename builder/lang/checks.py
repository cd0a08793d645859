"""stub"""

from builder.lang.lines import LogicalLine
from builder.values.instruction import Buildfile, CheckWarning


def check(buildfile: Buildfile, lines: tuple[LogicalLine, ...]) -> tuple[CheckWarning, ...]:
    return ()

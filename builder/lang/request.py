"""A cut line on its way to becoming an instruction: its parts, its place, and what every instruction asks of them."""

from __future__ import annotations

from builder.declare import dataclass
from builder.errors import BuildfileError
from builder.lang.heredoc import without_leading_tabs
from builder.lang.letters import clipped
from builder.lang.lines import HeredocBody
from builder.lang.statement import Statement
from builder.source import Span
from builder.values.instruction import Command, ExecForm, Heredoc, ShellForm


@dataclass(frozen=True, slots=True)
class Request:
    """A statement with its place and the here-documents behind it; `original` is what histories show."""

    statement: Statement
    span: Span
    original: str
    bodies: tuple[HeredocBody, ...] = ()

    @property
    def name(self) -> str:
        """The instruction in upper case."""
        return self.statement.name.upper()

    @property
    def args(self) -> tuple[str, ...]:
        """The arguments as the line's shape cut them."""
        return self.statement.args

    def only_argument(self) -> str:
        """The one argument. Raises BuildfileError where there is another number of them."""
        if len(self.args) != 1:
            raise BuildfileError(f"{self.name} requires exactly one argument")
        return self.args[0]

    def some_arguments(self) -> tuple[str, ...]:
        """The arguments. Raises BuildfileError where there are none."""
        if not self.args:
            raise BuildfileError(f"{self.name} requires at least one argument")
        return self.args

    def heredocs(self) -> tuple[Heredoc, ...]:
        """The here-documents, without the tabs that `<<-` takes away."""
        return tuple(
            Heredoc(
                body.mark.name,
                without_leading_tabs(body.text) if body.mark.chomp else body.text,
                body.mark.expand,
                body.mark.fd,
            )
            for body in self.bodies
        )

    def command(self) -> Command:
        """The arguments as a command: the JSON form, or text for the shell."""
        if self.statement.is_json:
            return ExecForm(self.args)
        return ShellForm(" ".join(self.args), self.heredocs())

    def words_at_fault(self) -> str:
        """The arguments, for a message."""
        return clipped(" ".join(self.args))

"""click's commands, made from the tables of options and commands; the only module that imports click.

Every callback gets the `Caller` as click's object and returns an exit code. What each command does is in its own
module, imported when it is called.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from builder import VERSION
from builder.commands.caller import Caller
from builder.commands.names import GROUPS, NAMES, VERBATIM
from builder.commands.options import OPTIONS, BuildOptions, Option
from builder.errors import UsageError

if TYPE_CHECKING:  # the table of the other commands is nothing that a build needs
    from builder.commands.line import Value
    from builder.commands.table import Command, Word


def run(words: Sequence[str], caller: Caller) -> int:
    """Carry out a command line and return its exit code. Raises UsageError for one that cannot be understood."""
    # Not `app.main`: it would turn an interruption into an Abort and a broken pipe into an exit of its own.
    try:
        with app.make_context("pybuild", list(words), obj=caller) as line:
            status = app.invoke(line)
    except click.exceptions.Exit as done:  # after --help and --version
        return done.exit_code
    except click.UsageError as error:
        raise _usage_error(error) from None
    return status if isinstance(status, int) else 0


class _DefaultGroup(click.Group):
    """A group in which a line that names no command is a build."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        args = root_after_command(args)
        if not args or args[0] not in (*NAMES, "-h", "--help", "--version"):
            args = ["build", *args]
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in NAMES and cmd_name not in self.commands:
            _add_commands(self)
        return super().get_command(ctx, cmd_name)

    def get_help(self, ctx: click.Context) -> str:  # noqa: ARG002 - click's signature
        return _build_help()


def root_after_command(words: list[str]) -> list[str]:
    """The words with a --root that stands before a command's name put behind it, where each command knows it."""
    count = 2 if words[:1] == ["--root"] else int(bool(words) and words[0].startswith("--root="))
    if not count or words[count : count + 1] == [] or words[count] not in NAMES:
        return words
    if words[count] in VERBATIM:
        return words[count:]  # what follows belongs to a command that has no use for a store
    behind = count + (2 if words[count] in GROUPS else 1)
    return [*words[count:behind], *words[:count], *words[behind:]]


class _RowCommand(click.Command):
    """A command that knows its row of the table; words that it has no use for are left to `too_much`."""

    def __init__(self, title: str, options: tuple[Option, ...], **settings: Any) -> None:
        super().__init__(title.split()[-1], **settings)
        self.title = title
        self.options = options

    @property
    def row(self) -> Command:
        from builder.commands.table import BUILD, COMMANDS

        return next(row for row in (BUILD, *COMMANDS) if row.name == self.title)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            rest = super().parse_args(ctx, args if self.title in VERBATIM else plain_flags(args, self.options))
        except click.UsageError as error:
            error.ctx = error.ctx or ctx  # click's parser leaves it out, and then nobody knows the command
            raise
        if rest:
            raise self.too_much(ctx, rest)
        return rest

    def too_much(self, ctx: click.Context, rest: list[str]) -> UsageError:  # noqa: ARG002 - what a build wants to see
        from builder.commands.mistakes import too_many

        return too_many(self.row, rest)


class _BuildCommand(_RowCommand):
    def too_much(self, ctx: click.Context, rest: list[str]) -> UsageError:
        from builder.commands.mistakes import no_command

        caller: Caller = ctx.obj
        context = ctx.params["context"]
        if os.path.lexists(caller.directory / context) or not _is_bare(context):
            return super().too_much(ctx, rest)
        return no_command([context, *rest])

    def get_help(self, ctx: click.Context) -> str:  # noqa: ARG002 - click's signature
        return _build_help()


class _TableCommand(_RowCommand):
    """A command of the table."""

    def get_help(self, ctx: click.Context) -> str:  # noqa: ARG002 - click's signature
        from builder.commands.help import command_help

        return command_help(self.row).rstrip("\n")


class _TableGroup(click.Group):
    """The first word of commands of two words."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands:
            from builder.commands.mistakes import no_command_of

            raise no_command_of(self.name or "", args[0])
        return super().resolve_command(ctx, args)

    def get_help(self, ctx: click.Context) -> str:  # noqa: ARG002 - click's signature
        from builder.commands.help import group_help

        return group_help(self.name or "").rstrip("\n")


def _build_help() -> str:
    from builder.commands.help import build_help

    return build_help().rstrip("\n")


def plain_flags(words: Sequence[str], options: Iterable[Option]) -> list[str]:
    """The words with `--flag=true` and `--flag=false` as docker takes them made into a flag that is there or not, and
    short names into long ones: click looks for the nearest long name of a short one first, which costs milliseconds.
    """
    flags = {option.names[-1] for option in options if not option.value}
    takes_value = {name for option in options if option.value for name in option.names}
    long = {name: option.names[-1] for option in options for name in option.names[:-1] if not name.startswith("--")}
    plain: list[str] = []
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if word == "--":
            return [*plain, word, *rest]
        if equals and name in flags:
            plain += [name] if _is_true(name, value) else []
            continue
        plain.append(long.get(word, word))
        if word in takes_value:
            plain += [value for value in [next(rest, None)] if value is not None]
    return plain


def _is_true(name: str, value: str) -> bool:
    if value.lower() in ("1", "t", "true"):
        return True
    if value.lower() in ("0", "f", "false"):
        return False
    raise UsageError(f"{name}: takes no value such as {value!r}", hint=f"it is written {name}, or {name}=true|false")


def _parameter(option: Option) -> click.Option:
    names = [*option.names, option.key]
    if not option.value:
        return click.Option(names, is_flag=True)
    return click.Option(names, multiple=option.several)


def _argument(word: Word, verbatim: bool) -> click.Argument:
    # metavar: how click's complaints call it
    kind = click.UNPROCESSED if verbatim else click.STRING
    count = -1 if word.several else 1
    return click.Argument([word.key], nargs=count, required=not word.optional, type=kind, metavar=word.shown)


def _is_bare(word: str) -> bool:
    """Whether a word has the letters of a command's name, and not those of a path or a URL."""
    return word.replace("-", "").isalpha()


@click.pass_obj
def _build(caller: Caller, /, context: str | None, **values: object) -> int:
    from builder.commands.build import build

    if context and _is_bare(context) and not os.path.lexists(caller.directory / context):
        from builder.commands.mistakes import check_context

        check_context(context)
    # click gives each option under its key; a test holds the table and the fields of BuildOptions together.
    return build(BuildOptions(context=context, **values), caller)  # type: ignore[arg-type]


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    click.echo(f"pybuild {VERSION}")
    ctx.exit()


def _callback(row: Command) -> Callable[..., int]:
    @click.pass_obj
    def call(caller: Caller, /, **values: Value) -> int:
        from builder.commands.line import Line
        from builder.commands.table import carry_out

        return carry_out(row, Line(values), caller)

    return call


def _app() -> click.Group:
    version = click.Option(["--version"], is_flag=True, is_eager=True, expose_value=False, callback=_version)
    group = _DefaultGroup("pybuild", params=[version], context_settings=_settings())
    context = click.Argument(["context"], required=False)
    parameters = [context, *map(_parameter, OPTIONS), version]
    group.add_command(_BuildCommand("build", OPTIONS, callback=_build, params=parameters, context_settings=_settings()))
    return group


def _add_commands(group: click.Group) -> None:
    """All commands but `build`, from their table."""
    from builder.commands.table import COMMANDS

    groups = {name: _TableGroup(name, context_settings=_settings(), no_args_is_help=False) for name in GROUPS}
    for row in COMMANDS:
        groups.get(row.name.split()[0], group).add_command(_command(row))
    for inner in groups.values():
        group.add_command(inner)


def _command(row: Command) -> click.Command:
    settings = _settings()
    if row.verbatim:
        settings |= {"ignore_unknown_options": True, "allow_interspersed_args": False}
    words = [_argument(word, row.verbatim) for word in row.words]
    parameters = [*words, *map(_parameter, row.options)]
    return _TableCommand(row.name, row.options, callback=_callback(row), params=parameters, context_settings=settings)


def _settings() -> dict[str, Any]:
    return {"help_option_names": ["-h", "--help"], "allow_extra_args": True}


def _usage_error(error: click.UsageError) -> UsageError:
    """click's complaint in our words."""
    from builder.commands import mistakes

    command = error.ctx.command if error.ctx else None
    row = command.row if isinstance(command, _RowCommand) else None
    if isinstance(command, _TableGroup):
        return mistakes.no_command_of(command.name or "", None)
    if row and isinstance(error, click.NoSuchOption):
        return mistakes.no_option(row, error.option_name)
    if row and isinstance(error, click.BadOptionUsage):
        return mistakes.bad_value(row, error.option_name)
    if row and isinstance(error, click.MissingParameter) and isinstance(error.param, click.Argument):
        return mistakes.missing_word(row, error.param.metavar or "")
    return UsageError(error.format_message().rstrip("."), hint=mistakes.HELP)


app = _app()

"""Parsed instructions: what a Buildfile says, word for word, before any variable is expanded.

`lang.grammar` makes these; `stages.plan` turns them into steps and config. Text fields hold the words as written
(quotes and variables still in them) unless the comment says otherwise. Every instruction knows its lines and the
text it came from (`original`, with continuations joined), which histories and progress lines show.
"""

from __future__ import annotations

from builder.declare import dataclass
from builder.source import SourceText, Span
from builder.values.image import Healthcheck


@dataclass(frozen=True, slots=True)
class Heredoc:
    """A here-document: its body verbatim (leading tabs already gone for `<<-`); `expand` unless its word was quoted."""

    name: str
    body: str
    expand: bool
    fd: int = 0


@dataclass(frozen=True, slots=True)
class ShellForm:
    """A command for the shell: the text after the instruction, with continuations joined; heredocs it mentions."""

    text: str
    heredocs: tuple[Heredoc, ...] = ()


@dataclass(frozen=True, slots=True)
class ExecForm:
    """A command as a list of words (the JSON form)."""

    argv: tuple[str, ...]


Command = ShellForm | ExecForm


@dataclass(frozen=True, slots=True)
class From:
    """`image` and `platform` with variables unexpanded; `alias` in lower case (stage names ignore case)."""

    span: Span
    original: str
    image: str
    platform: str | None = None
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """`mounts` are the raw values of --mount, in order."""

    span: Span
    original: str
    command: Command
    mounts: tuple[str, ...] = ()
    network: str | None = None
    security: str | None = None
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Copy:
    """COPY. `sources` are paths; `inline` are heredocs used as sources."""

    span: Span
    original: str
    sources: tuple[str, ...]
    destination: str
    inline: tuple[Heredoc, ...] = ()
    from_: str | None = None
    chown: str | None = None
    chmod: str | None = None
    link: bool = False
    parents: bool = False
    excludes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Add:
    """ADD. `unpack` is None where the flag is absent (then archives of the context are unpacked, downloads are not)."""

    span: Span
    original: str
    sources: tuple[str, ...]
    destination: str
    inline: tuple[Heredoc, ...] = ()
    chown: str | None = None
    chmod: str | None = None
    link: bool = False
    excludes: tuple[str, ...] = ()
    checksum: str | None = None
    keep_git_dir: bool = False
    unpack: bool | None = None


@dataclass(frozen=True, slots=True)
class Env:
    """Pairs of words, quotes and variables still in them."""

    span: Span
    original: str
    pairs: tuple[tuple[str, str], ...]
    legacy: bool = False  # written `ENV name value`


@dataclass(frozen=True, slots=True)
class Label:
    """Pairs of words, quotes and variables still in them."""

    span: Span
    original: str
    pairs: tuple[tuple[str, str], ...]
    legacy: bool = False


@dataclass(frozen=True, slots=True)
class Arg:
    """Names with their default (a word, quotes and variables still in it) or None."""

    span: Span
    original: str
    pairs: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class Workdir:
    span: Span
    original: str
    path: str


@dataclass(frozen=True, slots=True)
class User:
    span: Span
    original: str
    user: str


@dataclass(frozen=True, slots=True)
class Expose:
    span: Span
    original: str
    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Volume:
    span: Span
    original: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cmd:
    span: Span
    original: str
    command: Command


@dataclass(frozen=True, slots=True)
class Entrypoint:
    span: Span
    original: str
    command: Command


@dataclass(frozen=True, slots=True)
class Shell:
    span: Span
    original: str
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StopSignal:
    span: Span
    original: str
    signal: str


@dataclass(frozen=True, slots=True)
class HealthcheckInstruction:
    """`check.test` is ("NONE",), ("CMD", …) or ("CMD-SHELL", text)."""

    span: Span
    original: str
    check: Healthcheck


@dataclass(frozen=True, slots=True)
class Onbuild:
    """`trigger` is the text to record in the image; `instruction` what it parses to."""

    span: Span
    original: str
    trigger: str
    instruction: Instruction


@dataclass(frozen=True, slots=True)
class Maintainer:
    span: Span
    original: str
    author: str


Instruction = (
    Run
    | Copy
    | Add
    | Env
    | Label
    | Arg
    | Workdir
    | User
    | Expose
    | Volume
    | Cmd
    | Entrypoint
    | Shell
    | StopSignal
    | HealthcheckInstruction
    | Onbuild
    | Maintainer
)


@dataclass(frozen=True, slots=True)
class Block:
    """A FROM line and what follows it up to the next one. People call it a stage; in code it is a target."""

    from_: From
    instructions: tuple[Instruction, ...]
    index: int


@dataclass(frozen=True, slots=True)
class Directives:
    """The parser directives at the top of the file."""

    escape: str = "\\"
    syntax: str | None = None
    check: str | None = None


@dataclass(frozen=True, slots=True)
class CheckWarning:
    """A finding of a build check: its published name, what it says, and where."""

    rule: str
    message: str
    span: Span


@dataclass(frozen=True, slots=True)
class Buildfile:
    """A parsed Buildfile: directives, the ARGs before the first FROM, and the blocks in order.

    `warnings` are findings that only the text itself can show (casing, legacy forms, a comment that is a directive …).
    """

    source: SourceText
    directives: Directives
    global_args: tuple[Arg, ...]
    blocks: tuple[Block, ...]
    warnings: tuple[CheckWarning, ...] = ()

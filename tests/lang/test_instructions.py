"""Tests of the instructions one by one."""

from __future__ import annotations

import pytest

from builder.values.image import Healthcheck
from builder.values.instruction import (
    Arg,
    Cmd,
    Entrypoint,
    Env,
    ExecForm,
    Expose,
    HealthcheckInstruction,
    Heredoc,
    Label,
    Maintainer,
    Run,
    Shell,
    ShellForm,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from tests.lang.reading import error_of, instruction, parsed


def test_from() -> None:
    """FROM has an image, a platform and a name in small letters."""
    from_ = parsed("from --platform=$P img:1 aS Name.1-x_y").blocks[0].from_
    assert (from_.image, from_.platform, from_.alias) == ("img:1", "$P", "name.1-x_y")
    assert from_.original == "from --platform=$P img:1 aS Name.1-x_y"


def test_run() -> None:
    """RUN keeps the raw values of its mounts, the network, the security mode and devices."""
    run = instruction(
        "RUN --mount=type=cache,target=/a --mount=target=/b --network=none --security=insecure --device=x make\\\n it"
    )
    assert isinstance(run, Run)
    assert run.mounts == ("type=cache,target=/a", "target=/b")
    assert (run.network, run.security, run.devices) == ("none", "insecure", ("x",))
    assert run.command == ShellForm("make it")


def test_run_with_a_heredoc() -> None:
    """The text keeps the mark, the body stands beside it, and the original names its first line."""
    run = instruction("RUN <<EOF\nset -e\nmake\nEOF")
    assert isinstance(run, Run)
    assert run.command == ShellForm("<<EOF", (Heredoc("EOF", "set -e\nmake\n", expand=True),))
    assert run.original == "RUN <<EOF (set -e...)"
    assert instruction("RUN <<EOF\nmake\nEOF").original == "RUN <<EOF (make)"
    assert instruction("RUN sh <<EOF\nmake\nEOF").original == "RUN sh <<EOF"


def test_commands() -> None:
    """CMD and ENTRYPOINT have both forms, and may be emptied."""
    assert _command("CMD []") == ExecForm(())
    assert _command("CMD") == ShellForm("")
    assert _command("CMD ['a']") == ShellForm("['a']")
    assert _command('ENTRYPOINT ["a"]') == ExecForm(("a",))


def _command(text: str) -> ShellForm | ExecForm:
    value = instruction(text)
    assert isinstance(value, Cmd | Entrypoint)
    return value.command


def test_pairs() -> None:
    """ENV, LABEL and ARG keep their words as written."""
    env = instruction("ENV a='b c' d=$e")
    assert isinstance(env, Env)
    assert (env.pairs, env.legacy) == ((("a", "'b c'"), ("d", "$e")), False)
    legacy = instruction("ENV a b c")
    assert isinstance(legacy, Env)
    assert (legacy.pairs, legacy.legacy) == ((("a", "b c"),), True)
    label = instruction('LABEL "a b"="c"')
    assert isinstance(label, Label)
    assert label.pairs == (('"a b"', '"c"'),)
    arg = instruction("ARG a b= c='d e'")
    assert isinstance(arg, Arg)
    assert arg.pairs == (("a", None), ("b", ""), ("c", "'d e'"))


def test_plain_ones() -> None:
    """WORKDIR, USER, STOPSIGNAL and MAINTAINER take all that follows them."""
    values = [instruction(text) for text in ("WORKDIR /a b", "USER a:b", "STOPSIGNAL 9", "MAINTAINER A <b@c>")]
    assert isinstance(values[0], Workdir) and values[0].path == "/a b"
    assert isinstance(values[1], User) and values[1].user == "a:b"
    assert isinstance(values[2], StopSignal) and values[2].signal == "9"
    assert isinstance(values[3], Maintainer) and values[3].author == "A <b@c>"


def test_lists() -> None:
    """EXPOSE and VOLUME take words, VOLUME and SHELL JSON."""
    values = [
        instruction(text) for text in ("EXPOSE 80/tcp  $P", "VOLUME /a /b", 'VOLUME [" /a b "]', 'SHELL ["a", "-c"]')
    ]
    assert isinstance(values[0], Expose) and values[0].ports == ("80/tcp", "$P")
    assert isinstance(values[1], Volume) and values[1].paths == ("/a", "/b")
    assert isinstance(values[2], Volume) and values[2].paths == ("/a b",)
    assert isinstance(values[3], Shell) and values[3].argv == ("a", "-c")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HEALTHCHECK NONE", Healthcheck(("NONE",))),
        ("HEALTHCHECK none", Healthcheck(("NONE",))),
        ("HEALTHCHECK CMD a || b", Healthcheck(("CMD-SHELL", "a || b"))),
        ('HEALTHCHECK cmd ["a", "b"]', Healthcheck(("CMD", "a", "b"))),
        (
            "HEALTHCHECK --interval=5m --timeout=3s --start-period=1m30s --start-interval=500ms --retries=4 CMD a",
            Healthcheck(("CMD-SHELL", "a"), 300 * 10**9, 3 * 10**9, 90 * 10**9, 5 * 10**8, 4),
        ),
        ("HEALTHCHECK --interval=0s --retries=0 CMD a", Healthcheck(("CMD-SHELL", "a"))),
    ],
)
def test_healthcheck(text: str, expected: Healthcheck) -> None:
    """HEALTHCHECK has a test and times in nanoseconds."""
    value = instruction(text)
    assert isinstance(value, HealthcheckInstruction)
    assert value.check == expected


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("FRMO x", "unknown instruction: FRMO", "FROM"),
        ("rnu x", "unknown instruction: rnu", "RUN"),
        ("WIBBLE x", "unknown instruction: WIBBLE", "WORKDIR"),
        ("FROM", "FROM requires either one or three arguments", "FROM IMAGE AS NAME"),
        ("FROM a AS", "FROM requires either one or three arguments: 'a AS'", ""),
        ("FROM a IN b", "FROM requires either one or three arguments", ""),
        ("FROM a AS 9lives!", "invalid name for build stage: '9lives!'", "begins with a letter"),
        ("FROM a AS $x", "invalid name for build stage", ""),
        ("FROM --platfrom=x a", "unknown flag: --platfrom", "--platform"),
        ("RUN --mount a", "missing a value on flag: --mount", ""),
        ("RUN --mount=from=$x,target=/a b", "'from' of a mount doesn't support variable expansion", "stage"),
        ('RUN --mount=a\\"b c', "double quote", "quote whole fields"),
        ("RUN --network=hots a", "invalid network mode 'hots'", "default, none, host"),
        ("RUN --network= a", "invalid network mode ''", ""),
        ("RUN --security=x a", "invalid security mode 'x'", "sandbox, insecure"),
        ("ENV", "ENV requires at least one argument", ""),
        ("ENV =x", "ENV names can not be blank", "NAME=VALUE"),
        ("ENV a=1 =x", "ENV names can not be blank", ""),
        ("ENV --a b=c", "unknown flag: --a", "no flags"),
        ("LABEL", "LABEL requires at least one argument", ""),
        ("ARG", "ARG requires at least one argument", ""),
        ("ARG =x", "ARG names can not be blank", ""),
        ("WORKDIR", "WORKDIR requires exactly one argument", ""),
        ("USER", "USER requires exactly one argument", ""),
        ("STOPSIGNAL", "STOPSIGNAL requires exactly one argument", ""),
        ("MAINTAINER", "MAINTAINER requires exactly one argument", ""),
        ("EXPOSE", "EXPOSE requires at least one argument", ""),
        ("VOLUME", "VOLUME requires at least one argument", ""),
        ('VOLUME [""]', "VOLUME specified can not be an empty string", ""),
        ("SHELL /bin/sh -c", "SHELL requires the arguments to be in JSON form", '["/bin/sh", "-c"]'),
        ("SHELL []", "SHELL requires at least one argument", ""),
        ("HEALTHCHECK", "HEALTHCHECK requires at least one argument", ""),
        ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments", ""),
        ("HEALTHCHECK CMD", "missing command after HEALTHCHECK CMD", ""),
        ("HEALTHCHECK CONNECT x", "unknown type 'CONNECT' in HEALTHCHECK", "HEALTHCHECK NONE"),
        ("HEALTHCHECK --interval=often CMD a", "--interval: invalid duration 'often'", "1m30s"),
        ("HEALTHCHECK --interval=1us CMD a", "cannot be less than 1ms", ""),
        ("HEALTHCHECK --interval=-1s CMD a", "cannot be less than 1ms", ""),
        ("HEALTHCHECK --retries=-1 CMD a", "--retries cannot be negative", ""),
        ("HEALTHCHECK --retries=x CMD a", "--retries: invalid number 'x'", "whole number"),
    ],
)
def test_errors(line: str, message: str, hint: str) -> None:
    """What is wrong is said in words, with the line, and with what would be right."""
    error = error_of("FROM a\n\n" + line)
    assert message in error.message
    assert hint in (error.hint or "")
    assert str(error.span) == "Buildfile:3"

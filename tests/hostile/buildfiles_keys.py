"""Pairs of steps that must not share an entry of the cache (CVE-2024-24557 and its kin), as the targets of one build.

What differs stands before or in a step that is else the same; were it not part of the key, one would be CACHED.
"""

from __future__ import annotations

import os
from typing import Any

from tests.hostile.buildfiles import Ground
from tests.hostile.tars import file
from tests.tree.rawtar import END

RUN = "RUN cat /proc/sys/kernel/random/uuid >/tmp/id"
_BEFORE = (
    "",
    "ENV A=1",
    "ENV A=2",
    "ENV A=",
    "ENV B=1",
    "ENV A=1 B=2",
    'ENV A="1 B=2"',
    "ARG C=1",
    "ARG C=2",
    "ARG C=1\nENV A=1",
    "USER 1",
    "USER 2",
    "USER 1:2",
    "WORKDIR /tmp",
    "WORKDIR /bin",
    'SHELL ["/bin/sh", "-ec"]',
    'SHELL ["/bin/busybox", "sh", "-c"]',
    "COPY one /f",
    "COPY two /f",
    "COPY one /g",
    "COPY --chmod=600 one /f",
    "COPY --chown=1 one /f",
    "COPY --chown=1:2 one /f",
    "COPY --link two /h",
    "COPY <<E /f\nx\nE",
    "COPY <<E /f\ny\nE",
    "COPY <<E /e\ny\nE",
)
_FLAGS = (
    "--network=none",
    "--mount=type=tmpfs,target=/x",
    "--mount=type=tmpfs,target=/y",
    "--mount=type=tmpfs,target=/x,size=1m",
    "--mount=type=tmpfs,target=/x,ro",
    "--mount=type=cache,target=/x",
    "--mount=type=cache,target=/y",
    "--mount=type=cache,target=/x,id=a",
    "--mount=type=cache,target=/x,id=b",
    "--mount=type=cache,target=/x,ro",
    "--mount=type=cache,target=/x,uid=1",
    "--mount=type=cache,target=/x,gid=1",
    "--mount=type=cache,target=/x,mode=700",
    "--mount=type=cache,target=/x,id=c,from=files,source=/a",
    "--mount=type=cache,target=/x,id=c,from=files,source=/b",
    "--mount=type=bind,target=/x",
    "--mount=type=bind,target=/x,source=one",
    "--mount=type=bind,target=/x,source=two",
    "--mount=type=bind,target=/y,source=two",
    "--mount=type=bind,target=/x,source=two,rw",
    "--mount=type=bind,target=/x,from=files,source=/a",
    "--mount=type=bind,target=/x,from=files,source=/b",
    "--mount=type=secret,id=s",
    "--mount=type=secret,id=t",
    "--mount=type=secret,id=s,target=/s",
    "--mount=type=secret,id=s,env=S",
    "--mount=type=secret,id=s,mode=444",
    "--mount=type=secret,id=s,uid=1",
    "--mount=type=ssh",
    "--mount=type=ssh,id=x",
)
_CONFIGS: tuple[dict[str, Any], ...] = (
    {"Env": ["PATH=/bin", "X=1"]},
    {"Env": ["PATH=/bin", "X=2"]},
    {"User": "3"},
    {"User": "4"},
    {"WorkingDir": "/etc"},
    {"WorkingDir": "/"},
    {"Shell": ["/bin/busybox", "ash", "-c"]},
    {"OnBuild": ["ENV Y=1"]},
    {"OnBuild": ["ENV Y=2"]},
)
OPTIONS: tuple[tuple[str, ...], ...] = (
    (),
    ("--build-arg", "A=1"),
    ("--build-arg", "A=2"),
    ("--build-arg", "A="),
    ("--network", "none"),
    ("--add-host", "x:192.0.2.1"),
    ("--add-host", "x:192.0.2.2"),
    ("--ulimit", "nofile=512"),
    ("--build-arg", "SOURCE_DATE_EPOCH=1"),
)
"""Options of the command line that a step with `ARG A` is another step by."""


COUNT = len(_BEFORE) + len(_FLAGS) + len(_CONFIGS) + len(OPTIONS)
"""How many steps there are that nothing but their key tells apart."""


def write_targets(ground: Ground) -> int:
    """Write a Buildfile in which each of these is a target of its own; how many steps of RUN it has."""
    unique = os.urandom(8).hex()  # what earlier builds in this store did is another thing
    above = file(b"unique", unique.encode()) + END
    for name in ("one", "two"):
        (ground.context / name).write_text(name + unique)
    files = "FROM scratch AS files\nCOPY one /a/f\nCOPY two /b/f\n"
    base = "FROM @BASE@ AS base\nCOPY one /unique\n"
    bodies = [f"FROM base\n{line}\n{RUN}\n" for line in _BEFORE]
    bodies += [f"FROM base\n{RUN.replace('RUN', f'RUN {flag}')}\n" for flag in _FLAGS]
    for number, config in enumerate(_CONFIGS):
        ground.image(f"i{number}", {"Env": ["PATH=/bin"], **config}, ground.bench.layer, above)
        bodies.append(f"FROM oci:../images/i{number}\n{RUN}\n")
    stages = [body.replace("\n", f" AS v{number}\n", 1) for number, body in enumerate(bodies)]
    last = "FROM scratch\n" + "".join(f"COPY --from=v{number} /tmp/id /ids/{number}\n" for number in range(len(stages)))
    text = ground.filled("".join((files, base, *stages, last)))
    (ground.context / "Buildfile").write_text(text)
    return len(stages)

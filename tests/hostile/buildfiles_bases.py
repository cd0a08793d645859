"""Cases: base images whose config means harm to what is built on them: variables, triggers, shells, paths, names."""

from __future__ import annotations

from typing import Any

from tests.hostile.buildfiles import BuildCase, Ground
from tests.hostile.buildfiles_language import PAINT
from tests.hostile.contexts import Make, both, files
from tests.hostile.outcomes import Contained

ON = "FROM oci:../images/evil\n"


def config(**fields: Any) -> Make:
    """A base with the layer of the common one and this config."""

    def make(ground: Ground) -> None:
        ground.image("evil", {"Env": ["PATH=/bin"], **_filled(ground, fields)}, ground.bench.layer)

    return make


def _filled(ground: Ground, value: Any) -> Any:
    if isinstance(value, str):
        return ground.filled(value)
    if isinstance(value, list):
        return [_filled(ground, one) for one in value]
    if isinstance(value, dict):
        return {name: _filled(ground, one) for name, one in value.items()}
    return value


_USED = "COPY f $EVIL\nENV X=$EVIL\nLABEL l=$EVIL\nRUN true\n"
_ENVIRONMENTS: dict[str, list[Any]] = {
    "a NUL": ["EVIL=a\0b"],
    "a line end": ["EVIL=a\nb"],
    "controls": ["EVIL=" + PAINT],
    "no sign": ["EVIL"],
    "no name": ["=x"],
    "an empty entry": [""],
    "a name with a NUL": ["E\0VIL=x", "EVIL=/x"],
    "a name of controls": [PAINT + "=x", "EVIL=/x"],
    "a surrogate": ["EVIL=\ud800"],
    "a megabyte": ["EVIL=" + "x" * (1 << 20)],
    "100,000 variables": [f"A{n}=x" for n in range(100_000)],
    "a way out": ["EVIL=../../../../../../..@OUT@/canary"],
    "a substitution": ["EVIL=$EVIL${EVIL}$(id)"],
    "a loader's": ["LD_PRELOAD=@OUT@/canary", "LD_LIBRARY_PATH=@OUT@", "PYTHONPATH=@OUT@", "EVIL=/x"],
    "a proxy": ["HTTP_PROXY=http://evil.example", "EVIL=/x"],
    "the same twice": ["EVIL=/a", "EVIL=/b"],
}
_FIELDS: dict[str, dict[str, Any]] = {
    "a WorkingDir that climbs": {"WorkingDir": "../../../../@OUT@"},
    "a WorkingDir that is relative": {"WorkingDir": "x/y"},
    "a WorkingDir with a NUL": {"WorkingDir": "/a\0b"},
    "a WorkingDir of controls": {"WorkingDir": "/" + PAINT},
    "a WorkingDir of /proc/self/fd/3": {"WorkingDir": "/proc/self/fd/3/../../.."},
    "a WorkingDir of a megabyte": {"WorkingDir": "/" + "d/" * (1 << 19)},
    "a WorkingDir outside": {"WorkingDir": "@OUT@"},
    "a User with a NUL": {"User": "ro\0ot"},
    "a User of controls": {"User": PAINT},
    "a User that is huge": {"User": "99999999999:99999999999"},
    "a User that is negative": {"User": "-1"},
    "a Shell of nothing": {"Shell": []},
    "a Shell with a NUL": {"Shell": ["/bin/sh\0", "-c"]},
    "a Shell outside": {"Shell": ["@OUT@/canary"]},
    "a Shell of 100,000 words": {"Shell": ["/bin/sh"] + ["-c"] * 100_000},
    "an Entrypoint of controls": {"Entrypoint": [PAINT, "a\0b"]},
    "Labels of controls": {"Labels": {PAINT: PAINT, "a\0b": "c"}},
    "Labels of a megabyte": {"Labels": {"a": "x" * (1 << 20)}},
    "Volumes that climb": {"Volumes": {"/../../..": {}, "\0": {}, PAINT: {}}},
    "ExposedPorts of nonsense": {"ExposedPorts": {"99999999/x": {}, PAINT: {}}},
    "a StopSignal of controls": {"StopSignal": PAINT},
    "a Healthcheck of nonsense": {"Healthcheck": {"Test": ["CMD", PAINT], "Interval": -1, "Retries": 1 << 70}},
}
_TRIGGERS: dict[str, list[Any]] = {
    "FROM": ["FROM scratch"],
    "ONBUILD": ["ONBUILD RUN true"],
    "ONBUILD in itself": ["ONBUILD ONBUILD ONBUILD RUN true"],
    "a path on disk": ["COPY --from=@OUT@ canary /x"],
    "a mount of a path on disk": ["RUN --mount=from=rootfs:@OUT@,target=/x cat /x/canary"],
    "an image of disk": ["COPY --from=oci:../images/evil / /"],
    "the context's files": ["COPY . /stolen"],
    "a secret": ["RUN --mount=type=secret,id=x cat /run/secrets/x"],
    "an insecure step": ["RUN --security=insecure true"],
    "a host's network": ["RUN --network=host true"],
    "a line end": ["RUN true\nFROM scratch\nCOPY . /"],
    "controls": ["RUN echo '" + PAINT + "'", PAINT],
    "a NUL": ["RUN echo a\0b"],
    "a heredoc": ["RUN <<E\ntrue\nE"],
    "a heredoc without an end": ["COPY <<E /x\n"],
    "a directive": ["# syntax=evil", "# escape=`"],
    "nothing": ["", " ", "\\"],
    "no text": [5, None, {"a": "b"}],
    "100,000 of them": ["ENV A=b"] * 100_000,
    "one of a megabyte": ["ENV A=" + "x" * (1 << 20)],
    "doubling": ["ENV A=xxxxxxxx", *["ENV A=$A$A"] * 64],
    "a stage of ours": ["COPY --from=0 / /"],
    "a git repository": ["ADD ext::sh%20-c%20id /x"],
}

CASES = (
    *(
        BuildCase(
            f"a base's variables: {what}", ON + _USED, Contained(), both(files(f="x"), config(Env=["PATH=/bin", *env]))
        )
        for what, env in _ENVIRONMENTS.items()
    ),
    *(
        BuildCase(
            f"a base with {what}",
            ON + "COPY f rel/\nRUN true\nWORKDIR more\nRUN true\n",
            Contained(),
            both(files(f="x"), config(**fields)),
            ("-t", "x:1", "."),
            (("history", "x:1"), ("inspect", "x:1")),
        )
        for what, fields in _FIELDS.items()
    ),
    *(
        BuildCase(f"a base's trigger: {what}", ON, Contained(), both(files(f="x"), config(OnBuild=triggers)))
        for what, triggers in _TRIGGERS.items()
    ),
)

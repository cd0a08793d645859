"""The image config document: read from what Docker and OCI tools write, written in one canonical way.

Sources: OCI image-spec, config.md; moby's docker-image-spec for Healthcheck, OnBuild and Shell. Unknown fields are
dropped, among them Docker's own record of the build container (`container_config`, `Hostname`, …) and `ArgsEscaped`.
"""

from __future__ import annotations

from builder.errors import ImageError
from builder.oci.document import Document, canonical, parse_document
from builder.pattern import pattern
from builder.values.digest import DiffId
from builder.values.image import Healthcheck, History, ImageConfig, RunConfig
from builder.values.platform import Platform

MAX_LAYERS = 500
"""More layers than overlayfs can stack (500 lower layers) cannot be built upon, and are absurd besides."""
MAX_TRIGGERS = 1_000
"""More instructions in ONBUILD are no Buildfile's, and would be planned in every build on the image."""
_MAX_HISTORY = 10_000
_UNPAIRED = pattern("[\ud800-\udfff]")


def read_config(data: bytes) -> ImageConfig:
    """Read a config document of OCI's or Docker's kind. Raises ImageError with the field at fault."""
    document = parse_document(data, "the image's config")
    return ImageConfig(
        platform=_platform(document),
        config=_run_config(document.inner("config")),
        created=document.text("created"),
        author=document.text("author"),
        history=tuple(_history(line) for line in document.inners("history", _MAX_HISTORY)),
        diff_ids=_diff_ids(document),
        os_version=document.text("os.version"),
    )


def _platform(document: Document) -> Platform:
    # Very old Docker images have no architecture; docker takes them for amd64.
    return Platform.of(
        document.text("os") or "linux", document.text("architecture") or "amd64", document.text("variant")
    )


def _diff_ids(document: Document) -> tuple[DiffId, ...]:
    rootfs = document.inner("rootfs")
    if rootfs is None:
        raise ImageError("the image's config is not valid: it has no 'rootfs'")
    if rootfs.text("type", "layers") != "layers":
        raise ImageError(f"the image's config is not valid: its rootfs is of type {rootfs.text('type')[:50]!r}")
    texts = rootfs.texts("diff_ids") or ()
    if len(texts) > MAX_LAYERS:
        raise ImageError(f"the image has {len(texts)} layers; more than {MAX_LAYERS} are refused")
    try:
        return tuple(DiffId.parse(text) for text in texts)
    except ValueError as error:
        raise ImageError(f"the image's config is not valid: diff_ids: {error}") from error


def _run_config(document: Document | None) -> RunConfig:
    if document is None:
        return RunConfig()
    for name in ("User", "Env", "Entrypoint", "Cmd", "WorkingDir", "Shell", "OnBuild"):
        _require_text(document, name)
    return RunConfig(
        user=document.text("User"),
        env=tuple(_variable(text) for text in document.texts("Env") or () if text.partition("=")[0]),
        entrypoint=_command(document, "Entrypoint"),
        cmd=_command(document, "Cmd"),
        working_dir=document.text("WorkingDir"),
        labels=document.pairs("Labels"),
        exposed_ports=document.keys("ExposedPorts"),
        volumes=document.keys("Volumes"),
        stop_signal=document.text("StopSignal"),
        healthcheck=_healthcheck(document.inner("Healthcheck")),
        shell=document.texts("Shell") or None,
        on_build=_triggers(document),
    )


def _require_text(document: Document, name: str) -> None:
    """Refuse what no program can be given: a NUL, which ends every name and argument, and half a character."""
    value = document.fields.get(name)
    texts = [value] if isinstance(value, str) else document.texts(name) or ()
    if any("\0" in text or _UNPAIRED.search(text) for text in texts):
        raise document.wrong(name, "text that a program can be given: it holds a NUL or an unpaired surrogate")


def _triggers(document: Document) -> tuple[str, ...]:
    texts = document.texts("OnBuild") or ()
    if len(texts) > MAX_TRIGGERS:
        raise ImageError(f"the image has {len(texts)} ONBUILD instructions; more than {MAX_TRIGGERS} are refused")
    return texts


def _variable(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _command(document: Document, name: str) -> tuple[str, ...] | None:
    """A command; one written as a plain string, as some old tools did, is one word (so does moby's StrSlice)."""
    if isinstance(document.fields.get(name), str):
        return (document.text(name),)
    return document.texts(name)


def _healthcheck(document: Document | None) -> Healthcheck | None:
    if document is None:
        return None
    return Healthcheck(
        test=document.texts("Test") or (),
        interval_ns=document.number("Interval"),
        timeout_ns=document.number("Timeout"),
        start_period_ns=document.number("StartPeriod"),
        start_interval_ns=document.number("StartInterval"),
        retries=document.number("Retries"),
    )


def _history(document: Document) -> History:
    return History(
        created_by=document.text("created_by"),
        created=document.text("created"),
        empty_layer=document.truth("empty_layer"),
        comment=document.text("comment"),
        author=document.text("author"),
    )


def write_config(config: ImageConfig) -> bytes:
    """The config's document: the same value gives the same bytes; what is empty is left out, as BuildKit does."""
    return canonical(
        _filled(
            {
                "created": config.created,
                "author": config.author,
                "architecture": config.platform.architecture,
                "variant": config.platform.variant,
                "os": config.platform.os,
                "os.version": config.os_version,
            }
        )
        | {
            "config": _run_config_fields(config.config),
            "rootfs": {"type": "layers", "diff_ids": [str(diff_id) for diff_id in config.diff_ids]},
        }
        | _filled({"history": [_history_fields(line) for line in config.history]})
    )


def _run_config_fields(config: RunConfig) -> dict[str, object]:
    fields = _filled(
        {
            "User": config.user,
            "ExposedPorts": {port: {} for port in sorted(config.exposed_ports)},
            "Env": [f"{name}={value}" for name, value in config.env],
            "Entrypoint": _list(config.entrypoint),
            "Cmd": _list(config.cmd),
            "Volumes": {volume: {} for volume in sorted(config.volumes)},
            "WorkingDir": config.working_dir,
            "Labels": dict(sorted(config.labels)),
            "StopSignal": config.stop_signal,
            "OnBuild": list(config.on_build),
            "Shell": _list(config.shell),
        }
    )
    if config.healthcheck is not None:
        fields["Healthcheck"] = _healthcheck_fields(config.healthcheck)
    return fields


def _healthcheck_fields(check: Healthcheck) -> dict[str, object]:
    return _filled(
        {
            "Test": list(check.test),
            "Interval": check.interval_ns,
            "Timeout": check.timeout_ns,
            "StartPeriod": check.start_period_ns,
            "StartInterval": check.start_interval_ns,
            "Retries": check.retries,
        }
    )


def _history_fields(line: History) -> dict[str, object]:
    return _filled(
        {
            "created": line.created,
            "created_by": line.created_by,
            "author": line.author,
            "comment": line.comment,
            "empty_layer": line.empty_layer,
        }
    )


def _list(words: tuple[str, ...] | None) -> list[str] | None:
    return None if words is None else list(words)


def _filled(fields: dict[str, object]) -> dict[str, object]:
    """The fields that say something; `[]`, `{}`, "", 0 and false are each the same as absence to every reader."""
    return {name: value for name, value in fields.items() if value}

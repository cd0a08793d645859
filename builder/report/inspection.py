"""An image as text: its config, and its layers with what made each. Pure; `config` is the image's config document."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from builder.report.tables import columns
from builder.report.text import cut, human_size, printable
from builder.values.image import Healthcheck, Image, Layer, RunConfig


def made_by(image: Image) -> list[tuple[Layer, str]]:
    """Each layer, bottom first, with the history line that made it, or "" where the history does not say."""
    lines = [line.created_by for line in image.config.history if not line.empty_layer]
    lines += [""] * (len(image.layers) - len(lines))
    return list(zip(image.layers, lines, strict=False))


def size_of(image: Image) -> int:
    """Bytes of the config and all layers as they are stored."""
    return image.config_descriptor.size + sum(layer.descriptor.size for layer in image.layers)


def inspection_text(image: Image, name: str, width: int | None, names: Sequence[str] = ()) -> str:
    """The image for people; lines of layers are cut to `width` columns if there is one. `names` are all that it has."""
    called = [("Name", name), *(("Also", other) for other in names if other != name)]
    facts = [(title, printable(value)) for title, value in (*called, *_facts(image)) if value]
    seen: set[str] = set()
    rows = []
    for title, value in facts:
        rows.append(("" if title in seen else f"{title}:", value))
        seen.add(title)
    return f"{columns(rows)}\n\n{_layers(image, width)}"


def inspection_fields(image: Image, name: str, config: object, names: Sequence[str] = ()) -> dict[str, object]:
    """The image for programs, a JSON object: names and digests of ours, the config document as the image has it.

    `names` are all that it has in the store.
    """
    return {
        "name": name,
        "names": list(names),
        "digest": str(image.manifest.digest),
        "mediaType": image.manifest.media_type,
        "configDigest": str(image.config_descriptor.digest),
        "platform": str(image.config.platform),
        "created": image.config.created,
        "size": size_of(image),
        "annotations": dict(image.annotations),
        "config": config,
        "layers": [
            {
                "digest": str(layer.descriptor.digest),
                "diffId": str(layer.diff_id),
                "mediaType": layer.descriptor.media_type,
                "size": layer.descriptor.size,
                "createdBy": line,
            }
            for layer, line in made_by(image)
        ],
    }


def _facts(image: Image) -> Iterator[tuple[str, str]]:
    yield "Digest", str(image.manifest.digest)
    yield "Image id", str(image.config_descriptor.digest)
    yield "Platform", str(image.config.platform)
    yield "Created", image.config.created
    yield "Author", image.config.author
    yield "Size", f"{human_size(size_of(image))} in {len(image.layers)} layer{'' if len(image.layers) == 1 else 's'}"
    yield from _config_facts(image.config.config)
    for key, value in image.annotations:
        yield "Annotation", f"{key}={value}"


def _config_facts(config: RunConfig) -> Iterator[tuple[str, str]]:
    yield "User", config.user
    yield "Workdir", config.working_dir
    yield "Entrypoint", _words(config.entrypoint)
    yield "Cmd", _words(config.cmd)
    yield "Shell", _words(config.shell)
    yield "Stop signal", config.stop_signal
    yield "Healthcheck", _healthcheck(config.healthcheck)
    for name, value in config.env:
        yield "Env", f"{name}={value}"
    for port in config.exposed_ports:
        yield "Port", port
    for volume in config.volumes:
        yield "Volume", volume
    for name, value in config.labels:
        yield "Label", f"{name}={value}"
    for trigger in config.on_build:
        yield "On build", trigger


def _words(words: tuple[str, ...] | None) -> str:
    return json.dumps(words, ensure_ascii=False) if words is not None else ""


def _healthcheck(check: Healthcheck | None) -> str:
    if check is None or not check.test:
        return ""
    times = {
        "every": check.interval_ns,
        "timeout": check.timeout_ns,
        "start period": check.start_period_ns,
        "start interval": check.start_interval_ns,
    }
    parts = [f"{title} {time_ns / 1e9:g}s" for title, time_ns in times.items() if time_ns]
    parts += [f"{check.retries} retries"] if check.retries else []
    return _words(check.test) + (f" ({', '.join(parts)})" if parts else "")


def _layers(image: Image, width: int | None) -> str:
    if not image.layers:
        return "No layers."
    rows = [("LAYER", "SIZE", "DIGEST", "MADE BY")]
    for number, (layer, line) in enumerate(made_by(image), start=1):
        made = printable(" ".join(line.split())) or "(not said)"
        rows.append((str(number), human_size(layer.descriptor.size), layer.descriptor.digest.hex[:12], made))
    text = columns(rows, right=frozenset((0, 1)))
    return "\n".join(cut(line, width) for line in text.split("\n")) if width else text

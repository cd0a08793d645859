"""Cases: manifests, indexes and configs that are not what they should be."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from builder.values.digest import Digest
from builder.values.image import DOCKER_LIST, MEDIA_INDEX, MEDIA_MANIFEST
from tests.hostile.outcomes import Accepted, Case, Refused
from tests.hostile.server import (
    MANIFEST,
    Answer,
    Call,
    Server,
    blob,
    content,
    cut,
    document,
    endless,
    in_turn,
    json_document,
    status,
)
from tests.oci.images import Sample

_MANY = 50_000_000
Change = Callable[[dict[str, Any]], object]  # Any: these documents are wrong on purpose


def _manifest(answer: Answer) -> Callable[[Server, Sample], None]:
    def arrange(server: Server, _: Sample) -> None:
        server.routes[MANIFEST] = answer

    return arrange


def _changed(change: Change) -> Callable[[Server, Sample], None]:
    """The good manifest with something changed."""

    def arrange(server: Server, sample: Sample) -> None:
        value = json.loads(sample.blobs[sample.image.manifest.digest])
        change(value)
        server.routes[MANIFEST] = json_document(value, MEDIA_MANIFEST)

    return arrange


def _config(data: Callable[[dict[str, Any]], bytes]) -> Callable[[Server, Sample], None]:
    """Another config, with a manifest that describes it rightly."""

    def arrange(server: Server, sample: Sample) -> None:
        made = data(json.loads(sample.blobs[sample.image.config_descriptor.digest]))
        value = json.loads(sample.blobs[sample.image.manifest.digest])
        value["config"] |= {"digest": str(Digest.of(made)), "size": len(made)}
        server.routes[MANIFEST] = json_document(value, MEDIA_MANIFEST)
        server.routes[blob(Digest.of(made))] = content(made)

    return arrange


def _config_blob(answer: Callable[[bytes], Answer]) -> Callable[[Server, Sample], None]:
    def arrange(server: Server, sample: Sample) -> None:
        digest = sample.image.config_descriptor.digest
        server.routes[blob(digest)] = answer(sample.blobs[digest])

    return arrange


def _with(name: str, value: object) -> Change:
    return lambda manifest: manifest.update({name: value})


def _layer(name: str, value: object) -> Change:
    return lambda manifest: manifest["layers"][0].update({name: value})


def _with_config(**changes: object) -> Callable[[dict[str, Any]], bytes]:
    return lambda config: json.dumps({**config, **changes}).encode()


def _large_without_length(call: Call) -> None:
    call.head(200, Content_Type=MEDIA_MANIFEST)
    for _ in range(_MANY >> 16):
        if not call.raw(b" " * (1 << 16)):
            return


def _nested(depth: int) -> Callable[[Server, Sample], None]:
    """Indexes in indexes; the innermost one holds the image."""

    def arrange(server: Server, sample: Sample) -> None:
        point = {
            "mediaType": MEDIA_MANIFEST,
            "digest": str(sample.image.manifest.digest),
            "size": sample.image.manifest.size,
        }
        data = b""
        for _ in range(depth):
            data = json.dumps({"schemaVersion": 2, "mediaType": MEDIA_INDEX, "manifests": [point]}).encode()
            server.routes[f"/v2/app/manifests/{Digest.of(data)}"] = document(data, MEDIA_INDEX)
            point = {"mediaType": MEDIA_INDEX, "digest": str(Digest.of(data)), "size": len(data)}
        server.routes[MANIFEST] = document(data, MEDIA_INDEX)

    return arrange


def _index_with(entries: Callable[[Sample], list[dict[str, Any]]], media_type: str) -> Callable[[Server, Sample], None]:
    def arrange(server: Server, sample: Sample) -> None:
        value = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries(sample)}
        server.routes[MANIFEST] = json_document(value, media_type)

    return arrange


def _entry(sample: Sample, **changes: object) -> dict[str, Any]:
    point = sample.image.manifest
    return {
        "mediaType": MEDIA_MANIFEST,
        "digest": str(point.digest),
        "size": point.size,
        "platform": {"os": "linux", "architecture": "amd64"},
        **changes,
    }


def _other_bytes(server: Server, sample: Sample) -> None:
    """An index leads to a manifest that has another digest."""
    _index_with(lambda sample: [_entry(sample)], MEDIA_INDEX)(server, sample)
    data = sample.blobs[sample.image.manifest.digest] + b"\n"
    server.routes[f"/v2/app/manifests/{sample.image.manifest.digest}"] = content(data)


def _lying_digest_header(server: Server, sample: Sample) -> None:
    data = sample.blobs[sample.image.manifest.digest]
    server.routes[MANIFEST] = lambda call: call.answer(
        200, data, Content_Type=MEDIA_MANIFEST, Docker_Content_Digest=f"sha256:{'0' * 64}"
    )


def _cut_once(server: Server, sample: Sample) -> None:
    data = sample.blobs[sample.image.manifest.digest]
    server.routes[MANIFEST] = in_turn(cut(data, 20), document(data, MEDIA_MANIFEST))


def _twice_500(server: Server, sample: Sample) -> None:
    data = sample.blobs[sample.image.manifest.digest]
    server.routes[MANIFEST] = in_turn(status(500), status(500), document(data, MEDIA_MANIFEST))


def _wrong_type(server: Server, sample: Sample) -> None:
    """A manifest under the type of a list: the document itself says what it is, and is not believed either."""
    server.routes[MANIFEST] = document(sample.blobs[sample.image.manifest.digest], DOCKER_LIST)


def _page(server: Server, _: Sample) -> None:
    server.routes[MANIFEST] = lambda call: call.answer(200, b"<html>Log in</html>", Content_Type="text/html")


def _loop(server: Server, _: Sample) -> None:
    """No document can name its own digest, but a server can answer every digest with a pointer to another."""

    def answer(call: Call) -> None:
        name = call.path.rpartition("/")[2]
        point = {"mediaType": MEDIA_INDEX, "digest": str(Digest.of(name.encode())), "size": 500}
        call.answer(200, json.dumps({"schemaVersion": 2, "manifests": [point]}).encode(), Content_Type=MEDIA_INDEX)

    server.routes["/v2/app/manifests/*"] = answer
    server.routes[MANIFEST] = answer


CASES = (
    Case("manifest has another digest than the header says", _lying_digest_header, Refused("damaged")),
    Case("manifest has another digest than its index says", _other_bytes, Refused("damaged|announced")),
    Case("manifest of 50 MB", _manifest(content(b" " * _MANY)), Refused("8 MiB")),
    Case("manifest of 50 MB without a length", _manifest(_large_without_length), Refused("8 MiB")),
    Case("manifest without an end", _manifest(endless), Refused("8 MiB")),
    Case("manifest that is always cut", _manifest(cut(b"{" * 1000, 500)), Refused("broke|truncated|cut")),
    Case("manifest that is cut once", _cut_once, Accepted()),
    Case("manifest after 500 twice", _twice_500, Accepted()),
    Case("manifest that is no JSON", _manifest(document(b"{", MEDIA_MANIFEST)), Refused("not valid|JSON")),
    Case("manifest that is empty", _manifest(document(b"", MEDIA_MANIFEST)), Refused("not valid|JSON|empty")),
    Case("manifest that is a list of JSON", _manifest(document(b"[]", MEDIA_MANIFEST)), Refused("not")),
    Case("manifest that is a web page", _page, Refused("not|type")),
    Case("manifest of 100,000 brackets", _manifest(document(b"[" * 100_000, MEDIA_MANIFEST)), Refused("deep|nested")),
    Case("manifest in UTF-16", _manifest(document('{"a":1}'.encode("utf-16"), MEDIA_MANIFEST)), Refused("not|UTF-8")),
    Case("manifest with a name twice", _manifest(document(b'{"a":1,"a":2}', MEDIA_MANIFEST)), Refused("twice")),
    Case("manifest and index in one", _changed(_with("manifests", [])), Refused("both|manifests")),
    Case("manifest under the type of a list", _wrong_type, Refused("announced")),
    Case("manifest of schema 1", _changed(_with("schemaVersion", 1)), Refused("schema|version")),
    Case("manifest without layers", _changed(lambda value: value.pop("layers")), Refused("layers")),
    Case("manifest whose layers are an object", _changed(_with("layers", {})), Refused("layers")),
    Case("manifest without a config", _changed(lambda value: value.pop("config")), Refused("config")),
    Case("manifest with too few layers", _changed(lambda value: value["layers"].pop()), Refused("layers")),
    Case(
        "manifest of 10,000 layers",
        _changed(lambda value: value["layers"].extend(value["layers"] * 3333)),
        Refused("layers"),
    ),
    Case("layer whose digest is a path", _changed(_layer("digest", "sha256:../../../../canary")), Refused("digest")),
    Case("layer whose digest is of md5", _changed(_layer("digest", "md5:" + "0" * 32)), Refused("digest")),
    Case("layer whose digest is upper case", _changed(_layer("digest", "sha256:" + "A" * 64)), Refused("digest")),
    Case("layer of negative size", _changed(_layer("size", -1)), Refused("size")),
    Case("layer of fractional size", _changed(_layer("size", 1.5)), Refused("size")),
    Case("layer of a size of 400 digits", _changed(_layer("size", 10**400)), Refused("size|number|not valid")),
    Case("layer whose size is text", _changed(_layer("size", "12")), Refused("size")),
    Case("layer of 100 TB", _changed(_layer("size", 100 << 40)), Refused("size|GiB|more than|bytes")),
    Case("layer of an unknown type", _changed(_layer("mediaType", "application/x-evil")), Refused("type|evil")),
    Case(
        "layer of an encrypted type",
        _changed(_layer("mediaType", "application/vnd.oci.image.layer.v1.tar+gzip+encrypted")),
        Refused("type|encrypted"),
    ),
    Case(
        "config whose digest is a path",
        _changed(lambda value: value["config"].update(digest="sha256:/etc/passwd")),
        Refused("digest"),
    ),
    Case("config of 50 MB", _changed(lambda value: value["config"].update(size=_MANY)), Refused("8 MiB")),
    Case("config that is other bytes", _config_blob(lambda data: content(data[:-1] + b" ")), Refused("damaged|digest")),
    Case(
        "config that is longer", _config_blob(lambda data: content(data + b" ")), Refused("damaged|more than|announced")
    ),
    Case("config that is shorter", _config_blob(lambda data: content(data[:-1])), Refused("truncated|damaged")),
    Case("config without an end", _config_blob(lambda _: endless), Refused("8 MiB|more than")),
    Case("config that is not there", _config_blob(lambda _: status(404)), Refused("not found")),
    Case("config that is no JSON", _config(lambda _: b"nonsense"), Refused("not valid|JSON")),
    Case("config of 100,000 brackets", _config(lambda _: b'{"a":' * 100_000), Refused("deep|nested")),
    Case("config whose rootfs is text", _config(_with_config(rootfs="x")), Refused("rootfs")),
    Case(
        "config whose diff-ids are paths",
        _config(_with_config(rootfs={"type": "layers", "diff_ids": ["../x"] * 3})),
        Refused("diff|digest"),
    ),
    Case(
        "config without a platform",
        _config(lambda value: json.dumps({k: v for k, v in value.items() if k not in ("os", "architecture")}).encode()),
        Accepted(),
    ),
    Case("config whose environment is a number", _config(_with_config(config={"Env": 7})), Refused("Env")),
    Case("config with colours in its user", _config(_with_config(config={"User": "\x1b[31mred"})), Accepted()),
    Case("index in an index in an index", _nested(3), Accepted()),
    Case("indexes ten deep", _nested(10), Refused("deep|nested")),
    Case(
        "index for other machines only",
        _index_with(lambda sample: [_entry(sample, platform={"os": "plan9", "architecture": "mips"})], MEDIA_INDEX),
        Refused("platform|no image"),
    ),
    Case(
        "index of 100,001 images",
        _index_with(lambda sample: [_entry(sample)] * 100_001, MEDIA_INDEX),
        Refused("100,?000|more than|8 MiB"),
    ),
    Case("index that is empty", _index_with(lambda _: [], MEDIA_INDEX), Refused("no image|empty|platform")),
    Case(
        "index whose entries are numbers",
        _manifest(json_document({"schemaVersion": 2, "manifests": [1, 2]}, MEDIA_INDEX)),
        Refused("manifests"),
    ),
    Case(
        "index whose platform is a list",
        _index_with(lambda sample: [_entry(sample, platform=[])], MEDIA_INDEX),
        Refused("platform"),
    ),
    Case(
        "index that names a lie about size",
        _index_with(lambda sample: [_entry(sample, size=3)], MEDIA_INDEX),
        Refused("damaged|more than"),
    ),
    Case("index that leads on for ever", _loop, Refused("truncated|damaged|deep")),
)

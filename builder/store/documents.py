"""What the documents of a store say of what they need: records, manifests, configs, states of snapshots.

Read with suspicion and remembered by the file's status, so that looking again costs a stat(2). Nothing is mended.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from builder.declare import dataclass
from builder.store import descriptors, files, sizes
from builder.store.builds import is_build_id
from builder.store.files import JsonValue
from builder.store.layers import LAYER_VERSION
from builder.store.pulled import PULLED_VERSION
from builder.store.records import STEP_VERSION, record_of
from builder.store.settling import boot_id
from builder.store.snapshots import SETTLED, SNAPSHOT_VERSION
from builder.store.variants import VARIANT_VERSION
from builder.values.digest import DiffId
from builder.values.limits import HIGHEST_DOCUMENT_BYTES

BLOBS = "blobs/sha256"
AREA = "pybuild"
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Read:
    """What a file says: which keys it needs, the one without which it is worth nothing, and what to call it."""

    label: str
    needs: tuple[str, ...] = ()
    stands_on: str = ""
    useless: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """What is known of a snapshot or a cache mount. `layer` is the key of the record of a snapshot's own layer."""

    label: str
    used_ns: int
    size: sizes.Size
    layer: str = ""
    useless: bool = False


_Status = tuple[int, int, int]


class Documents:
    """The documents that have been read so far."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._boot = boot_id()
        self._read: dict[str, tuple[_Status, Read]] = {}
        self._states: dict[str, tuple[_Status, State]] = {}
        self._sizes: dict[str, sizes.Size] = {}

    def names(self, entries: Iterable[JsonValue]) -> frozenset[str]:
        """The keys of the blobs that index.json leads to, also by entries that are not ours."""
        return frozenset(_blobs(entries))

    def read(self, folder: str, name: str, facts: os.stat_result) -> Read | None:
        """What a file of a folder says; None for a name that is none of ours."""
        key = f"{folder}/{name}"
        known = self._read.get(key)
        if known is not None and known[0] == _status(facts):
            return known[1]
        read = self._said(folder, name, facts)
        if read is not None:
            self._read[key] = (_status(facts), read)
        return read

    def _said(self, folder: str, name: str, facts: os.stat_result) -> Read | None:
        stem, _, ending = name.partition(".")
        if folder == f"{AREA}/builds":
            return Read(stem) if ending == "json" and is_build_id(stem) else None
        if not _HEX.match(stem) or ending not in ("", "json", "new"):
            return None
        match folder.rpartition("/")[2]:
            case "fingerprints":
                return Read(stem[:12], useless=ending == "new")
            case "indexes":
                return Read(stem[:12]) if not ending else None
            case "sha256":
                return self._blob(stem, facts) if not ending else None
            case what:
                return self._record(what, name) if ending == "json" else None

    def _blob(self, name: str, facts: os.stat_result) -> Read:
        if not 2 <= facts.st_size <= HIGHEST_DOCUMENT_BYTES:
            return Read(name[:12])
        try:
            with open(self._root / BLOBS / name, "rb") as file:
                first = file.read(1)
                document = files.decode(first + file.read(HIGHEST_DOCUMENT_BYTES)) if first == b"{" else {}
        except (OSError, ValueError):
            document = {}
        return Read(name[:12], tuple(dict.fromkeys(_needed(document))))

    def _record(self, what: str, name: str) -> Read:
        readers: dict[str, tuple[int, Callable[[dict[str, JsonValue]], tuple[str, str]]]] = {
            "steps": (STEP_VERSION, _step),
            "layers": (LAYER_VERSION, _layer),
            "pulled": (PULLED_VERSION, _pulled),
            "variants": (VARIANT_VERSION, _layer),
        }
        version, reader = readers[what]
        try:
            document = files.decode(files.read_bounded(self._root / AREA / what / name, files.RECORD_LIMIT_BYTES))
            if document.get("version") != version:
                return Read(name[:12], useless=not isinstance(document.get("version"), int))
            label, stands_on = reader(document)
        except (OSError, ValueError):
            return Read(name[:12], useless=True)
        needs = [stands_on] if stands_on else []
        if what == "layers":
            needs.append(f"{AREA}/indexes/{name.removesuffix('.json')}")
        return Read(label or name[:12], tuple(needs), stands_on)

    def snapshot(self, name: str, facts: os.stat_result) -> State:
        """What is known of a snapshot; `facts` are those of its directory."""
        wrapper = self._root / AREA / "snapshots" / name
        try:
            status = os.stat(wrapper / "state")
        except OSError:
            return State(name[:12], facts.st_mtime_ns, sizes.of_tree(wrapper), useless=True)
        known = self._states.get(name)
        if known is None or known[0] != _status(status):
            known = self._states[name] = (_status(status), self._state(wrapper, status.st_mtime_ns))
        return known[1]

    def _state(self, wrapper: Path, used_ns: int) -> State:
        nothing: dict[str, JsonValue] = {}
        try:
            document = files.decode(files.read_bounded(wrapper / "state", files.RECORD_LIMIT_BYTES))
        except (OSError, ValueError):
            document = nothing
        whole = document.get("version") == SNAPSHOT_VERSION and os.path.isdir(wrapper / "fs")
        trusted = document.get("boot") in (self._boot, SETTLED)
        layer = document.get("layer")
        named = layer[7:] if isinstance(layer, str) and _HEX.fullmatch(layer[7:]) else ""
        key = f"{AREA}/layers/{named}.json" if named else ""
        return State(wrapper.name[:12], used_ns, self._size(wrapper, document, named), key, not (whole and trusted))

    def _size(self, wrapper: Path, document: dict[str, JsonValue], layer: str) -> sizes.Size:
        known = document.get("size")
        if isinstance(known, int):
            return sizes.Size(known)
        if wrapper.name not in self._sizes:
            index = self._root / AREA / "indexes" / layer
            found = sizes.of_unpacked(index) if layer else sizes.Size(0, whole=False)
            self._sizes[wrapper.name] = found if found.whole else sizes.of_tree(wrapper)
        return self._sizes[wrapper.name]

    def cache_mount(self, name: str, facts: os.stat_result) -> State:
        """What is known of a cache mount; its size is that of the first time it was looked at."""
        home = self._root / AREA / "caches" / name
        if name not in self._sizes:
            self._sizes[name] = sizes.of_tree(home)
        try:
            used_ns = os.stat(home / "id").st_mtime_ns
            said = files.decode(files.read_bounded(home / "id", files.RECORD_LIMIT_BYTES)).get("id")
        except (OSError, ValueError):
            return State(name[:12], facts.st_mtime_ns, self._sizes[name], useless=True)
        return State(said if isinstance(said, str) else name[:12], used_ns, self._sizes[name])


def _status(facts: os.stat_result) -> _Status:
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


def _step(document: dict[str, JsonValue]) -> tuple[str, str]:
    diff_id = record_of(document).diff_id
    return "", "" if diff_id is None else f"{AREA}/layers/{diff_id.hex}.json"


def _layer(document: dict[str, JsonValue]) -> tuple[str, str]:
    return "", f"{BLOBS}/{descriptors.from_json(document.get('descriptor')).digest.hex}"


def _pulled(document: dict[str, JsonValue]) -> tuple[str, str]:
    name = document.get("name")
    manifest = descriptors.from_json(document.get("manifest"))
    return name if isinstance(name, str) else "", f"{BLOBS}/{manifest.digest.hex}"


def _needed(document: dict[str, JsonValue]) -> Iterator[str]:
    """What a manifest, an image index or a config needs; nothing for any other document.

    A config's layers are needed with what the store knows of them: where an image is kept, its layers may be wanted
    as they are here, compressed in another way than its manifest says.
    """
    for name in ("manifests", "layers", "blobs"):
        listed = document.get(name)
        yield from _blobs(listed if isinstance(listed, list) else [])
    yield from _blobs([document.get("config")])
    rootfs = document.get("rootfs")
    listed = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    for diff_id in listed if isinstance(listed, list) else []:
        try:
            yield f"{AREA}/layers/{DiffId.parse(diff_id if isinstance(diff_id, str) else '').hex}.json"
        except ValueError:
            continue


def _blobs(listed: Iterable[JsonValue]) -> Iterator[str]:
    for each in listed:
        digest = each.get("digest") if isinstance(each, dict) else None
        if isinstance(digest, str) and digest.startswith("sha256:") and _HEX.fullmatch(digest[7:]):
            yield f"{BLOBS}/{digest[7:]}"

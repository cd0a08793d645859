"""An image held against what a conformance case expects of it."""

from __future__ import annotations

import fnmatch
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.images import Node, ReadImage
from tests.support.tars import content_of


@dataclass
class World:
    """What all cases share: the bases by placeholder, their diff-ids, one store."""

    bases: Mapping[str, str]
    base_diff_ids: Mapping[str, list[str]]
    store: Path


@dataclass
class ImageJudge:
    """Holds one image against an `expect`."""

    image: ReadImage
    expect: dict[str, Any]
    world: World
    found: list[str] = field(default_factory=list)

    def problems(self) -> list[str]:
        """Everything that is not as it must be."""
        self.config()
        self.env()
        for path, wanted in self.expect.get("files", {}).items():
            self.file(path, {"content": wanted} if isinstance(wanted, str) else wanted)
        for path in self.expect.get("absent", []):
            if self.image.node(path) is not None:
                self.found.append(f"{path} is there")
        for top, names in self.expect.get("tree", {}).items():
            self.tree(top, names)
        self.layers()
        for pattern in self.expect.get("history_re", []):
            lines = [line.get("created_by", "") for line in self.image.config.get("history", [])]
            if not any(re.search(pattern, line) for line in lines):
                self.found.append(f"no history line matches {pattern!r}: {lines}")
        for path in self.expect.get("host_absent", []):
            if os.path.lexists(path):
                self.found.append(f"{path} came into being on the host")
        return self.found

    def new_layers(self) -> list[list[tuple[str, Any, bytes]]]:
        """The layers that no base has."""
        known = {diff_id for ids in self.world.base_diff_ids.values() for diff_id in ids}
        pairs = zip(self.image.diff_ids, self.image.layers, strict=True)
        return [entries for diff_id, entries in pairs if diff_id not in known]

    def config(self) -> None:
        config = self.image.config.get("config", {})
        for name, wanted in self.expect.get("config", {}).items():
            holder = self.image.config if name in ("author", "architecture", "os", "created") else config
            value = holder.get(name)
            if name in ("ExposedPorts", "Volumes") and isinstance(wanted, list):
                value, wanted = sorted(value or {}), sorted(wanted)
            if (value or None) != (wanted or None):
                self.found.append(f"config {name} is {value!r}, not {wanted!r}")

    def env(self) -> None:
        pairs = [line.partition("=") for line in self.image.config.get("config", {}).get("Env", None) or []]
        env = {name: value for name, _, value in pairs}
        if len(env) != len(pairs):
            self.found.append(f"Env names something twice: {pairs}")
        for name, wanted in self.expect.get("env", {}).items():
            if env.get(name) != wanted:
                self.found.append(f"Env {name} is {env.get(name)!r}, not {wanted!r}")

    def tree(self, top: str, names: list[str]) -> None:
        prefix = self.image.real(top)
        start = prefix + "/" if prefix else ""
        there = [
            path[len(start) :] + ("/" if node.kind == "dir" else "")
            for path, node in self.image.files.items()
            if path.startswith(start) and path != prefix and path
        ]
        if sorted(there) != sorted(names):
            self.found.append(f"{top} holds {sorted(there)}, not {sorted(names)}")

    def file(self, path: str, wanted: dict[str, Any]) -> None:
        node = self.image.node(path)
        if node is None:
            self.found.append(f"{path} is not there")
            return
        facts: dict[str, Any] = {
            "type": node.kind,
            "size": len(node.content),
            "mode": f"{node.info.mode & 0o7777:04o}",
            "uid": node.info.uid,
            "gid": node.info.gid,
            "mtime": int(node.info.mtime),
            "linkname": node.info.linkname,
        }
        for name, value in wanted.items():
            if name in facts and facts[name] != value:
                self.found.append(f"{path}: {name} is {facts[name]!r}, not {value!r}")
        self.content(path, node, wanted)
        self.links(path, node, wanted)

    def content(self, path: str, node: Node, wanted: dict[str, Any]) -> None:
        if ("content" in wanted or "content_b64" in wanted) and node.content != content_of(wanted):
            self.found.append(f"{path} holds {node.content[:200]!r}, not {content_of(wanted)[:200]!r}")
        text = node.content.decode("utf-8", "replace")
        for key, must in (("content_re", True), ("not_content_re", False)):
            patterns = wanted.get(key, [])
            for pattern in [patterns] if isinstance(patterns, str) else patterns:
                if bool(re.search(pattern, text, re.MULTILINE)) is not must:
                    self.found.append(f"{path}: {key} {pattern!r} does not hold for {text[:300]!r}")

    def links(self, path: str, node: Node, wanted: dict[str, Any]) -> None:
        for key, must in (("hardlink_to", True), ("not_hardlink_to", False)):
            if key in wanted and (self.image.node(wanted[key]) is node) is not must:
                self.found.append(f"{path}: {key} {wanted[key]} does not hold")
        for name, value in wanted.get("xattrs", {}).items():
            there = node.xattrs.get(name)
            if there is None or (value != "present" and there.hex() != value):
                self.found.append(f"{path}: xattr {name} is {there!r}, not {value}")

    def layers(self) -> None:
        names = [name for entries in self.new_layers() for name, _, _ in entries]
        for entries in self.new_layers():
            self.found += [
                f"a layer holds the device {name}" for name, info, _ in entries if info.ischr() or info.isblk()
            ]
        for pattern in self.expect.get("layers_absent", []):
            self.found += [f"a layer holds {name} ({pattern})" for name in names if matches(name, pattern)]
        if "layers_only" in self.expect:
            patterns = self.expect["layers_only"]
            allowed = {parent for pattern in patterns for parent in parents(pattern)}
            for name in names:
                if name and name not in allowed and not any(matches(name, pattern) for pattern in patterns):
                    self.found.append(f"a layer holds {name}, and may only hold {patterns}")
        for text in self.expect.get("nowhere", []):
            if any(text.encode() in data for entries in self.new_layers() for _, _, data in entries):
                self.found.append(f"{text!r} stands in a layer")
            if text in json.dumps(self.image.config):
                self.found.append(f"{text!r} stands in the config")
        if "base" in self.expect:
            ids = self.world.base_diff_ids[self.expect["base"]]
            if self.image.diff_ids[: len(ids)] != ids:
                self.found.append("the base's layers are not the first ones")
        if "max_mtime" in self.expect:
            for entries in self.new_layers():
                late = [name for name, info, _ in entries if info.mtime > self.expect["max_mtime"]]
                self.found += [f"{name} is newer than max_mtime" for name in late]


def matches(name: str, pattern: str) -> bool:
    """Whether `*` (within a name) and `**` (across names) cover a layer's entry or whiteout."""
    plain = name.replace(".wh.", "", 1) if name.rpartition("/")[2].startswith(".wh.") else name
    expression = fnmatch.translate(pattern).replace(".*.*", "\0").replace(".*", "[^/]*").replace("\0", ".*")
    return any(re.match(expression, one) for one in (name, plain))


def parents(pattern: str) -> list[str]:
    """The directories above what a pattern names."""
    parts = pattern.split("/")[:-1]
    return ["/".join(parts[: length + 1]) for length in range(len(parts))]


def compare(before: ReadImage, now: ReadImage, expect: dict[str, Any]) -> list[str]:
    """What two builds in a row must have in common, or not."""
    found = []
    for key, must in (("same_as_before", True), ("differs_from_before", False)):
        for path in expect.get(key, []):
            old, new = before.node(path), now.node(path)
            if old is None or new is None:
                found.append(f"{path} is not in both images")
            elif (old.content == new.content) is not must:
                found.append(f"{path}: {key} does not hold")
    if expect.get("same_image") and before.digest != now.digest:
        found.append("the image is another one than before")
    return found

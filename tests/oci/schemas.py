"""The JSON schemas of the OCI image specification, where the machine has them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import jsonschema
import pytest
from referencing import Registry, Resource

_FOLDER = Path(os.environ.get("PYBUILD_CONFORMANCE", Path(__file__).parents[2].parent / "shared" / "conformance"))
_BASE = "https://opencontainers.org/schema/"


def check_schema(data: bytes, name: str) -> None:
    """Fail unless `data` fits the schema in the file `name`; skip where the schemas are not here."""
    directory = _FOLDER / "image-spec"
    if not directory.is_dir():
        pytest.skip("the schemas of the image specification are not here (PYBUILD_CONFORMANCE)")
    resources = [(_BASE + path.name, _resource(path)) for path in directory.glob("*.json")]
    registry = Registry().with_resources(resources)
    jsonschema.Draft4Validator({"$ref": _BASE + name}, registry=registry).validate(json.loads(data))


def _resource(path: Path) -> Resource[object]:
    """A schema under its file's name, by which the others refer to it; ids inside would redirect that."""
    schema = _without_ids(json.loads(path.read_text()))
    assert isinstance(schema, dict)
    return Resource.from_contents({**schema, "$schema": "http://json-schema.org/draft-04/schema#"})


def _without_ids(value: object) -> object:
    if isinstance(value, list):
        return [_without_ids(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_ids(item) for key, item in value.items() if not (key == "id" and isinstance(item, str))}
    return value

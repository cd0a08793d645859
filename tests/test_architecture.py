"""The house keeps its shape: floors, rooms for effects, sizes, a test and a row in the floor plan for every module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HOUSE = ROOT / "builder"
MODULES = sorted(HOUSE.rglob("*.py"))
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

FLOORS = {
    "errors": 1,
    "source": 0,
    "declare": -1,
    "pattern": -1,
    "values": 2,
    "lang": 3,
    "kernel": 4,
    "tree": 4,
    "store": 4,
    "oci": 4,
    "stages": 5,
    "pipeline": 6,
    "report": 7,
    "commands": 7,
    "cli": 7,
    "worker": 7,
    "__main__": 7,
    "__init__": 0,
}
HANDS = ("kernel", "tree", "store", "oci")  # oci > store > tree > kernel: a hand may import those before it
PURE = ("values", "lang", "errors", "source", "declare", "pattern")


def name_of(path: Path) -> str:
    """`builder/tree/pack.py` → `tree.pack`."""
    return ".".join(path.relative_to(HOUSE).with_suffix("").parts)


def room_of(path: Path) -> str:
    """The first part of a module's name: its room."""
    return name_of(path).split(".")[0]


def tree_of(path: Path) -> ast.Module:
    """A module's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports_of(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in the file; `from builder import x` gives builder.x."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            module = node.module or ""
            yield module
            if module.split(".")[0] == "builder":
                yield from (f"{module}.{alias.name}" for alias in node.names)


def uses_of(path: Path, *names: str) -> list[str]:
    """Which of the attributes `module.name` a file uses."""
    found = []
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            text = f"{node.value.id}.{node.attr}"
            if text in names:
                found.append(text)
    return found


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_only_go_down(path: Path) -> None:
    """A module imports from its own room, from lower floors, and among the hands only from those before it."""
    room = room_of(path)
    for name in imports_of(path):
        parts = name.split(".")
        if parts[0] != "builder" or len(parts) < 2 or parts[1] not in FLOORS:
            continue
        other = parts[1]
        if other == room:
            continue
        if room in HANDS and other in HANDS:
            assert HANDS.index(other) < HANDS.index(room), f"{name_of(path)} imports {name}"
        elif room in ("cli", "worker", "commands", "report", "__main__"):
            assert FLOORS[other] <= FLOORS[room], f"{name_of(path)} imports {name}"
        else:
            assert FLOORS[other] < FLOORS[room], f"{name_of(path)} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_effects_stay_in_their_rooms(path: Path) -> None:
    """ctypes, processes, the environment, the network and the terminal are each used in one room only."""
    name, room = name_of(path), room_of(path)
    imported = {module.split(".")[0] for module in imports_of(path)}
    doors = ("cli", "commands", "__main__", "worker")
    if name != "kernel.syscalls":
        assert "ctypes" not in imported
    if room != "kernel":
        assert "subprocess" not in imported
        assert not uses_of(path, "os.fork", "os.execve", "os.execv", "os.system", "os.posix_spawn") or room == "worker"
    if room not in doors:
        assert not uses_of(path, "os.environ", "os.getenv", "sys.argv", "sys.exit")
        assert not uses_of(path, "os.getcwd") or room == "kernel"  # the sandbox asks where a step has got to
    if room != "oci":
        assert not imported & {"requests", "urllib3", "http"}
    if room in PURE:
        assert not imported & {"os.path", "shutil", "socket", "tempfile", "threading"}


def test_sizes_stay_readable() -> None:
    """No file is over 400 lines, no function over 60; tests and benchmarks are read too."""
    places = (path for house in ("builder", "tests", "benchmarks") for path in (ROOT / house).rglob("*.py"))
    assert not [problem for path in places for problem in _too_long(path)]


def _too_long(path: Path) -> Iterator[str]:
    name = path.relative_to(ROOT)
    if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MAX_FILE_LINES:
        yield f"{name} has {lines} lines"
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield f"{name}: {node.name} has {lines} lines"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_say_what_lives_in_them(path: Path) -> None:
    """Every module opens with a docstring."""
    assert ast.get_docstring(tree_of(path)), f"{name_of(path)} has no docstring"


@pytest.mark.parametrize("path", [path for path in MODULES if path.stem != "__init__"], ids=name_of)
def test_every_module_has_its_test(path: Path) -> None:
    """tests/ mirrors builder/: builder/tree/pack.py has tests/tree/test_pack.py."""
    relative = path.relative_to(HOUSE)
    mirror = ROOT / "tests" / relative.parent / f"test_{relative.stem.strip('_')}.py"
    assert mirror.is_file(), f"{mirror.relative_to(ROOT)} is missing"
    assert "def test_" in mirror.read_text(encoding="utf-8"), f"{mirror.relative_to(ROOT)} tests nothing"


@pytest.mark.parametrize("path", [path for path in MODULES if path.stem != "__init__"], ids=name_of)
def test_every_module_is_on_the_floor_plan(path: Path) -> None:
    """docs/architecture.md has a row for every module."""
    plan = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert f"`{path.relative_to(HOUSE)}`" in plan, f"`{path.relative_to(HOUSE)}` is not in docs/architecture.md"


def test_values_are_declared_in_one_way() -> None:
    """Nobody but `declare` imports the standard library's decorator, which compiles at import (decisions/0033)."""
    found = [name_of(path) for path in MODULES if name_of(path) != "declare" and "dataclasses" in set(imports_of(path))]
    assert found == []


def test_decisions_have_numbers_of_their_own() -> None:
    """Each page's number is in its name and its title, and no other page has it."""
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [page.name.split("-")[0] for page in pages]
    assert sorted({*numbers}) == numbers
    titles = [page.read_text(encoding="utf-8").splitlines()[0] for page in pages]
    assert [
        title for number, title in zip(numbers, titles, strict=True) if not title.startswith(f"# {int(number)}. ")
    ] == []

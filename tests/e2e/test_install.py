"""The package as pip installs it into a virtual environment of its own."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.support.conformance import REPOSITORY

SYSTEM_PYTHON = Path("/usr/bin/python3")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel in it; what it depends on is lent by the one that runs the tests."""
    room = tmp_path_factory.mktemp("environment")
    run(SYSTEM_PYTHON, "-m", "venv", room)
    run(room / "bin/pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", room, source_in(room / "source"))
    run(room / "bin/pip", "install", "--quiet", "--no-deps", "--no-index", *room.glob("*.whl"))
    (packages,) = room.glob("lib/python3*/site-packages")
    (packages / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return room


def source_in(directory: Path) -> Path:
    """A copy of what makes the package: building writes beside it."""
    directory.mkdir()
    shutil.copytree(REPOSITORY / "builder", directory / "builder", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, directory)
    return directory


def run(*words: str | Path, cwd: Path = Path("/")) -> str:
    done = subprocess.run(list(map(str, words)), cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_is_whole(environment: Path) -> None:
    """Every module and the mark of a typed package are in it, and nothing else of the repository."""
    (wheel,) = environment.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    modules = {str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "builder").rglob("*.py")}
    assert modules <= names and "builder/py.typed" in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"builder", "pybuild"}


def test_it_is_the_installed_one(environment: Path) -> None:
    """The command and `python -m builder` say their version, and the code is the environment's own."""
    where = run(environment / "bin/python", "-c", "import builder; print(builder.__file__)").strip()
    assert Path(where).is_relative_to(environment)
    version = run(environment / "bin/pybuild", "--version")
    assert version.startswith("pybuild ") and version[8].isdigit()
    assert run(environment / "bin/python", "-m", "builder", "--version") == version


@pytest.mark.kernel
def test_it_enters_the_namespace(environment: Path) -> None:
    """The worker of an installed pybuild finds its own modules, whatever the current directory holds."""
    assert run(environment / "bin/pybuild", "unshare", "id", "-u") == "0\n"


@pytest.mark.kernel
def test_it_builds(environment: Path, busybox: str, tmp_path: Path) -> None:
    """A RUN, from a directory with a module called like one of ours in it."""
    (tmp_path / "builder").mkdir()
    (tmp_path / "builder" / "__init__.py").write_text("raise SystemExit('the wrong one')\n")
    (tmp_path / "Buildfile").write_text(f"FROM {busybox}\nRUN echo it runs\n")
    root = tmp_path / "store"
    out = run(environment / "bin/pybuild", "-q", "--root", root, ".", cwd=tmp_path)
    assert out.startswith("sha256:")
    run(environment / "bin/pybuild", "unshare", "rm", "-rf", root)

"""An installed copy of a checkout, as people have it: with .pyc files and a script that an installer wrote."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

_OTHERS = ("pyproject.toml", "README.md", "LICENSE")


def installed(checkout: Path, cache: Path) -> str:
    """The command of a virtual environment in the cache, made anew when the source has changed."""
    venv = cache / f"pybuild-{_fingerprint(checkout)}"
    if not venv.exists():
        for old in cache.glob("pybuild-*"):
            shutil.rmtree(old)
        print(f"installing a copy of {checkout}", file=sys.stderr, flush=True)
        making = cache / "source"
        shutil.rmtree(making, ignore_errors=True)
        shutil.copytree(checkout / "builder", making / "builder", ignore=shutil.ignore_patterns("__pycache__"))
        for name in _OTHERS:
            shutil.copy(checkout / name, making / name)
        try:
            subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
            pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, str(making)], check=True)
        except BaseException:
            shutil.rmtree(venv, ignore_errors=True)
            raise
        shutil.rmtree(making)
    return str(venv / "bin" / "pybuild")


def _fingerprint(checkout: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted((checkout / "builder").rglob("*.py")):
        digest.update(f"{path.relative_to(checkout)}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]

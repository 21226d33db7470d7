"""What the runners in Python have in common: where things are built, and a virtual environment for each."""
from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import venv
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def target() -> Path:
    return Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")).absolute()


def ensure_packages(name: str, packages: dict[str, str]) -> None:
    """Goes on in the virtual environment `name` if this Python lacks a package. From modules to what pip calls them."""
    if all(importlib.util.find_spec(module) for module in packages):
        return
    folder = target() / name
    python = folder / "bin" / "python"
    requirements = list(packages.values())
    if Path(sys.executable) == python:
        sys.exit(f"{folder} is incomplete: delete it, and try again")
    if not python.exists():
        print(f"installing {' '.join(requirements)} into {folder}", file=sys.stderr)
        venv.create(folder, with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements], check=True)
    os.execv(python, [str(python), *sys.orig_argv[1:]])

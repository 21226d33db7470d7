"""What a run needs around it: a Python with kosoku in it, and the programs under test."""
from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
REQUIREMENT = "kosoku==0.1.0"       # pinned: suite.py repairs this version


def target() -> Path:
    return Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")).absolute()


def ensure_python() -> None:
    """Goes on in a virtual environment of its own if this Python lacks kosoku."""
    if importlib.util.find_spec("kosoku"):
        return
    folder = target() / "autobahn-venv"
    python = folder / "bin" / "python"
    if Path(sys.executable) == python:
        sys.exit(f"{folder} is incomplete: delete it, and try again")
    if not python.exists():
        print(f"installing {REQUIREMENT} into {folder}", file=sys.stderr)
        venv.create(folder, with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", REQUIREMENT], check=True)
    os.execv(python, [str(python), *sys.orig_argv[1:]])


def build(profile: str) -> Path:
    """Builds the shell and the Rust client. Returns the folder that they are in."""
    command = ["cargo", "build", "--quiet", "--profile", profile, "--workspace", "--bin", "we", "--example", "autobahn_client"]
    subprocess.run(command, cwd=REPOSITORY, check=True)
    return target() / ("debug" if profile == "dev" else profile)

"""What a run needs around it: a Python with kosoku in it, and the programs under test."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from pyenv import REPOSITORY, ensure_packages, target  # noqa: E402

HERE = Path(__file__).resolve().parent


def ensure_python() -> None:
    # Pinned: suite.py repairs this version.
    ensure_packages("autobahn-venv", {"kosoku": "kosoku==0.1.0"})


def build(profile: str) -> Path:
    """Builds the shell and the Rust client. Returns the folder that they are in."""
    command = ["cargo", "build", "--quiet", "--profile", profile, "--workspace", "--bin", "we", "--example", "autobahn_client"]
    subprocess.run(command, cwd=REPOSITORY, check=True)
    return target() / ("debug" if profile == "dev" else profile)

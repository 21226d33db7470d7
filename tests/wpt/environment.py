"""What a run needs around it: a Python with WPT's server in it, a built shell, names that lead to this machine."""
from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from pyenv import REPOSITORY, ensure_packages, target  # noqa: E402

SUBDOMAINS = ["www", "www1", "www2", "xn--n8j6ds53lwwkrqhv28a", "xn--lve-6lad"]     # as WPT's configuration has them
IN_NAMESPACE = "WE_WPT_HOSTS"       # set in the process that has names of its own


def hosts(host: str) -> list[str]:
    """The names that tests use when the browser's host is `host`."""
    other = f"not-{host}" if host.endswith(".test") else f"alt.{host}"
    return [prefix + name for name in (host, other) for prefix in ("", *(f"{sub}." for sub in SUBDOMAINS))]


def ensure_python() -> None:
    ensure_packages("wpt-venv", {"wptserve": "wptserve==4.0.3", "pywebsocket3": "pywebsocket3==4.0.2"})


def ensure_hosts(host: str) -> None:
    """Goes on in a mount namespace whose /etc/hosts has the names, unless the host is localhost.

    The machine's own /etc/hosts stays as it is; no privilege is needed where user namespaces are allowed.
    """
    if host == "localhost" or os.environ.get(IN_NAMESPACE) == host:
        return
    if shutil.which("unshare") is None:
        sys.exit("--host needs the command `unshare` (util-linux)")
    with tempfile.NamedTemporaryFile("w", prefix="hosts-", delete=False) as file:
        file.write(Path("/etc/hosts").read_text() + f"\n127.0.0.1 {' '.join(hosts(host))}\n")
    os.chmod(file.name, 0o644)
    command = f'mount --bind "$0" /etc/hosts && rm -f "$0" && exec "$@"'
    os.environ[IN_NAMESPACE] = host
    os.execvp("unshare", ["unshare", "--map-root-user", "--mount", "sh", "-c", command, file.name, *sys.orig_argv])


def ensure_shell() -> str:
    """The command of the shell: what $WE names, or the release build, made now if it is not there."""
    if chosen := os.environ.get("WE"):
        # The shell runs in other folders than this one.
        return os.path.abspath(chosen)
    subprocess.run(["cargo", "build", "--release", "--quiet", "-p", "we"], cwd=REPOSITORY, check=True)
    return str(target() / "release" / "we")


def has_workers(shell: str) -> bool:
    """Whether scripts of the shell find a `Worker`."""
    probe = [shell, "eval", "if (typeof Worker !== 'function') throw 0"]
    return subprocess.run(probe, capture_output=True, timeout=60).returncode == 0

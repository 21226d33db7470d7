"""Runs one test in a JavaScript shell, in bounded time, and reads what it reports."""
from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Iterable
from urllib.parse import urlsplit

from bundle import BUNDLE, Bundler, bundle_name
from results import Result, printable
from suite import Test

SECONDS, LONG_SECONDS = 10, 60      # what a browser's runner gives a test
GRACE = 10                          # for the shell to start, load the harness, and die

# These rely on it that a message of megabytes fills the buffers of the system before it is sent. It is of zeros, which
# compress to nothing: whether it is sent before the server's Close has come would be chance.
FILLS_BUFFERS = {"/websockets/stream/tentative/remote-close.any.js", "/websockets/stream/tentative/write.any.js"}


def collect(lines: Iterable[str], result: Result) -> bool:
    """Fills `result` from lines "@wpt {json}"; true if the harness said that it is done."""
    for line in lines:
        if not line.startswith("@wpt "):
            continue
        try:
            record = json.loads(line[5:])
        except ValueError:          # the process died while it wrote
            return False
        if "done" in record:
            result.harness = record["done"]
            result.message = printable(record.get("message") or result.message)
            return True
        if "error" in record:
            result.message = printable(record["error"])
        else:
            result.add(record["name"], record["status"], record.get("message") or "")
    return False


def kill_group(process: subprocess.Popen) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


class Shell:
    """A shell that is started afresh for each test, by a command line with {script}, {url} and {ca} in it, and {buffers} for
    the option that tests need which rely on full buffers.

    Workers are loaded from the server, beside the test's own file, unless `file_workers` says that they cannot be.
    """

    def __init__(self, command: str, server: dict, folder: Path, multiplier: float = 1, file_workers: bool = False) -> None:
        self.command, self.server, self.folder, self.multiplier = shlex.split(command), server, folder, multiplier
        self.file_workers = file_workers
        self.bundler = Bundler(server)
        # The variables by which Node, Deno and others are told of one more certificate.
        authority = dict.fromkeys(("NODE_EXTRA_CA_CERTS", "DENO_CERT", "SSL_CERT_FILE"), server["ca"])
        self.environment = {**os.environ, **authority}

    def run(self, test: Test) -> Result:
        seconds = (LONG_SECONDS if test.long else SECONDS) * self.multiplier
        result, began = Result(str(test), test.group), time.monotonic()
        script = self._write(test, seconds)
        values = {"script": str(script), "url": self.bundler.url(test), "ca": self.server["ca"]}
        values["buffers"] = "--no-compression" if test.path in FILLS_BUFFERS else ""
        argv = [re.sub(r"\{(\w+)\}", lambda name: values.get(name[1], name[0]), word) for word in self.command]
        argv = [word for word in argv if word]
        with tempfile.TemporaryFile("w+", errors="replace") as stderr:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True,
                                       errors="replace", env=self.environment, cwd=self.folder, start_new_session=True)
            killed = threading.Event()
            timer = threading.Timer(seconds + GRACE, lambda: (killed.set(), kill_group(process)))
            timer.start()
            if not collect(process.stdout, result):
                code = process.wait()
                stderr.seek(0)
                result.harness = "HANG" if killed.is_set() else "CRASH"
                result.message = printable(f"exit {code}: {result.message} {stderr.read()[-600:]}")
            timer.cancel()
            kill_group(process)
            process.wait()
            process.stdout.close()
        result.seconds = round(time.monotonic() - began, 2)
        return result

    def _write(self, test: Test, seconds: float) -> Path:
        # A subtest without a name is named after the script's file name, up to its first dot.
        name = Path(test.path).name.split(".")[0] + "." + re.sub(r"\W+", "-", str(test)).strip("-")
        script = self.folder / f"{name}{BUNDLE}"
        if test.scope == "window":
            script.write_text(self.bundler.bundle(test, seconds))
            return script
        address = self.bundler.url(test)
        if self.file_workers:
            script.write_text(self.bundler.bundle(test, seconds))
            address = script.as_uri()
        else:
            at = urlsplit(address)
            name_there = bundle_name(f"{at.path}?{at.query}")
            (self.folder / name_there).write_text(self.bundler.bundle(test, seconds))
        starter = self.folder / f"{name}.starter.js"
        starter.write_text(self.bundler.starter(address))
        return starter

"""One script per test: the shim, testharness.js, what the test asks for, and the test itself.

A shell for scripts loads no pages, so the page is taken apart here and its scripts are laid end to end.
"""
from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Callable
from urllib.error import HTTPError
from urllib.parse import urljoin
from urllib.request import urlopen

from suite import Script, Test

BUNDLE = ".bundle.js"        # how the files end that hold whole tests
JS = Path(__file__).resolve().parent / "js"
FOLLOWED_BY = {"/resources/testharness.js": "report.js", "/resources/WebIDLParser.js": "webidl.js"}
# At the beginning of a line: an importScripts() inside a function is the test's own.
IMPORT = re.compile(r"^importScripts\(((?:\s*['\"][^'\"]*['\"]\s*,?)+)\);?", re.M)
HARNESS_AGAIN = 'importScripts("/resources/testharness.js");'
LITERAL = re.compile(r"['\"]([^'\"]*)['\"]")
IDL = re.compile(r"idl_test\(\s*\[(.*?)\]\s*,\s*\[(.*?)\]", re.S)
FETCHED = re.compile(r"\b(?:fetch|fetch_json)\(\s*['\"]([^'\"$]+)['\"]")


def bundle_name(path: str) -> str:
    """The file that holds the bundle of a worker whose address has this path and query."""
    return re.sub(r"\W+", "-", path).strip("-") + BUNDLE


def page_url(test: Test, host: str, ports: dict[str, int]) -> str:
    """Where `wpt serve` would put the page of a test."""
    path = test.path
    if not test.is_markup:
        ending = {"window": r".\1.html", "worker": r".\1.worker.js"}[test.scope]
        path = re.sub(r"\.(any|window)\.js$", ending, path)
    port = ports["h2" if test.transport == "h2" else test.scheme]
    return f"{test.scheme}://{host}:{port}{path}{test.variant}"


def named_files(path: str, text: str) -> list[str]:
    """The paths of the files that a test is going to fetch, as far as its text names them."""
    files = [urljoin(path, name) for name in FETCHED.findall(text)]
    for lists in IDL.findall(text):
        files += [f"/interfaces/{name}.idl" for names in lists for name in re.findall(r"['\"]([\w.-]+)['\"]", names)]
    return files


class Bundler:
    """Puts scripts together from what the server serves: with {{host}} and the like filled in."""

    def __init__(self, server: dict, read: Callable[[str], str] | None = None) -> None:
        self.host, self.ports = server["host"], server["ports"]
        self._read = cache(read or self._get)

    def _get(self, path: str) -> str:
        address = path if path.startswith("data:") else f"http://127.0.0.1:{self.ports['http']}{path}"
        with urlopen(address) as response:
            return response.read().decode("utf-8", "replace")

    def url(self, test: Test) -> str:
        return page_url(test, self.host, self.ports)

    def bundle(self, test: Test, seconds: float) -> str:
        """The whole test as one classic script; an indirect eval makes it sloppy and global in every runtime."""
        if test.is_markup:
            texts = [self._script(test, script) for script in test.scripts]
        elif test.path.endswith(".worker.js"):
            texts = [IMPORT.sub(lambda call: self._imported(test, call[1]), self._read(test.path))]
        else:
            first = [Script(path="/resources/testharness.js")]
            texts = [self._script(test, script) for script in [*first, *test.scripts, Script(path=test.path)]]
            if test.scope == "worker":
                # A second harness would report to nobody.
                texts = [text.replace(HARNESS_AGAIN, "") for text in texts]
                texts.append("done();")
        settings = {"url": self.url(test), "title": test.title, "scope": test.scope, "timeout": seconds * 1000,
                    "files": self._files(test, texts)}
        parts = [f"globalThis.WPT = {json.dumps(settings)};", (JS / "shim.js").read_text(), *texts]
        code = "\n;\n".join(parts) + f"\n//# sourceURL={test.path}"
        return f"(0, eval)({json.dumps(code)});\n"

    @staticmethod
    def starter(address: str) -> str:
        """The main script that runs a bundle as a worker."""
        return f"globalThis.WORKER = {json.dumps(address)};\n" + (JS / "starter.js").read_text()

    def _script(self, test: Test, script: Script) -> str:
        if script.path and script.path != test.path:
            return self._included(urljoin(test.path, script.path))
        # A test may ask what its title is, and a page's script where it is, without asking for anything else of the page.
        text = self._included(test.path) if script.path else script.text.replace("document.URL", "location.href")
        return text.replace("document.title", json.dumps(test.title))

    def _imported(self, test: Test, arguments: str) -> str:
        return "\n;\n".join(self._included(urljoin(test.path, path)) for path in LITERAL.findall(arguments))

    def _included(self, path: str) -> str:
        """A script of the checkout, and what the runner has to say after it."""
        if path == "/resources/testharnessreport.js":
            return ""
        try:
            text = self._read(path)
        except HTTPError:       # a page goes on without a script that cannot be loaded
            return f"/* {path} is missing */"
        follower = FOLLOWED_BY.get(path)
        return text + "\n;\n" + (JS / follower).read_text() if follower else text

    def _files(self, test: Test, texts: list[str]) -> dict[str, str]:
        files = {}
        if test.path.startswith("/fetch/"):     # what tests fetch() itself is not for a runtime without it
            return files
        for path in named_files(test.path, "\n".join(texts)):
            try:
                files[path] = self._read(path)
            except HTTPError:
                pass        # the test will say what it misses
        return files

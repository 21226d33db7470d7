"""Which tests a WPT checkout has: every file, by its variants, in the scopes that it is meant for."""
from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from html.parser import HTMLParser
from pathlib import Path
from typing import Iterator

SCOPES = ("window", "worker")

# The directories that the project answers for, under the name that `--group` and the reports know them by.
GROUPS = {
    "websockets": ["websockets"],
    "dom/events": ["dom/events"],
    "dom/abort": ["dom/abort"],
    "FileAPI": ["FileAPI"],
    "webmessaging": ["webmessaging"],
    "workers": ["workers"],
    "html/webappapis": ["html/webappapis"],
    "structured data": ["html/infrastructure/safe-passing-of-structured-data"],
    "hr-time": ["hr-time"],
    "webidl": ["webidl"],
    "streams": ["streams"],
    "encoding": ["encoding"],
    "url": ["url"],
    "console": ["console"],
    "eventsource": ["eventsource"],
    "fetch": ["fetch/api"],
}

MARKUP = (".html", ".htm")
SCRIPT = re.compile(r"\.(any|window|worker)\.js$")
META = re.compile(r"^//\s*META:\s*(\w+)=(.*)$", re.M)


@dataclass(frozen=True)
class Script:
    """A script of a test: the path of a file, or text that stands in the page."""
    path: str = ""
    text: str = ""


@dataclass(frozen=True)
class Test:
    """One file with one variant in one scope: what has a row in the results."""
    path: str                       # "/websockets/Close-1000.any.js"
    variant: str                    # "?wss"
    scope: str                      # "window" or "worker"
    scripts: tuple[Script, ...] = ()
    title: str = ""
    long: bool = False

    def __str__(self) -> str:
        """The name that expectations, `--filter` and `--list` use."""
        return f"{self.path}{self.variant} {self.scope}"

    @property
    def is_markup(self) -> bool:
        return self.path.endswith(MARKUP)

    @property
    def transport(self) -> str:
        if "wpt_flags=h2" in self.variant:
            return "h2"
        return "wss" if re.match(r"\?wss\b", self.variant) else "ws"

    @property
    def scheme(self) -> str:
        """The scheme of the page that the test believes it is."""
        secure = self.transport == "h2" or ".https." in self.path or "wpt_flags=https" in self.variant
        return "https" if secure else "http"

    @property
    def group(self) -> str:
        """The row of a report that the test counts in."""
        name = next((name for name, folders in GROUPS.items()
                     if any(self.path.startswith(f"/{folder}/") for folder in folders)), self.path.split("/")[1])
        if name != "websockets":
            return f"{name} {self.scope}"
        kind = "/stream" * self.path.startswith("/websockets/stream/") + " html" * self.is_markup
        return f"{name}{kind} {self.transport} {self.scope}"


@dataclass
class Header:
    """What a test says about itself, in `// META:` lines or in markup."""
    scripts: list[Script] = field(default_factory=list)
    variants: list[str] = field(default_factory=list)
    scopes: frozenset[str] = frozenset()
    title: str = ""
    long: bool = False


def script_header(path: str, text: str) -> Header:
    """The `// META: key=value` lines of X.any.js, X.window.js, X.worker.js."""
    meta: dict[str, list[str]] = defaultdict(list)
    for key, value in META.findall(text):
        meta[key].append(value.strip())
    kind = SCRIPT.search(path)
    if kind is None:
        raise ValueError(f"{path} is not a test in a script")
    if kind[1] == "any":
        names = {name.strip() for name in ",".join(meta["global"] or ["window,dedicatedworker"]).split(",")}
        scopes = {"window"} & names | ({"worker"} if names & {"worker", "dedicatedworker"} else set())
    else:
        scopes = {kind[1]}
    return Header([Script(path=path) for path in meta["script"]], meta["variant"], frozenset(scopes),
                  "".join(meta["title"]), "long" in meta["timeout"])


class _Markup(HTMLParser):
    """The scripts, the title and the `meta` elements of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.header = Header(scopes=frozenset({"window"}))
        self._in: str | None = None
        self._text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "meta":
            content = values.get("content") or ""
            if values.get("name") == "variant":
                self.header.variants.append(content)
            elif values.get("name") == "timeout":
                self.header.long = content == "long"
        elif tag == "script" and (source := values.get("src")):
            self.header.scripts.append(Script(path=source))
        elif tag in ("script", "title"):
            self._in, self._text = tag, []

    def handle_endtag(self, tag: str) -> None:
        if tag != self._in:
            return
        text = "".join(self._text)
        if tag == "title":
            self.header.title = text.strip()
        else:
            self.header.scripts.append(Script(text=text))
        self._in = None

    def handle_data(self, data: str) -> None:
        if self._in:
            self._text.append(data)


def markup_header(text: str) -> Header:
    """What a page says; its markup itself is not looked at any further."""
    parser = _Markup()
    parser.feed(text)
    parser.close()
    return parser.header


def read_test(path: str, text: str, scopes: tuple[str, ...] = SCOPES) -> Iterator[Test]:
    """The tests in one file; none if it holds none."""
    if SCRIPT.search(path):
        header = script_header(path, text)
    elif path.endswith(MARKUP) and "testharness.js" in text:
        header = markup_header(text)
    else:
        return
    for scope in scopes:
        if scope in header.scopes:
            for variant in header.variants or [""]:
                yield Test(path, variant, scope, tuple(header.scripts), header.title, header.long)


def discover(root: Path, folders: list[str], scopes: tuple[str, ...] = SCOPES) -> Iterator[Test]:
    """Every test under the folders, in the order of their paths."""
    for file in sorted(file for folder in folders for file in (root / folder).rglob("*") if file.is_file()):
        if file.name.endswith((".js", *MARKUP)) and "resources" not in file.relative_to(root).parts:
            yield from read_test("/" + file.relative_to(root).as_posix(), file.read_text("utf-8", "replace"), scopes)


def matches(name: str, pattern: str) -> bool:
    """Whether a test's name (as `str(test)` gives it) is what a pattern of the shell means; `*` crosses slashes."""
    return fnmatchcase(name, pattern.replace("[", "[[]").replace("?", "[?]"))

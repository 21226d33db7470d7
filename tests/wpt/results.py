"""What came out of a run: of each test the harness's own status, and the status of every subtest."""
from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path

HARNESS = "(harness)"       # stands where a subtest's name would: the status of the test as a whole
ADDRESS = re.compile(r"\b(localhost|127\.0\.0\.1|[\w.-]*web-platform\.test):\d+")


def printable(text: str) -> str:
    """Text that any file can hold: half a surrogate pair is written as \\udXXX, an address without its port."""
    return ADDRESS.sub(r"\1:PORT", text.encode("utf-8", "backslashreplace").decode())


@dataclass
class Result:
    """One test, run once."""
    test: str                                                   # as `str(Test)` gives it
    group: str
    harness: str = "CRASH"                                      # OK, ERROR, TIMEOUT, CRASH, HANG
    message: str = ""
    subtests: dict[str, str] = field(default_factory=dict)      # name: PASS, FAIL, TIMEOUT, NOTRUN ...
    messages: dict[str, str] = field(default_factory=dict)      # why a subtest did not pass
    seconds: float = 0

    def add(self, name: str, status: str, message: str) -> None:
        name = unique(printable(name), self.subtests)
        self.subtests[name] = status
        if message:
            self.messages[name] = printable(message)[:300]

    def statuses(self) -> dict[str, str]:
        """Every status of this test; the harness's is "PASS" if all went well with it."""
        return {HARNESS: "PASS" if self.harness == "OK" else self.harness, **self.subtests}


def unique(name: str, taken: dict[str, str]) -> str:
    """The name, with a number if the test has used it before."""
    if name not in taken:
        return name
    number = 2
    while f"{name} ({number})" in taken:
        number += 1
    return f"{name} ({number})"


def counts(results: list[Result]) -> dict[str, Counter]:
    """Of each group: the tests, the subtests, and how many have which status."""
    rows: dict[str, Counter] = defaultdict(Counter)
    for result in results:
        row = rows[result.group]
        row["tests"] += 1
        row["not OK"] += result.harness != "OK"
        row["subtests"] += len(result.subtests)
        row.update(result.subtests.values())
    return dict(sorted(rows.items()))


def save(results: list[Result], file: Path) -> None:
    """One test a line, so that two runs can be compared with `diff`."""
    lines = [json.dumps({**asdict(result), "seconds": result.seconds}) for result in results]
    file.write_text("[\n" + ",\n".join(lines) + "\n]\n")


def load(file: Path) -> list[Result]:
    return [Result(**record) for record in json.loads(file.read_text())]

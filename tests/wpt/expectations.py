"""What is expected to differ from PASS, and why; and how a run differs from that.

The file (TOML) has two parts. `[[not-applicable]]` names tests that are not run, `[[deviation]]` names what does not
pass in those that are:

    [[not-applicable]]
    reason = "HTTP/2 is not spoken"
    tests = ["/websockets/*wpt_flags=h2* *"]            # patterns over "path?variant scope"
    except = []                                         # but these are run

    [[deviation]]
    cause = "There are no streams yet"
    [deviation.tests."/FileAPI/blob/Blob-stream.any.js window"]
    "blob.stream() can be read" = "FAIL"
    "(harness)" = "TIMEOUT"                             # the test as a whole

A subtest that is not named passes; so does the harness. `"*" = "FAIL"` is said of every subtest of a test.
"""
from __future__ import annotations

import json
import tomllib
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from results import HARNESS, Result
from suite import Test, matches

EVERY = "*"
UNEXPLAINED = "not looked into yet"
MISSING = "MISSING"         # a subtest that is expected to fail was not reported at all


@dataclass(frozen=True)
class NotApplicable:
    reason: str
    tests: tuple[str, ...]
    except_: tuple[str, ...] = ()

    def covers(self, name: str) -> bool:
        return (any(matches(name, pattern) for pattern in self.tests)
                and not any(matches(name, pattern) for pattern in self.except_))


@dataclass
class Deviation:
    """Subtests that do not pass for one and the same cause."""
    cause: str
    tests: dict[str, dict[str, str]] = field(default_factory=dict)      # test: subtest: status


@dataclass(frozen=True)
class Surprise:
    test: str
    subtest: str
    expected: str
    actual: str
    message: str = ""

    def __str__(self) -> str:
        said = f"\n      {self.message}" if self.message else ""
        return f"  {self.test}: {self.subtest}\n      expected {self.expected}, got {self.actual}{said}"


class Expectations:
    def __init__(self, not_applicable: list[NotApplicable], deviations: list[Deviation], head: str = "") -> None:
        self.not_applicable, self.deviations, self.head = not_applicable, deviations, head

    @classmethod
    def parse(cls, text: str) -> Expectations:
        data = tomllib.loads(text)
        unknown = data.keys() - {"not-applicable", "deviation"}
        if unknown:
            raise ValueError(f"unknown parts of the expectations: {', '.join(sorted(unknown))}")
        head = "\n".join(takewhile(lambda line: line.startswith("#"), text.splitlines()))
        return cls([NotApplicable(entry["reason"], tuple(entry["tests"]), tuple(entry.get("except", [])))
                    for entry in data.get("not-applicable", [])],
                   [Deviation(entry["cause"], entry["tests"]) for entry in data.get("deviation", [])], head)

    def reason_not_to_run(self, test: Test) -> str | None:
        name = str(test)
        return next((entry.reason for entry in self.not_applicable if entry.covers(name)), None)

    def of(self, test: str) -> dict[str, str]:
        """The statuses that are expected of a test, where they are not PASS."""
        expected: dict[str, str] = {}
        for deviation in self.deviations:
            expected |= deviation.tests.get(test, {})
        return expected

    def cause(self, test: str, subtest: str) -> str:
        for deviation in self.deviations:
            named = deviation.tests.get(test, {})
            if subtest in named or (EVERY in named and subtest != HARNESS):
                return deviation.cause
        return UNEXPLAINED

    def surprises(self, result: Result) -> list[Surprise]:
        """Where a result is not what was expected: failures, and passes."""
        expected, actual = self.of(result.test), result.statuses()
        every = expected.get(EVERY, "PASS")
        found = []
        for name, status in actual.items():
            wanted = expected.get(name, "PASS" if name == HARNESS else every)
            if status != wanted:
                said = result.message if name == HARNESS else result.messages.get(name, "")
                found.append(Surprise(result.test, name, wanted, status, said))
        found += [Surprise(result.test, name, wanted, MISSING) for name, wanted in expected.items()
                  if name != EVERY and name not in actual]
        return found

    def updated(self, results: list[Result]) -> Expectations:
        """As this, but with what the results say of the tests that were run. Causes stay with their subtests."""
        causes = [deviation.cause for deviation in self.deviations]
        tests: dict[str, dict[str, dict[str, str]]] = defaultdict(dict)     # cause: test: subtest: status
        run = {result.test for result in results}
        for deviation in self.deviations:
            for test, statuses in deviation.tests.items():
                if test not in run:
                    tests[deviation.cause][test] = statuses
        for result in results:
            if not self.surprises(result):
                for deviation in self.deviations:
                    if result.test in deviation.tests:
                        tests[deviation.cause][result.test] = deviation.tests[result.test]
                continue
            for name, status in result.statuses().items():
                if status != "PASS":
                    tests[self.cause(result.test, name)].setdefault(result.test, {})[name] = status
        order = causes + [cause for cause in tests if cause not in causes]
        deviations = [Deviation(cause, dict(sorted(tests[cause].items()))) for cause in order if cause in tests]
        return Expectations(self.not_applicable, deviations, self.head)

    def __str__(self) -> str:
        """The file."""
        lines = [self.head, ""] if self.head else []
        for entry in self.not_applicable:
            lines += ["[[not-applicable]]", f"reason = {_string(entry.reason)}"]
            for key, patterns in (("tests", entry.tests), ("except", entry.except_)):
                if patterns:
                    lines += [f"{key} = [", *(f"    {_string(pattern)}," for pattern in patterns), "]"]
            lines += [""]
        for deviation in self.deviations:
            lines += ["[[deviation]]", f"cause = {_string(deviation.cause)}"]
            for test, statuses in deviation.tests.items():
                lines += [f"[deviation.tests.{_string(test)}]"]
                lines += [f"{_string(name)} = {_string(status)}" for name, status in statuses.items()]
            lines += [""]
        return "\n".join(lines).rstrip("\n") + "\n"


def load(file: Path) -> Expectations:
    return Expectations.parse(file.read_text("utf-8")) if file.exists() else Expectations([], [])


def _string(text: str) -> str:
    """A TOML basic string: JSON's escapes, and the one control character that JSON leaves alone."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")

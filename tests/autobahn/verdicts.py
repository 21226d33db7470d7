"""Which verdict each case must end with, and what a run says of the cases that ended with another."""
from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Iterable

BEHAVIORS = ["OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED", "FAILED", "ERROR"]

# Where RFC 6455 leaves open what happens, the suite only tells what it saw.
INFORMATIONAL = {"7.1.6", "7.13.1", "7.13.2"}

# Here the suite's server answers only a client that offers `client_no_context_takeover`. Browsers do not, and so
# neither does the WebSocket interface of scripts.
NOT_OFFERED_BY_SCRIPTS = ("13.2.", "13.5.", "13.6.")


@dataclass(frozen=True)
class Verdict:
    """How a case ended."""
    case: str
    behavior: str
    close: str = "OK"
    note: str = ""

    def __str__(self) -> str:
        return f"{self.case}: {self.behavior}, close {self.close}. {self.note}".rstrip()


def expected(case: str, *, browser_like: bool) -> str:
    """The behavior that is demanded."""
    if case in INFORMATIONAL:
        return "INFORMATIONAL"
    if browser_like and case.startswith(NOT_OFFERED_BY_SCRIPTS):
        return "UNIMPLEMENTED"
    return "OK"


def is_expected(verdict: Verdict, *, browser_like: bool) -> bool:
    behavior = expected(verdict.case, browser_like=browser_like)
    closes = {"OK", "INFORMATIONAL"} if behavior == "INFORMATIONAL" else {"OK"}
    return verdict.behavior == behavior and verdict.close in closes


def surprises(cases: Iterable[str], verdicts: Iterable[Verdict], *, browser_like: bool) -> list[str]:
    """A line for each of `cases` that is missing or has not ended as demanded."""
    found = {verdict.case: verdict for verdict in verdicts}
    lines = []
    for case in cases:
        if case not in found:
            lines.append(f"{case}: not run")
        elif not is_expected(found[case], browser_like=browser_like):
            lines.append(str(found[case]))
    return lines


def summary(verdicts: Iterable[Verdict]) -> str:
    """How many cases ended how, in one line."""
    counts = Counter(verdict.behavior for verdict in verdicts)
    shown = [f"{counts[behavior]} {behavior}" for behavior in BEHAVIORS if counts[behavior]]
    return ", ".join(shown) or "no case has ended"

"""The tables: of a run, and of docs/conformance.md with the browsers and runtimes beside it."""
from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

from expectations import Expectations, UNEXPLAINED
from results import HARNESS, Result, counts

BEGIN, END = "<!-- make wpt-report: {} -->", "<!-- end -->"
HERE = "we"


def table(head: list[str], rows: list[list[object]]) -> str:
    """A Markdown table whose columns line up; numbers stand on the right."""
    cells = [head, *[[str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    def line(row: list[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) if column == 0 else cell.rjust(width)
                                 for column, (cell, width) in enumerate(zip(row, widths))) + " |"
    rule = "|" + "|".join("-" * (width + 1) + ("-" if column == 0 else ":") for column, width in enumerate(widths)) + "|"
    return "\n".join([line(cells[0]), rule, *map(line, cells[1:])])


def run_table(results: list[Result]) -> str:
    """A row for each group, and their sum."""
    columns = ["tests", "not OK", "subtests", "PASS", "FAIL", "TIMEOUT", "NOTRUN"]
    rows = counts(results)
    rows["all"] = sum(rows.values(), Counter())
    return table(["group", *columns], [[name, *(row[column] for column in columns)] for name, row in rows.items()])


def scores(results: list[Result]) -> dict[str, list[int]]:
    """Of each group: how many subtests passed, and how many were reported."""
    return {name: [row["PASS"], row["subtests"]] for name, row in counts(results).items()}


def load_peers(file: Path) -> dict[str, dict[str, list[int]]]:
    return json.loads(file.read_text()) if file.exists() else {}


def save_peers(peers: dict[str, dict[str, list[int]]], file: Path) -> None:
    agents = [f"  {json.dumps(agent)}: {{\n" + ",\n".join(
        f"    {json.dumps(group)}: {json.dumps(score)}" for group, score in sorted(groups.items())) + "\n  }"
        for agent, groups in peers.items()]
    file.write_text("{\n" + ",\n".join(agents) + "\n}\n")


def score_table(results: list[Result], peers: dict[str, dict[str, list[int]]]) -> str:
    """Passed/reported by group, here and elsewhere."""
    columns = {HERE: scores(results), **peers}
    groups = list(columns[HERE])
    rows = [[group, *(_score(column.get(group)) for column in columns.values())] for group in groups]
    return table(["group", *columns], rows)


def _score(score: list[int] | None) -> str:
    return "" if score is None else f"{score[0]}/{score[1]}"


def cause_list(results: list[Result], expectations: Expectations) -> str:
    """What does not pass, by cause: how many subtests in which files."""
    lost: dict[str, Counter] = {}
    for result in results:
        for name, status in result.statuses().items():
            if status != "PASS":
                path = re.split(r"[? ]", result.test)[0]
                files = lost.setdefault(expectations.cause(result.test, name), Counter())
                files[path] += name != HARNESS
    order = [deviation.cause for deviation in expectations.deviations] + [UNEXPLAINED]
    lines = []
    for cause in sorted(lost, key=lambda cause: order.index(cause)):
        files = lost[cause]
        places = ", ".join(f"`{path.removeprefix('/')}` {count}" if count else f"`{path.removeprefix('/')}`"
                           for path, count in sorted(files.items()))
        lines.append(f"- {cause} ({sum(files.values())} subtests: {places})")
    return "\n".join(lines)


def replace_part(text: str, name: str, content: str) -> str:
    """The page with what stands between the markers of a part replaced."""
    begin = BEGIN.format(name)
    pattern = re.compile(re.escape(begin) + r".*?" + re.escape(END), re.S)
    if not pattern.search(text):
        raise ValueError(f"the page has no part {begin}")
    return pattern.sub(lambda _: f"{begin}\n{content}\n{END}", text, count=1)


def rewrite_page(page: Path, results: list[Result], peers: dict, expectations: Expectations) -> None:
    text = page.read_text()
    text = replace_part(text, "scores", score_table(results, peers))
    text = replace_part(text, "causes", cause_list(results, expectations))
    text = replace_part(text, "not applicable", not_applicable_list(expectations))
    page.write_text(text)


def not_applicable_list(expectations: Expectations) -> str:
    return "\n".join(f"- {entry.reason}: " + ", ".join(f"`{test}`" for test in entry.tests)
                     for entry in expectations.not_applicable)

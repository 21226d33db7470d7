"""Runs web-platform-tests in the shell `we` and holds the results against tests/wpt/expectations.toml.

    make wpt WPT_DIR=../wpt                         # everything; exit code 1 if anything is not as expected
    make wpt WPT_DIR=../wpt WPT='--filter Close-'   # some of it
    make wpt WPT_DIR=../wpt WPT=--update            # take what comes for what is expected

$WE names another binary than target/release/we.
"""
from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import environment
import expectations as expected
import report
import results
import server
from shell import Shell
from suite import GROUPS, SCOPES, Test, discover

HERE = Path(__file__).resolve().parent
EXPECTATIONS, PEERS = HERE / "expectations.toml", HERE / "peers.json"
PAGE = environment.REPOSITORY / "docs" / "conformance.md"
COMMAND = "{we} run --expose-gc {{buffers}} --ca {{ca}} --location {{url}} {{script}}"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/wpt", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wpt", type=Path, metavar="WPT_DIR", help="a checkout of web-platform-tests")
    select = parser.add_argument_group("which tests")
    select.add_argument("--group", action="append", choices=GROUPS, metavar="NAME",
                        help=f"only this; may be given several times: {', '.join(GROUPS)}")
    select.add_argument("--filter", type=re.compile, default=re.compile(""), metavar="REGEX",
                        help="only tests whose name, 'path?variant scope', it matches somewhere")
    select.add_argument("--scope", action="append", choices=SCOPES, help="only this scope")
    select.add_argument("--list", action="store_true", help="name the tests, and those that are not run, and stop")
    how = parser.add_argument_group("how")
    how.add_argument("-j", "--jobs", type=int, default=os.cpu_count(), help="tests at a time (default: one per core)")
    how.add_argument("--timeout-multiplier", type=float, default=2, metavar="X",
                     help="times the 10 or 60 seconds of a test (default: 2)")
    how.add_argument("--host", default="localhost",
                     help="the host of the pages; other names than localhost exist for the run only")
    how.add_argument("--command", help="another runtime: a command with {script}, {url} and {ca} in it. "
                                       "Its results are not held against the expectations")
    how.add_argument("--file-workers", action="store_true", help="load workers from files: Node has no others")
    how.add_argument("--server-log", type=Path, metavar="FILE", help="what WPT's server says")
    how.add_argument("--expectations", type=Path, default=EXPECTATIONS, metavar="FILE", help="another file of them")
    then = parser.add_argument_group("what to do with the results")
    then.add_argument("-o", "--output", type=Path, metavar="FILE", help="write them down, one test a line")
    then.add_argument("--update", action="store_true", help="write the expectations anew")
    then.add_argument("--report", action="store_true", help="write the tables of docs/conformance.md anew")
    then.add_argument("--peer", metavar="NAME", help="record the scores of --command under this name in peers.json")
    return parser.parse_args()


def run(tests: list[Test], shell: Shell, jobs: int) -> list[results.Result]:
    """All tests, some at a time; the results in the tests' order."""
    done, lock = 0, threading.Lock()

    def one(test: Test) -> results.Result:
        nonlocal done
        result = shell.run(test)
        with lock:
            done += 1
            if sys.stderr.isatty():
                print(f"\r\033[K[{done}/{len(tests)}] {test}", end="", file=sys.stderr, flush=True)
        return result

    with ThreadPoolExecutor(jobs) as pool:
        outcome = list(pool.map(one, tests))
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    return outcome


def show_differences(outcome: list[results.Result], wanted: expected.Expectations) -> int:
    """Prints what is not as expected. Returns how many subtests that are."""
    surprises = [surprise for result in outcome for surprise in wanted.surprises(result)]
    passes = [surprise for surprise in surprises if surprise.actual == "PASS"]
    others = [surprise for surprise in surprises if surprise.actual != "PASS"]
    for title, found in (("Unexpected failures", others), ("Unexpected passes", passes)):
        if found:
            print(f"\n{title}: {len(found)}", *found, sep="\n")
    return len(surprises)


def main() -> int:
    options = arguments()
    root = options.wpt.resolve()
    if not (root / "resources" / "testharness.js").exists():
        sys.exit(f"{options.wpt} is no checkout of web-platform-tests: it has no resources/testharness.js")
    wanted = expected.load(options.expectations)
    folders = [folder for group in options.group or GROUPS for folder in GROUPS[group]]
    selected = [test for test in discover(root, folders, tuple(options.scope or SCOPES))
                if options.filter.search(str(test))]
    reasons = {test: wanted.reason_not_to_run(test) for test in selected}
    tests = [test for test in selected if reasons[test] is None]
    if options.list:
        for test in selected:
            print(f"{test}  # not applicable: {reasons[test]}" if reasons[test] else test)
        return 0

    environment.ensure_python()
    environment.ensure_hosts(options.host)
    command = options.command
    if command is None:
        we = environment.ensure_shell()
        command = COMMAND.format(we=we)
        if any(test.scope == "worker" for test in tests) and not environment.has_workers(we):
            print("worker scope: off, the shell has no Worker")
            tests = [test for test in tests if test.scope != "worker"]

    with (tempfile.TemporaryDirectory(prefix="we-wpt-") as folder,
          server.running(root, options.host, Path(folder), options.server_log) as running):
        shell = Shell(command, running, Path(folder), options.timeout_multiplier, options.file_workers)
        outcome = run(tests, shell, options.jobs)
    print(report.run_table(outcome))
    if options.output:
        results.save(outcome, options.output)

    if options.command:
        if options.peer:
            peers = report.load_peers(PEERS)
            peers[options.peer] = peers.get(options.peer, {}) | report.scores(outcome)
            report.save_peers(peers, PEERS)
        return 0
    if options.update:
        wanted = wanted.updated(outcome)
        options.expectations.write_text(str(wanted), "utf-8")
    if options.report:
        report.rewrite_page(PAGE, outcome, report.load_peers(PEERS), wanted)
    surprises = show_differences(outcome, wanted)
    print(f"\n{len(outcome)} tests, {surprises} differences from what is expected")
    return 1 if surprises else 0


if __name__ == "__main__":
    sys.exit(main())

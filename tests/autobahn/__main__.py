"""Runs the Autobahn TestSuite against the server, the Rust client and the JavaScript client of this repository.

    make autobahn                                       # sections 1 to 10
    make autobahn-full                                  # compression, too: 517 cases for each
    make autobahn AUTOBAHN='--subject js-client --case 9.*'

Exit code 1 if a case ends otherwise than verdicts.py demands.
"""
from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

import environment


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/autobahn", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="sections 12 and 13 (compression), too: minutes")
    parser.add_argument("--case", action="append", metavar="PATTERN",
                        help="only these cases, such as 7.* or 12.1.3; may be given several times")
    parser.add_argument("--subject", action="append", metavar="NAME", choices=["server", "rust-client", "js-client"],
                        help="only this: server, rust-client or js-client; may be given several times")
    parser.add_argument("--profile", default="dev", help="how to build them (default: dev)")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count(),
                        help="cases at a time against the server (default: one per core)")
    parser.add_argument("--timeout", type=float, metavar="SECONDS",
                        help="for all cases of a subject (default: 300, with --full 3600)")
    parser.add_argument("--report", type=Path, metavar="FOLDER", help="write the suite's report, wire logs and all")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    environment.ensure_python()
    # These need kosoku.
    import subjects
    import suite
    from verdicts import summary, surprises

    suite.repair()
    cases = suite.select(options.case, full=options.full)
    if not cases:
        sys.exit(f"no case matches {' '.join(options.case)}")
    timeout = options.timeout or (3600 if options.full else 300)

    failures = 0
    for subject in subjects.all_in(environment.build(options.profile)):
        if options.subject and subject.name not in options.subject:
            continue
        report = options.report and options.report / subject.name
        begin = time.monotonic()
        # Thousands of broken rules make thousands of complaints: shown only if the program itself fails.
        with tempfile.TemporaryFile("w+", errors="replace") as errors:
            run = suite.test(subject, cases, options.jobs, report, errors)
            try:
                verdicts = asyncio.run(asyncio.wait_for(run, timeout))
            except (subjects.SubjectError, asyncio.TimeoutError) as error:
                errors.seek(0)
                print(f"{subject.name}: {error or f'not done after {timeout:.0f} seconds'}. Its last words:",
                      *errors.readlines()[-10:], flush=True)
                failures += 1
                continue
        found = surprises(cases, verdicts, browser_like=subject.browser_like)
        print(f"{subject.name}: {len(cases)} cases: {summary(verdicts)} ({time.monotonic() - begin:.0f} s)",
              *found, sep="\n  ", flush=True)
        failures += len(found)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

"""The suite itself: kosoku, which runs the cases of the Autobahn TestSuite, driven by its Python interface."""
from __future__ import annotations

import asyncio
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Awaitable

import kosoku
from kosoku import cases as catalogue
from kosoku._kosoku import CaseResult
from kosoku._report import write_reports

from subjects import Client, Server
from verdicts import Verdict

COMPRESSION = ("12.", "13.")


class _AsBytes:
    """Laid over a compression case: what it is told of a message is bytes.

    kosoku 0.1.0 hands these cases a `str` if the peer has sent the message uncompressed, as RFC 7692 section 6 allows.
    They hash what they get, which then fails, and the peer is blamed.
    """

    def onMessage(self, message, binary):       # noqa: N802, the suite's name
        if isinstance(message, str):
            message = message.encode("latin-1" if binary else "utf-8")
        super().onMessage(message, binary)


def repair() -> None:
    for case, kind in catalogue.CASES.items():
        if case.startswith(COMPRESSION):
            catalogue.CASES[case] = type(kind.__name__, (_AsBytes, kind), {})


def select(patterns: list[str] | None, *, full: bool) -> list[str]:
    """The cases that match one of the patterns; without any, all, or all but compression."""
    if patterns:
        return [case for case in catalogue.CASES if any(fnmatchcase(case, pattern) for pattern in patterns)]
    return [case for case in catalogue.CASES if full or not case.startswith(COMPRESSION)]


async def test(subject: Server | Client, cases: list[str], jobs: int, report: Path | None, errors: IO) -> list[Verdict]:
    """Runs the cases, against a server some at a time, and writes the suite's report if one is wanted."""
    if isinstance(subject, Server):
        results = await _test_server(subject, cases, jobs, errors)
    else:
        results = await _test_client(subject, cases, errors)
    if report:
        write_reports(results, str(report))
    return [_verdict(result) for result in results]


async def _test_server(server: Server, cases: list[str], jobs: int, errors: IO) -> list[CaseResult]:
    async with server.running(errors) as address:
        return await _results(kosoku.run_fuzzingclient(address, cases, concurrency=jobs))


async def _test_client(client: Client, cases: list[str], errors: IO) -> list[CaseResult]:
    """Serves the cases; the client runs one after the other."""
    async with kosoku.run_fuzzingserver(cases, host="127.0.0.1", port=0) as server:
        result = asyncio.ensure_future(_results(server.get_result()))
        try:
            await client.run(f"ws://{server.address}:{server.port}", result, errors)
            return await result
        finally:
            result.cancel()


async def _results(run: Awaitable[list[CaseResult]]) -> list[CaseResult]:
    try:
        return await run
    except kosoku.FailureError as failure:
        # Whether it is one is for verdicts.py to say; the failure has all results, too.
        return failure.results


def _verdict(result: CaseResult) -> Verdict:
    note = result.result if result.behavior.value != "OK" else result.result_close
    return Verdict(result.case_id, result.behavior.value, result.behavior_close.value, note)

"""The programs under test, as processes."""
from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, AsyncIterator

from environment import HERE

PATIENCE = 20       # seconds for what takes a moment: to start, to end, to report


class SubjectError(Exception):
    """A program did not do what programs do, apart from the protocol."""


@dataclass(frozen=True)
class Server:
    """Started once for all cases; must outlive them and end at Ctrl-C."""
    name: str
    command: list[str]
    browser_like = False

    @asynccontextmanager
    async def running(self, errors: IO) -> AsyncIterator[str]:
        """Gives its address; what it complains of goes to `errors`."""
        process = await asyncio.create_subprocess_exec(*self.command, stdout=asyncio.subprocess.PIPE, stderr=errors)
        try:
            line = await asyncio.wait_for(process.stdout.readline(), PATIENCE)
            url = line.decode().strip().removeprefix("listening on ")
            if not url.startswith("ws://"):
                raise SubjectError(f"{self.name} does not say where it listens: {line!r}")
            yield url.removeprefix("ws://").removesuffix("/")
            if process.returncode is not None:
                raise SubjectError(f"{self.name} has ended by itself: exit code {process.returncode}")
            process.send_signal(signal.SIGINT)
            if code := await asyncio.wait_for(process.wait(), PATIENCE):
                raise SubjectError(f"{self.name} ends with exit code {code}")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


@dataclass(frozen=True)
class Client:
    """Started with the address of the suite's server and a name; must run all cases, ask for the report, and end."""
    name: str
    command: list[str]
    browser_like: bool = False

    async def run(self, url: str, result: asyncio.Future, errors: IO) -> None:
        """Returns when the client has ended and the suite has its results; what it complains of goes to `errors`."""
        process = await asyncio.create_subprocess_exec(*self.command, url, self.name, stderr=errors)
        try:
            if code := await process.wait():
                raise SubjectError(f"{self.name} ends with exit code {code}")
            if not (await asyncio.wait([result], timeout=PATIENCE))[0]:
                raise SubjectError(f"{self.name} has ended without asking for the report")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


def all_in(folder: Path) -> list[Server | Client]:
    """The subjects, as built in `folder`."""
    we = str(folder / "we")
    return [
        Server("server", [we, "echo", "--listen", "127.0.0.1:0"]),
        Client("rust-client", [str(folder / "examples" / "autobahn_client")]),
        Client("js-client", [we, "run", str(HERE / "client.js")], browser_like=True),
    ]

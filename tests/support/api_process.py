"""An API process of its own: `python -m support.api_process <api url>` serves until it is killed.

It prints its address as soon as it listens. `started` runs it for the length of a block.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support import forked

TESTS = Path(__file__).parents[1]


@dataclass
class ApiProcess:
    """A running API."""

    url: str
    process: subprocess.Popen[str]

    def kill(self) -> None:
        """As `kill -9`."""
        self.process.kill()
        self.process.wait()


@contextmanager
def started(api_url: str, **settings: float) -> Iterator[ApiProcess]:
    """An API process, killed at the end."""
    given = [f"{name}={value}" for name, value in settings.items()]
    process = forked.start(
        [sys.executable, "-m", "support.api_process", api_url, *given],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("http://"), f"the API did not start: exit {process.wait(60)}"
        yield ApiProcess(line.strip(), process)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


async def serve(api_url: str, settings: dict[str, float]) -> None:
    """Serve until the process ends."""
    import uvicorn

    from holdfast.api import create_api
    from holdfast.service.gate import Gate
    from support.holder import open_services
    from support.service_app import app

    async with open_services(api_url, app) as services:
        api = create_api(
            services,
            Gate(services.db),
            max_body_bytes=int(settings.get("max_body_bytes", 1 << 20)),
            heartbeat_s=settings.get("heartbeat_s", 15.0),
        )
        server = uvicorn.Server(uvicorn.Config(api, host="127.0.0.1", port=0, log_level="warning"))
        serving = asyncio.create_task(server.serve())
        while not server.started:
            assert not serving.done(), "the server did not start"
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        print(f"http://127.0.0.1:{port}", flush=True)
        await serving


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], {name: float(value) for name, value in (pair.split("=") for pair in sys.argv[2:])}))

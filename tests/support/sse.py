"""Reading server-sent events as any client would, over real HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2


@dataclass(frozen=True)
class Sent:
    """One event, or a comment (`event` is empty)."""

    id: str
    event: str
    data: Any
    comment: str = ""


class Feed:
    """Events of one response, one by one."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self._sent = self._read()

    async def _read(self) -> AsyncIterator[Sent]:
        lines: dict[str, str] = {}
        async for line in self.response.aiter_lines():
            if line.startswith(":"):
                yield Sent("", "", None, line[1:].strip())
            elif line:
                name, _, value = line.partition(": ")
                lines[name] = value
            elif "data" in lines:
                yield Sent(lines["id"], lines["event"], json.loads(lines["data"]))
                lines = {}
            else:
                lines = {}

    async def next(self, *, comments: bool = False) -> Sent | None:
        """The next event; None at the end of the stream."""
        async for sent in self._sent:
            if sent.event or comments:
                return sent
        return None

    async def until(self, event: str) -> list[Sent]:
        """The events up to the next `event`, included."""
        found: list[Sent] = []
        while (sent := await self.next()) is not None:
            found.append(sent)
            if sent.event == event:
                return found
        raise AssertionError(f"the stream ended before '{event}': {[one.event for one in found]}")

    async def rest(self) -> list[Sent]:
        """All events to the end."""
        found: list[Sent] = []
        while (sent := await self.next()) is not None:
            found.append(sent)
        return found


@asynccontextmanager
async def feed(client: httpx2.AsyncClient, run: Any, last_id: str = "", **query: Any) -> AsyncIterator[Feed]:
    """The events of a run, from behind `last_id`."""
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
    async with client.stream("GET", f"/v1/runs/{run}/events", headers=headers, params=query) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Feed(response)

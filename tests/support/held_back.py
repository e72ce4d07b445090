"""A request of which the server has the headers and a part of the body, over a socket, until a test sends the rest."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx2


@dataclass
class HeldBack:
    """Its sender's side."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    remaining: bytes
    headers: list[str] = field(default_factory=list)
    """Of the answer, once it is there, in lower case."""

    async def finish(self) -> tuple[int, dict[str, Any]]:
        """Send the rest; status and body of the answer."""
        self.writer.write(self.remaining)
        return await self.answer()

    async def answer(self) -> tuple[int, dict[str, Any]]:
        """Status and body of the answer, whatever was sent."""
        async with asyncio.timeout(60):
            status, *self.headers = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower().splitlines()
            [size] = [line for line in self.headers if line.startswith("content-length:")]
            body = await self.reader.readexactly(int(size.partition(":")[2]))
        return int(status.split()[1]), json.loads(body)


@asynccontextmanager
async def held_back(client: httpx2.AsyncClient, path: str, body: object) -> AsyncIterator[HeldBack]:
    """A POST by this client's key of which one byte of the body was sent.

    The server has let it in by then: it asks for the body (`100 Continue`) once it is about to read it.
    """
    whole = json.dumps(body).encode()
    at = urlsplit(str(client.base_url))
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    try:
        headers = {
            "Host": at.netloc,
            "Authorization": client.headers.get("authorization", ""),
            "Content-Type": "application/json",
            "Content-Length": len(whole),
            "Expect": "100-continue",
        }
        lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        writer.write("\r\n".join(lines).encode())
        async with asyncio.timeout(60):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(whole[:1])
        await writer.drain()
        yield HeldBack(reader, writer, whole[1:])
    finally:
        writer.close()

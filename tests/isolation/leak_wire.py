"""HTTP as bytes: what is sent, and every byte of what came back, so that two answers can be compared whole."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

HEARTBEAT = b": heartbeat\n"
_ANSWER_S = 60
"""For an answer to begin, for a stream that is left at its first silence, and for each part of any other."""


@dataclass(frozen=True)
class Sent:
    """One request."""

    method: str
    target: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    live: bool = False
    """Whether the answer may be a stream without an end, of which the part up to the first silence is read."""

    def raw(self, secret: str | None) -> bytes:
        headers = {"Host": "holdfast", **self.headers}
        if secret is not None:
            headers["Authorization"] = f"Bearer {secret}"
        if self.body is not None:
            headers = {"Content-Type": "application/json", **headers, "Content-Length": str(len(self.body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{self.method} {self.target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + (self.body or b"")


@dataclass(frozen=True)
class Answer:
    """What came back. The date of the answer is left out: it says nothing and differs."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    @property
    def raw(self) -> bytes:
        return b"\n".join(b"%b: %b" % header for header in self.headers) + b"\n\n" + self.body

    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: bytes) -> bytes | None:
        return dict(self.headers).get(name)


class Wire:
    """One connection that is kept, from an address of its own on loopback."""

    def __init__(self, port: int, source: str) -> None:
        self._port, self._source = port, source
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, sent: Sent, secret: str | None) -> Answer:
        try:
            async with asyncio.timeout(_ANSWER_S) as patience:
                if self._streams is None or self._streams[0].at_eof():
                    await self.close()
                    self._streams = await asyncio.open_connection(
                        "127.0.0.1", self._port, local_addr=(self._source, 0), limit=1 << 24
                    )
                reader, writer = self._streams
                writer.write(sent.raw(secret))
                return await self._read(reader, sent, patience)
        except TimeoutError:
            raise TimeoutError(f"{sent.method} {sent.target} {sent.body!r}: nothing more in {_ANSWER_S} s") from None

    async def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _read(self, reader: asyncio.StreamReader, sent: Sent, patience: asyncio.Timeout) -> Answer:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head[:-4].split(b"\r\n")
        status = int(first.split(b" ", 2)[1])
        pairs = [tuple(line.split(b": ", 1)) for line in lines]
        headers = {name.lower(): value for name, value in pairs}
        if sent.method == "HEAD" or status in {204, 304}:
            body = b""
        elif headers.get(b"transfer-encoding") == b"chunked":
            body = await self._chunks(reader, sent, patience)
        else:
            body = await reader.readexactly(int(headers.get(b"content-length", b"0")))
        if headers.get(b"connection") == b"close":
            await self.close()
        return Answer(status, tuple((name, value) for name, value in headers.items() if name != b"date"), body)

    async def _chunks(self, reader: asyncio.StreamReader, sent: Sent, patience: asyncio.Timeout) -> bytes:
        body = bytearray()
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
            if not sent.live:
                patience.reschedule(asyncio.get_running_loop().time() + _ANSWER_S)
            elif HEARTBEAT in body:
                await self.close()
                return bytes(body)
        await reader.readline()
        return bytes(body)

"""Exports whose readers take their time, over a socket: what is not taken waits in the server."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx2
import psycopg

EXPORT_KEY = base64.b64encode(os.urandom(32)).decode()
EXPORT = ("/v1/tenant/export", {"key": EXPORT_KEY})
_ROWS = 12_000
"""A kilobyte each: more than all buffers between the server and a reader hold."""
_SNAPSHOTS = """
select count(*) from pg_stat_activity
where datname = current_database() and usename = 'holdfast_api' and xact_start is not null
"""


def fill(database: Any, tenant: str | UUID) -> None:
    """Give a tenant more than fits on the way."""
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        connection.execute(
            "insert into holdfast.audit_log (tenant, at, id, actor, action, target, details)"
            " select %s, now(), gen_random_uuid(), 'test', 'test', 'test', jsonb_build_object('x', repeat('x', 1000))"
            " from generate_series(1, %s)",
            [tenant, _ROWS],
        )


def snapshots(database: Any) -> int:
    """Those that are open: no other transaction of the API's lasts longer than its statement."""
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        row = connection.execute(_SNAPSHOTS).fetchone()
    assert row is not None
    return row[0]


@dataclass
class Exporting:
    """A reader's side."""

    reader: asyncio.StreamReader
    status: int

    async def rest(self) -> bytes:
        """All that is still sent."""
        async with asyncio.timeout(60):
            return await self.reader.read()


@asynccontextmanager
async def exporting(client: httpx2.AsyncClient) -> AsyncIterator[Exporting]:
    """An export of which the headers were taken, and next to nothing more."""
    at = urlsplit(str(client.base_url))
    path, body = EXPORT
    sent = json.dumps(body)
    with socket.socket() as there:
        there.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        there.setblocking(False)
        await asyncio.get_running_loop().sock_connect(there, (at.hostname, at.port))
        reader, writer = await asyncio.open_connection(sock=there, limit=4096)
        try:
            writer.write(
                f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {client.headers['authorization']}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(sent)}\r\n\r\n{sent}".encode()
            )
            async with asyncio.timeout(60):
                head = await reader.readuntil(b"\r\n\r\n")
            yield Exporting(reader, int(head.split()[1]))
        finally:
            writer.close()

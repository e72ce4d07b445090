"""A server that dies with a request unread and half an answer sent: the append is sent again, on every event loop."""

import asyncio

import pytest
import uvloop

from support.dying import DyingWay
from support.journals import hold_run, keys, noted, open_journal, writing

MARKER = "find this append"
PATIENCE_S = 20


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_an_append_survives_a_server_that_dies_in_the_middle_of_its_answer(database, run):
    held = hold_run(database.admin_url)

    async def append_while_it_dies(way):
        async with writing(way.url, connections=1) as writer:
            journal = open_journal(writer, held)
            for nth in range(3):
                way.die_at(MARKER.encode())
                async with asyncio.timeout(PATIENCE_S):
                    await journal.append(noted(f"{MARKER} {nth}"))
                assert way.has_died

    with DyingWay(database.worker_url) as way:
        run(append_while_it_dies(way))
    assert keys(database.admin_url, held) == [f"{MARKER} {nth}" for nth in range(3)]

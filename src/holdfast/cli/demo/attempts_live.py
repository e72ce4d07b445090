"""The attempts of `holdfast demo tenants` while answers are being written, and from within a tool."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import psycopg

from holdfast.cli.demo.attempts_database import in_scope
from holdfast.cli.demo.companies import SAID, ask
from holdfast.cli.demo.promises import Promise
from holdfast.cli.demo.prying import PRYING
from holdfast.cli.demo.stage import DemoFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import httpx2

    from holdfast.cli.demo.companies import Scene
    from holdfast.cli.demo.stage import Stage

_HINT = re.compile(r"[qh]|[rsl]:[0-9a-f-]{36}")
_GATE = "middle"
_QUIET_S = 0.5


async def while_it_speaks(
    stage: Stage, scene: Scene, admin_url: str, api_url: str, say: Callable[[str], None]
) -> list[Promise]:
    """Both ask again, and the model stops in the middle of a sentence: what is to be seen of it then, and by whom?"""
    say("Ann and Bob ask again, and the model stops in the middle of what it says to each.")
    async with await psycopg.AsyncConnection.connect(api_url, autocommit=True) as listener:
        await listener.execute("listen holdfast")
        for client, runs in scene.asking():
            runs.append((await ask(client, "Tell me of our plans at length.", wait_s=0)).json()["id"])
        await stage.until(lambda: stage.held(_GATE) == len(scene.tenants), "the model stops in its sentences", "model")
        with psycopg.connect(admin_url, autocommit=True) as admin:
            text = "select count(distinct tenant) from holdfast.live"
            await stage.until(
                lambda: admin.execute(text).fetchone() == (len(scene.tenants),), "live text is in the database"
            )
        anns = await _live_text(scene.ann, scene.anns_runs[-1])
        bobs = await _live_text(scene.bob, scene.bobs_runs[-1])
        in_database = await asyncio.to_thread(_live_rows, api_url, scene)
        stage.release(_GATE)
        told = [await _whole_stream(client, runs[-1]) for client, runs in scene.asking()]
        heard = [notice.payload async for notice in listener.notifies(timeout=_QUIET_S)]
    words = [hint for hint in heard if not _HINT.fullmatch(hint)]
    return [
        Promise(
            "live deltas: Ann and Bob each see what is being said to them, and nothing of the other's",
            "Acme" in anns
            and "Bolt" in bobs
            and not scene.of_acme(bobs + told[1])
            and not scene.of_bolt(anns + told[0]),
            f"'{anns.strip()} …' and '{bobs.strip()} …'",
        ),
        in_database,
        Promise(
            "notifications: whoever hears all of them hears ids, which lead nowhere, and no words",
            bool(heard) and not words,
            f"{len(heard)} heard, as {heard[-1] if heard else None}",
        ),
    ]


def _live_rows(api_url: str, scene: Scene) -> Promise:
    text = "select tenant from holdfast.live"
    with psycopg.connect(api_url, autocommit=True) as connection:
        seen = [str(tenant) for (tenant,) in in_scope(connection, scene.tenants["bolt"], text, [])]
        unscoped = in_scope(connection, None, text, [])
    return Promise(
        "live deltas: at the database, Bolt's scope has Bolt's, and no scope has none",
        set(seen) == {scene.tenants["bolt"]} and not unscoped,
        f"{len(seen)} rows and {len(unscoped)}",
    )


async def by_a_tool(scene: Scene, say: Callable[[str], None]) -> list[Promise]:
    """What Ann's agent reaches with the connection that its run hands to its tools."""
    say("An agent of Acme's pries, with the connection that its tools are given for rows of Acme's own.")
    say("(It is a scope against mistakes. Code that means to can set another tenant on it: see docs/own-rows.md.)")
    answer = await ask(scene.ann, f"Look up the plans of somebody else: {scene.tenants['bolt']}", task="pry")
    scene.anns_runs.append(answer.json()["id"])
    found: dict[str, str] = json.loads(answer.json()["output"]["value"])
    return [
        Promise(f"a tool's connection: it {what}", found[what] == "0 rows" or _refused(found[what]), found[what])
        for what, _ in PRYING
    ]


def _refused(answer: str) -> bool:
    return answer.startswith("refused: ") and ("permission denied" in answer or "row-level security" in answer)


async def by_logs(stage: Stage, scene: Scene, say: Callable[[str], None]) -> list[Promise]:
    """A tool fails, and its error tells what it was given. Then all that was logged, at its most talkative."""
    answer = await ask(scene.ann, "Read our plans aloud.")
    scene.anns_runs.append(answer.json()["id"])
    say(f"A tool of Ann's fails. She is told: {answer.json()['error']['message']['value']}")
    lines = stage.lines("worker", "api")
    telling = [line for line in lines if SAID.search(line)]
    return [
        Promise(
            "log lines: nothing that anybody said, or is called, and no key",
            bool(lines) and not telling,
            telling[0] if telling else f"{len(lines)} lines of the worker and the API, at level debug",
        )
    ]


async def _live_text(client: httpx2.AsyncClient, run: str) -> str:
    """What is being said to whoever follows the run, as far as it has come: two words and a half."""
    said = ""
    async for kind, item in _events(client, run):
        said += item["text"] if kind == "delta" and item["kind"] == "text" else ""
        if said.count(" ") > 1:
            return said
    raise DemoFailed("A run was to be followed while it spoke, and ended first.")


async def _whole_stream(client: httpx2.AsyncClient, run: str) -> str:
    """All that is told of a run until it ends."""
    return "".join([json.dumps(item) async for _, item in _events(client, run)])


async def _events(client: httpx2.AsyncClient, run: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    kind = ""
    async with client.stream("GET", f"/v1/runs/{run}/events") as answer:
        async for line in answer.aiter_lines():
            name, _, text = line.partition(": ")
            if name == "event":
                kind = text
            elif name == "data":
                yield kind, json.loads(text)

"""The attempts of `holdfast demo tenants` at what lists tell: counts, cursors, the order of rows, exports."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from holdfast.cli.demo.promises import Promise
from holdfast.service.pages import ListCursor

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.cli.demo.companies import Scene


async def by_lists(scene: Scene, say: Callable[[str], None]) -> list[Promise]:
    """What a list could tell of rows that it does not show."""
    say("Bob looks at lists: how much they count, where pages begin and end, in what order.")
    return [await _counts(scene), await _order(scene), await _cursors(scene), await _export(scene)]


async def _counts(scene: Scene) -> Promise:
    """Of one's own, as many as one has: every run of theirs that succeeds has one tool call."""
    runs = await _all_runs(scene)
    mine = [run for run in runs if run["state"] == "succeeded"]
    total = (await scene.bob.get("/v1/costs")).json()["total"]
    kept = {run["id"] for run in runs} == {*scene.bobs_runs} and total["tool_calls"] == len(mine)
    return Promise(
        "counts: Bob's runs, and the tool calls on his bill, are his own",
        kept,
        f"{len(runs)} runs, {total['tool_calls']} tool calls",
    )


async def _order(scene: Scene) -> Promise:
    """Page by page. Where others' rows are taken out after a page was cut, pages come short, and say how many."""
    pages: list[list[str]] = []
    cursor = None
    while cursor is not None or not pages:
        answer = (await scene.bob.get("/v1/runs", params={"limit": 1} | ({"cursor": cursor} if cursor else {}))).json()
        pages.append([run["id"] for run in answer["items"]])
        cursor = answer["next"]
    kept = pages == [[run] for run in scene.bobs_runs[::-1]]
    return Promise(
        "sort orders: page by page, Bob's runs are his in the order he began them, though Acme's lie between",
        kept,
        f"{len(pages)} pages of {len(pages[0])}",
    )


async def _cursors(scene: Scene) -> Promise:
    """A cursor that Ann was given, and one that nobody was: of the same moment, after a run that does not exist."""
    theirs = (await scene.ann.get("/v1/runs?limit=1")).json()["next"]
    place = ListCursor.parse(theirs)
    nobodys = str(ListCursor(place.at, uuid4()))
    answers = [(await scene.bob.get("/v1/runs", params={"cursor": cursor})).json() for cursor in (theirs, nobodys)]
    shown = [run["id"] for run in answers[0]["items"]]
    earlier = [run["id"] for run in await _all_runs(scene) if datetime.fromisoformat(run["created_at"]) < place.at]
    kept = answers[0] == answers[1] and shown == earlier != []
    return Promise(
        "cursors: one of Ann's shows Bob what one that nobody was given shows him, and that is his own",
        kept,
        f"{len(shown)} and {len(answers[1]['items'])} runs",
    )


async def _export(scene: Scene) -> Promise:
    """All that the database has of Bolt, as rows."""
    answer = await scene.clients["admin of bolt"].post("/v1/tenant/export", json={"key": secrets.token_hex(32)})
    lines = answer.text.splitlines()
    kept = all(run in answer.text for run in scene.bobs_runs) and not scene.of_acme(answer.text)
    return Promise("files: Bolt's export has all of Bob's runs, and nothing of Acme's", kept, f"{len(lines)} lines")


async def _all_runs(scene: Scene) -> list[dict[str, Any]]:
    return (await scene.bob.get("/v1/runs?limit=200")).json()["items"]

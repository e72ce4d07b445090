"""A call of Ann's that waits, those who may have a say, and links for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import httpx2

from support.holder import open_services
from support.parties import gathered


@asynccontextmanager
async def link_scene(api: str, database: Any, admin: Any, holder: Any) -> AsyncIterator[SimpleNamespace]:
    """Everybody. The administrator who made them is behind nothing, and the runs are Ann's."""
    async with gathered(api, database.api_url) as parties, open_services(database.api_url) as services:
        people, asking = {}, {}
        for name, *roles in (
            ("Ann", "user"),
            ("App", "approver"),
            ("Abe", "approver"),
            ("Ben", "admin"),
            ("Cy", "admin"),
        ):
            people[name], asking[name] = await parties.person(admin, name, *roles)
        async with httpx2.AsyncClient(base_url=api, timeout=60) as nobody:
            yield SimpleNamespace(
                parties=parties, services=services, people=people, asking=asking, nobody=nobody, holder=holder,
                admin=admin,
            )  # fmt: skip


async def asked(scene: Any, ask: str = "two approvers", args: Any = None, **more: Any) -> dict[str, Any]:
    """A task that asks this."""
    answer = await scene.asking["Ann"].post("/v1/tasks/support/runs", json={"input": "x"})
    assert answer.status_code == 202, answer.text
    held = await scene.holder.claim()
    task = await held.ask_person(args or {"order": 7}, ask=ask, **more)
    return (await scene.admin.get(f"/v1/approvals/{task}")).json()


async def link_for(scene: Any, task: Any, name: str, by: Any = None, **more: Any) -> str:
    """The path of a link by which this person can decide it."""
    answer = await (by or scene.admin).post(
        f"/v1/approvals/{task['id']}/links", json={"principal": scene.people[name], **more}
    )
    assert answer.status_code == 201, answer.text
    return urlsplit(answer.json()["url"]).path


async def state(scene: Any, task: Any) -> tuple[str, int]:
    """What has become of a task, and how many have agreed."""
    now = (await scene.admin.get(f"/v1/approvals/{task['id']}")).json()
    return now["state"], len(now["agreed"])

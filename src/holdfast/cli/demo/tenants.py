"""`holdfast demo tenants`: two companies, one agent, and every way by which one could see the other tried."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx2

from holdfast.cli.demo.attempts import at_the_database, by_http
from holdfast.cli.demo.promises import Promise
from holdfast.cli.demo.show import show
from holdfast.cli.demo.stage import DemoFailed
from holdfast.domain.ids import PLATFORM_TENANT
from holdfast.domain.principal import Who
from holdfast.domain.rights import Role, rights_of
from holdfast.observe.logs import set_up_logs
from holdfast.service.manage_keys import create_key
from holdfast.service.manage_principals import invite_principal
from holdfast.service.manage_tenants import create_tenant
from holdfast.wiring import Installation

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.cli.demo.show import Teller
    from holdfast.cli.demo.stage import Stage
    from holdfast.cli.exits import ExitCode
    from holdfast.service.services import Services

APP = "holdfast.cli.demo.tenants_app:app"
_OPERATOR = Who(PLATFORM_TENANT, "demo", rights_of([Role.PLATFORM, Role.ADMIN]))


def play(*, keep: bool, as_json: bool) -> ExitCode:
    """Try every way by which one company could see another, and print what came back."""
    return show(_play, keep=keep, as_json=as_json)


@dataclass(frozen=True, slots=True)
class Scene:
    """Two companies, their people, and what each has."""

    acme: str
    """Acme's tenant."""
    bolt: str
    admin: httpx2.AsyncClient
    """Acme's administrator."""
    ann: httpx2.AsyncClient
    """A user of Acme's."""
    ben: httpx2.AsyncClient
    """Another."""
    bob: httpx2.AsyncClient
    """A user of Bolt's."""
    operator: httpx2.AsyncClient
    """Somebody who manages tenants."""
    anns_run: str
    bobs_run: str
    session: str
    """Both began a conversation under this id."""
    anns_key: str


async def _play(stage: Stage, teller: Teller) -> list[Promise]:
    stage.prepare("http://127.0.0.1:9/no-bank")
    set_up_logs("warning")
    try:
        stage.start_model("tenants.yaml")
        async with AsyncExitStack() as stack:
            installation = await stack.enter_async_context(Installation.open(stage.settings))
            await stage.know_model()
            stage.start_worker("worker", APP)
            url = await stage.start_api(APP)
            services = await stack.enter_async_context(installation.api())
            scene = await _set(services, url, stack, teller.say)
            promises = await by_http(scene, teller.say)
            promises += await asyncio.to_thread(at_the_database, installation.url("api"), scene, teller.say)
            return promises
    finally:
        stage.end()


async def _set(services: Services, url: str, stack: AsyncExitStack, say: Callable[[str], None]) -> Scene:
    async def client(secret: str) -> httpx2.AsyncClient:
        headers = {"Authorization": f"Bearer {secret}"}
        return await stack.enter_async_context(httpx2.AsyncClient(base_url=url, headers=headers, timeout=60))

    tenants: dict[str, str] = {}
    keys: dict[str, str] = {}
    for name, people in (("acme", ("Ann", "Ben")), ("bolt", ("Bob",))):
        made = await create_tenant(services, _OPERATOR, name)
        tenants[name] = str(made.id)
        first, keys[f"admin of {name}"] = made.founded()
        admin = Who(made.id, str(first.id), rights_of([Role.ADMIN]))
        for person in people:
            principal = await invite_principal(services, admin, person)
            keys[person] = (await create_key(services, admin, principal=principal.id)).once()
    operator = await invite_principal(services, _OPERATOR, "Olga", roles=[Role.PLATFORM])
    keys["Olga"] = (await create_key(services, _OPERATOR, principal=operator.id)).once()
    say("Two companies, Acme (Ann, Ben) and Bolt (Bob), on one installation, with one agent. Olga manages tenants.")

    ann, bob, session = await client(keys["Ann"]), await client(keys["Bob"]), str(uuid4())
    runs = {name: await _ask(one, session) for name, one in (("Ann", ann), ("Bob", bob))}
    say("Ann and Bob ask the same, under the same session id and idempotency key.")
    for name, run in runs.items():
        say(f"{name} is told: {run['output']}")
    return Scene(
        acme=tenants["acme"],
        bolt=tenants["bolt"],
        admin=await client(keys["admin of acme"]),
        ann=ann,
        ben=await client(keys["Ben"]),
        bob=bob,
        operator=await client(keys["Olga"]),
        anns_run=runs["Ann"]["id"],
        bobs_run=runs["Bob"]["id"],
        session=session,
        anns_key=keys["Ann"],
    )


async def _ask(client: httpx2.AsyncClient, session: str) -> dict[str, Any]:
    answer = await client.post(
        "/v1/tasks/plans/runs?wait=60",
        json={"input": "What are our plans?", "session": session},
        headers={"Idempotency-Key": "the-same"},
    )
    view = answer.json()
    if answer.status_code != 200 or view["state"] != "succeeded":  # noqa: PLR2004 - HTTP's own number
        raise DemoFailed(f"A run was to succeed. It answered {answer.status_code}: {answer.text}")
    return {"id": view["id"], "output": view["output"]["value"]}

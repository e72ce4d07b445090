"""Two companies on one installation, for `holdfast demo tenants`: their people, their keys, and what each asked."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx2
import psycopg

from holdfast.cli.demo.stage import PATIENCE_S, DemoFailed
from holdfast.domain.ids import PLATFORM_TENANT
from holdfast.domain.principal import Who
from holdfast.domain.rights import Role, rights_of
from holdfast.service.manage_keys import create_key
from holdfast.service.manage_principals import invite_principal
from holdfast.service.manage_tenants import create_tenant

if TYPE_CHECKING:
    from holdfast.service.services import Services

OUR_PLANS, THE_SAME = "What are our plans?", "the-same"
_OPERATOR = Who(PLATFORM_TENANT, "demo", rights_of([Role.PLATFORM, Role.ADMIN]))
_PLANS = {"acme": "Acme buys Cogs", "bolt": "Bolt moves to Rome"}
_PEOPLE = {"acme": ("Ann", "Ben"), "bolt": ("Bob",)}
SAID = re.compile(r"\b(Ann|Ben|Bob|Olga|Acme|Bolt)\b|hf_")
"""What people of this demo are called, what every plan begins with, and how a key begins."""


@dataclass(slots=True)
class Scene:
    """Two companies, who asks for them, and what they have asked so far."""

    tenants: dict[str, str]
    """The companies' tenants, by name."""
    clients: dict[str, httpx2.AsyncClient]
    """By who asks: Ann and Ben of Acme, Bob of Bolt, Olga of the platform, and each company's administrator."""
    keys: dict[str, str]
    session: str = field(default_factory=lambda: str(uuid4()))
    """Ann and Bob both began a conversation under this id."""
    anns_session: str = field(default_factory=lambda: str(uuid4()))
    """Only Ann has this one."""
    anns_idempotency_key: str = field(default_factory=lambda: str(uuid4()))
    """Only Ann used this one."""
    anns_runs: list[str] = field(default_factory=list[str])
    """In the order in which they began."""
    bobs_runs: list[str] = field(default_factory=list[str])

    @property
    def ann(self) -> httpx2.AsyncClient:
        """A user of Acme's."""
        return self.clients["Ann"]

    @property
    def bob(self) -> httpx2.AsyncClient:
        """A user of Bolt's."""
        return self.clients["Bob"]

    def asking(self) -> list[tuple[httpx2.AsyncClient, list[str]]]:
        """Ann and Bob, and what each asked."""
        return [(self.ann, self.anns_runs), (self.bob, self.bobs_runs)]

    def of_acme(self, text: str) -> bool:
        """Whether this tells anything of Acme's: a word of its plans, an id, a key."""
        return any(mark in text for mark in ("Acme", self.tenants["acme"], *self.anns_runs, self.keys["Ann"]))

    def of_bolt(self, text: str) -> bool:
        """The same of Bolt's."""
        return any(mark in text for mark in ("Bolt", self.tenants["bolt"], *self.bobs_runs, self.keys["Bob"]))


async def set_scene(services: Services, url: str, admin_url: str, stack: AsyncExitStack) -> Scene:
    """Make both companies, and have Ann and Bob ask the same.

    Raises:
        DemoFailed: a run of theirs did not succeed.
    """
    tenants: dict[str, str] = {}
    keys: dict[str, str] = {}
    for name, people in _PEOPLE.items():
        made = await create_tenant(services, _OPERATOR, name)
        tenants[name] = str(made.id)
        first, keys[f"admin of {name}"] = made.founded()
        admin = Who(made.id, str(first.id), rights_of([Role.ADMIN]))
        for person in people:
            principal = await invite_principal(services, admin, person)
            keys[person] = (await create_key(services, admin, principal=principal.id)).once()
    operator = await invite_principal(services, _OPERATOR, "Olga", roles=[Role.PLATFORM])
    keys["Olga"] = (await create_key(services, _OPERATOR, principal=operator.id)).once()
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute((files("holdfast.cli.demo") / "tenants.sql").read_bytes())
        for name, plan in _PLANS.items():
            connection.execute("insert into plans values (%s, %s)", [tenants[name], plan])

    clients = {
        name: httpx2.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=PATIENCE_S)
        for name, key in keys.items()
    }
    for client in clients.values():
        await stack.enter_async_context(client)
    scene = Scene(tenants, clients, keys)
    for client, runs in scene.asking():
        runs.append(await succeeded(client, OUR_PLANS, session=scene.session, idempotency_key=THE_SAME))
    alone = scene.anns_idempotency_key
    scene.anns_runs.append(await succeeded(scene.ann, OUR_PLANS, session=scene.anns_session, idempotency_key=alone))
    scene.bobs_runs.append(await succeeded(scene.bob, OUR_PLANS))
    return scene


async def ask(
    client: httpx2.AsyncClient,
    text: str,
    *,
    task: str = "plans",
    session: str | None = None,
    idempotency_key: str | None = None,
    wait_s: int = 60,
) -> httpx2.Response:
    """Start a run; the answer, once the run has ended or so many seconds have passed."""
    body: dict[str, Any] = {"input": text} | ({"session": session} if session else {})
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    return await client.post(f"/v1/tasks/{task}/runs?wait={wait_s}", json=body, headers=headers)


async def succeeded(
    client: httpx2.AsyncClient, text: str, *, session: str | None = None, idempotency_key: str | None = None
) -> str:
    """Start a run that has to succeed; its id.

    Raises:
        DemoFailed: it did not.
    """
    answer = await ask(client, text, session=session, idempotency_key=idempotency_key)
    view = answer.json()
    if answer.status_code != 200 or view["state"] != "succeeded":  # noqa: PLR2004 - HTTP's own number
        raise DemoFailed(f"A run was to succeed. It answered {answer.status_code}: {answer.text}")
    return view["id"]

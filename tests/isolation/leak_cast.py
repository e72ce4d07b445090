"""Two tenants of one shape, alike in everything a caller can choose, with somebody of every kind in each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from uuid import UUID, uuid4

import httpx2
from leak_model import Key, Person
from leak_world import World
from uuid_utils.compat import uuid7

from holdfast.domain.ids import PLATFORM_TENANT
from holdfast.domain.principal import PrincipalKind
from holdfast.domain.rights import Role, Scope
from holdfast.identity.api_keys import ApiKey
from holdfast.store.keys import create_key, end_key
from holdfast.store.pool import Database
from holdfast.store.principals import create_principal, set_disabled
from holdfast.store.sessions import create_session
from support.holder import HeldRun, Holder, open_holder

CAST: dict[str, tuple[str, ...]] = {
    "Ada": ("admin",),
    "Ann": ("user",),
    "Ben": ("user",),
    "App": ("approver",),
    "Ops": ("operator",),
    "Aud": ("auditor",),
    "Mia": ("user", "approver"),
    "Svc": ("user",),
    "Nil": (),
    "Lou": ("user",),  # Lou and Max are given and lose roles, and are disabled, on the way
    "Max": ("operator", "auditor"),
    "Gone": ("admin",),
}
LOOSE = {"Lou", "Max"}
STARTERS = ("Ada", "Ann", "Ben", "Mia", "Svc")
STATES = ("queued", "running", "approval", "question", "in_doubt", "succeeded", "failed", "cancelled")
NARROW = ("runs:read", "keys:write", "approvals:decide", "runs:start", "principals:write", "sessions:read")
LEASE_S = 24 * 3600.0
"""Longer than the longest campaign: its runs stay as they were driven."""
PAST = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass
class Cast:
    """Makes the world, and goes on driving its runs."""

    api: str
    db: Database
    holder: Holder
    world: World
    sessions: list[str] = field(default_factory=list)

    async def tenant(self, letter: str, name: str) -> None:
        id_ = PLATFORM_TENANT if letter == "p" else uuid7()
        self.world.tenants[letter] = str(id_)
        if letter != "p":
            async with self.db.tenant(PLATFORM_TENANT) as connection:
                await connection.execute("select holdfast.create_tenant(%s, %s, 'test')", [id_, name])
        cast = {"Pat": ("platform",), "Pia": ("platform", "admin")} if letter == "p" else CAST
        for person, roles in cast.items():
            await self.person(letter, id_, person, roles)

    async def person(self, letter: str, tenant: UUID, name: str, roles: tuple[str, ...]) -> None:
        person = Person(letter, str(uuid7()), name, set(roles), core=name not in LOOSE)
        kind = PrincipalKind.SERVICE if name == "Svc" else PrincipalKind.PERSON
        await create_principal(
            self.db, tenant, UUID(person.id), kind=kind, name=name, roles=[Role(role) for role in roles], by="test",
            email=f"{person.mark}mail@example.com",
        )  # fmt: skip
        self.world.people.append(person)
        self.world.add("principal", person.id, letter, person)
        await self.key(tenant, person)
        await self.key(tenant, person, scopes=frozenset(NARROW[:3]))
        await self.key(tenant, person, scopes=frozenset(NARROW[3:]))
        await self.key(tenant, person, ends="revoked")
        await self.key(tenant, person, ends="expired")
        if name == "Gone":
            assert await set_disabled(self.db, tenant, UUID(person.id), disabled=True, by="test") == "changed"
            person.disabled = True

    async def key(
        self, tenant: UUID, person: Person, scopes: frozenset[str] | None = None, ends: str = ""
    ) -> None:  # fmt: skip
        made, id_ = ApiKey.generate(tenant), uuid7()
        await create_key(
            self.db, tenant, id_, principal=UUID(person.id), name=f"{person.mark}key", digest=made.digest,
            scopes=None if scopes is None else [Scope(scope) for scope in scopes],
            expires_at=PAST if ends == "expired" else None, by="test",
        )  # fmt: skip
        if ends == "revoked":
            await end_key(self.db, tenant, id_, by="test")
        self.world.keys.append(Key(person, made.text, str(id_), scopes, bool(ends), ends))
        self.world.add("key", str(id_), person.tenant, person)

    def strangers(self) -> None:
        """Those who are nobody: without a credential, and with what is none."""
        for text in (None, "guess", "hf_", "hf_é", "eyJhbGciOiJub25lIn0.e30.", ApiKey.generate(uuid7()).text):
            self.world.keys.append(Key(None, text, why="stranger"))
        self.world.keys.extend(
            Key(None, ApiKey.generate(UUID(id_)).text, why="stranger") for id_ in self.world.tenants.values()
        )

    async def runs(self, letter: str) -> None:
        """A run in each state for each who starts some; the queued ones last, for a claim takes what is queued."""
        people = {one.name: one for one in self.world.people if one.tenant == letter}
        for number, name in enumerate(STARTERS):
            session = self.sessions[(number + (letter == "b")) % len(STARTERS)]  # the same in both, but another's
            self.world.add("session", session, letter, people[name])
            await self.talk(people[name])
            for state in STATES[1:]:
                await self.run(people[name], state, session)
        for name in STARTERS:
            await self.run(people[name], "queued", None)

    async def talk(self, person: Person) -> None:
        tenant, talk = UUID(self.world.tenants[person.tenant]), uuid7()
        await create_session(self.db, tenant, talk, principal=person.id, subject=person.id)
        self.world.add("talk", str(talk), person.tenant, person)

    async def run(self, person: Person, state: str, session: str | None) -> None:
        [key] = [one for one in self.world.keys if one.owner is person and one.scopes is None and not one.ended]
        given = {"input": f"{person.mark}input", "labels": {"channel": f"{person.mark}label"}}
        if session is not None:
            given["session"] = session
        headers = {"Authorization": f"Bearer {key.secret}"}
        async with httpx2.AsyncClient(base_url=self.api, timeout=60, headers=headers) as client:
            answer = await client.post("/v1/tasks/support/runs", json=given)
        assert answer.status_code == 202, answer.text
        self.world.add("run", answer.json()["id"], person.tenant, person)
        if state != "queued":
            await self.drive(state)

    async def drive(self, state: str) -> None:
        """Claim what is queued and bring it to a state, with content that carries its principal's mark."""
        held = await self.holder.claim()
        thing = self.world.owners[str(held.claim.run)]
        assert thing.owner is not None
        if held.claim.seq > 1 or held.claim.inbox_seq:
            return  # it was woken: it stays running
        mark = thing.owner.mark
        await held.claimed()
        asked = await held.ask_model()
        if state == "running":
            await self.speak(held, asked, f"{mark}live")
            self.world.speaking.append(thing)
            return
        await held.respond({"part_kind": "text", "content": f"{mark}answer"})
        if state in {"approval", "question", "in_doubt"}:
            id_ = await held.ask_person({"text": f"{mark}args"}, kind=state)
            self.world.add("approval", str(id_), thing.tenant, thing.owner)
        elif state == "failed":
            await held.fail(message=f"{mark}error")
        elif state == "cancelled":
            await held.cancelled()
        else:
            await held.start_tool(args={"text": f"{mark}args"})
            await held.finish_tool(f"{mark}result")
            await held.succeed(f"{mark}output")

    async def speak(self, held: HeldRun, asked: int, text: str) -> None:
        """Live text, there for all to read when this returns: no row may come to be while a round is watched."""
        live = held.live()
        live.begin(asked, 1)
        live.delta(0, "text", text)
        while True:
            async with self.db.tenant(held.claim.tenant) as connection:
                sql = "select 1 from holdfast.live where run = %s"
                if await (await connection.execute(sql, [held.claim.run])).fetchone():
                    return
            await asyncio.sleep(0.002)

    async def more(self, r: Random, count: int) -> None:
        """Let some of the runs that were started meanwhile go on."""
        for _ in range(count):
            await self.drive(r.choice(STATES[1:]))


@asynccontextmanager
async def cast_on(api: str, database, r: Random) -> AsyncIterator[Cast]:
    async with (
        Database.open(database.api_url, role="api", max_size=2) as db,
        open_holder(database.worker_url, lease_s=LEASE_S) as holder,
    ):
        cast = Cast(api, db, holder, World({}), [str(uuid4()) for _ in STARTERS])
        for letter, name in (("a", "acme"), ("b", "bolt"), ("p", "platform")):
            await cast.tenant(letter, name)
        cast.strangers()
        for letter in "ab":
            await cast.runs(letter)
        yield cast

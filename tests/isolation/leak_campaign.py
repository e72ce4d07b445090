"""The campaign: rounds in which one tenant's people ask for everything and the other's rows stay as they are."""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

import leak_approvals  # noqa: F401 - these add their routes to the generators
import leak_budgets  # noqa: F401
import leak_halts  # noqa: F401
import leak_sessions  # noqa: F401
import psycopg
from leak_cast import Cast
from leak_model import Key, Thing
from leak_routes import GENERATORS, SSE, anything
from leak_rows import ids_of, rows_of
from leak_wire import Answer, Wire
from leak_world import Plan

WIRES = 6
BATCH = 60
ROUND = 1_000
ROUNDS = 50
REFUSED_LESS = 0.95
"""How much less often than by chance somebody asks who is refused whatever they ask for."""
WEIGHTS = {
    "GET /v1/runs": 2.0,
    "GET /v1/runs/{run}": 3.0,
    "GET /v1/runs/{run}/events": 3.0,
    "POST /v1/tenants": 0.2,
    "DELETE /v1/tenants/{name}": 0.2,
    "POST /v1/tenant/export": 0.02,
    "GET /healthz": 0.1,
    "GET /readyz": 0.1,
}
CONTENT = ("input", "label", "live", "answer", "args", "result", "output", "error", "key", "mail")
"""What the cast puts into its runs, keys and principals."""
ECHOED_LEAST = 12
"""Characters of a text that is taken out before judging because the request held it. Without a shorter one, as "1", no
id could be recognised any more."""
_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_INSTANCE = re.compile(rb'"instance":"[^"]*"')
_REFUSED = (401, 403, 404)


class Leak(AssertionError):
    """An answer that says, or a row that shows, more than it may."""


@dataclass
class Campaign:
    """Asks, and judges every answer."""

    cast: Cast
    port: int
    admin_url: str
    r: Random
    counts: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    shown: Counter[str] = field(default_factory=Counter)
    """Answers that held this kind of one's own content: proof that there was something to leak."""
    slowest: dict[str, float] = field(default_factory=dict)
    """Seconds until an answer was read, the most of each route."""
    twins: int = 0
    _due: list[str] = field(default_factory=lambda: list(GENERATORS))
    """Each route once, before chance decides: the rare ones too."""
    _sources: Any = field(default_factory=lambda: itertools.count(1))
    _refusals: dict[str, Answer] = field(default_factory=dict)

    async def run(self, requests: int, routes: list[str]) -> None:
        missing = sorted(set(routes) - GENERATORS.keys())
        assert not missing, f"Routes for which tests/isolation/leak_routes.py makes no requests: {', '.join(missing)}"
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            length = max(ROUND, requests // ROUNDS)  # what is compared after each round grows with all of them
            for number in itertools.count():
                if self.counts.total() >= requests:
                    return
                acting, other = "ab"[number % 2], "ba"[number % 2]
                self._register(connection)
                before = rows_of(connection, self.cast.world.tenants[other])
                await self._round(acting, min(length, requests - self.counts.total()))
                after = rows_of(connection, self.cast.world.tenants[other])
                if before != after:
                    changed = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
                    raise Leak(f"Requests of tenant {acting} and of strangers changed rows of {other}: {changed}")
                await self.cast.more(self.r, 4)

    def _register(self, connection: psycopg.Connection[Any]) -> None:
        """Know every id there is, also of what came to be without the campaign's doing."""
        for letter, tenant in self.cast.world.tenants.items():
            for id_, (kind, owner) in ids_of(connection, tenant).items():
                if id_ not in self.cast.world.owners:
                    self.cast.world.owners[id_] = Thing(kind, id_, letter, self.cast.world.person(letter, owner))

    async def _round(self, acting: str, requests: int) -> None:
        wires = [Wire(self.port, f"127.0.0.{2 + number}") for number in range(WIRES)]
        asking = [one for one in self.cast.world.keys if one.owner is None or one.owner.tenant in {acting, "p"}]
        try:
            until = self.counts.total() + requests
            await self._listen(wires[0], acting)
            while self.counts.total() < until:
                await self._batch(wires, asking)
        finally:
            for wire in wires:
                await wire.close()

    async def _listen(self, wire: Wire, acting: str) -> None:
        """One of those whose runs speak listens: chance alone may come when all have fallen silent."""
        world = self.cast.world
        spoken = [thing for thing in world.speaking if thing.tenant == acting][-1:]
        for thing in spoken:
            [key] = [one for one in world.keys if one.owner is thing.owner and one.scopes is None and not one.ended]
            target = f"/v1/runs/{thing.id}/events"
            await self._one(
                wire, world.to(key, "GET /v1/runs/{run}/events", "runs:read", target, headers=SSE, live=True)
            )

    async def _batch(self, wires: list[Wire], asking: list[Key]) -> None:
        """Some requests at once; then, alone, one that changes what others may."""
        plans: list[Plan] = []
        while len(plans) < BATCH:
            plan = self._plan(self.r.choice(asking))
            if plan.expected in {401, 403} and self.r.random() < REFUSED_LESS:
                continue
            plans.append(plan)
            if self._due and plan.route == self._due[-1]:
                self._due.pop()
            if plan.alone:
                break
        last = plans.pop() if plans[-1].alone else None
        await self._together(wires, plans)
        if last is not None:
            await self._one(wires[0], last)

    def _plan(self, who: Key) -> Plan:
        if not self._due and self.r.random() < 0.02:
            return anything(self.cast.world, self.r, who)
        names = list(GENERATORS)
        [name] = self._due[-1:] or self.r.choices(names, [WEIGHTS.get(name, 1.0) for name in names])
        return GENERATORS[name](self.cast.world, self.r, who)

    async def _together(self, wires: list[Wire], plans: list[Plan]) -> None:
        todo = iter(plans)

        async def work(wire: Wire) -> None:
            for plan in todo:
                await self._one(wire, plan)

        try:
            async with asyncio.TaskGroup() as group:
                for wire in wires:
                    group.create_task(work(wire))
        except ExceptionGroup as found:
            raise found.exceptions[0] from None

    async def _one(self, wire: Wire, plan: Plan) -> None:
        if not plan.who.accepted:
            wire = Wire(self.port, self._source())  # who is refused too often from one place has to wait
        try:
            answer = await self._ask(wire, plan, plan.sent)
            self.judge(plan, answer)
            if plan.twin is not None:
                self.twins += 1
                self.compare(plan, answer, await self._ask(wire, plan, plan.twin))
        finally:
            if not plan.who.accepted:
                await wire.close()
        if answer.status < 300 and plan.then is not None:
            plan.then(answer)
        self.cast.world.remember(answer)

    async def _ask(self, wire: Wire, plan: Plan, sent: Any) -> Answer:
        began = time.monotonic()
        answer = await wire.ask(sent, plan.who.secret)
        self.slowest[plan.route] = max(time.monotonic() - began, self.slowest.get(plan.route, 0))
        self.counts[plan.route] += 1
        self.statuses[answer.status] += 1
        return answer

    def _source(self) -> str:
        number = next(self._sources)
        return f"127.{1 + (number >> 16) % 250}.{(number >> 8) & 255}.{number & 255 or 1}"

    def judge(self, plan: Plan, answer: Answer) -> None:
        """Refuse an answer that is not the one the oracle expects, or that says what it may not."""
        if answer.status == 429 or answer.status >= 500:
            raise Leak(_told(plan, answer, "nobody should be answered so"))
        fits = answer.status not in _REFUSED if plan.expected == 200 else answer.status == plan.expected
        if not fits and answer.status not in plan.also:
            raise Leak(_told(plan, answer, f"expected {plan.expected}"))
        raw = _without(answer.raw, plan.said)
        for mark in self.cast.world.foreign_marks(plan):
            if mark in raw:
                raise Leak(_told(plan, answer, f"it holds {mark.decode()}"))
        for id_ in set(_UUID.findall(raw)):
            if not self.cast.world.may_name(plan, id_.decode()):
                raise Leak(_told(plan, answer, f"it names {id_.decode()}"))
        own = plan.who.owner
        if own is not None and own.mark.encode() in raw:
            self.shown.update(kind for kind in CONTENT if f"{own.mark}{kind}".encode() in raw)
        if answer.status == 401:
            self._alike(plan, answer)

    def _alike(self, plan: Plan, answer: Answer) -> None:
        """Everybody who is not let in is told the same, byte for byte but for the path, and so its length."""
        body = _INSTANCE.sub(b"", answer.body)
        headers = tuple(pair for pair in answer.headers if pair[0] != b"content-length")
        first = self._refusals.setdefault("", Answer(401, headers, body))
        if (first.headers, first.body) != (headers, body):
            raise Leak(_told(plan, answer, f"another refusal was {first.raw!r}"))

    def compare(self, plan: Plan, answer: Answer, absent: Answer) -> None:
        """What is another's is answered as what nobody has: the same bytes, but for the id that was asked for."""
        foreign, nobody = (id_.encode() for id_ in plan.ids)
        same = absent.raw.replace(nobody, foreign) == answer.raw and absent.status == answer.status
        if not same:
            raise Leak(_told(plan, answer, f"what nobody has was answered {absent.status} {absent.raw!r}"))

    def report(self) -> str:
        """Counts by route."""
        lines = [f"  {count:>9,}  {route}" for route, count in sorted(self.counts.items())]
        statuses = ", ".join(f"{status}: {count:,}" for status, count in sorted(self.statuses.items()))
        total = f"{self.counts.total():,} requests, {self.twins:,} of them compared with what nobody has"
        slowest = sorted(self.slowest.items(), key=lambda one: -one[1])[:5]
        slow = "slowest: " + ", ".join(f"{route} {took_s:.1f} s" for route, took_s in slowest)
        return "\n".join([f"\n{total}; {statuses}", f"of one's own: {dict(self.shown)}", slow, *lines])


def _without(raw: bytes, said: tuple[str, ...]) -> bytes:
    """An answer without what the request said itself."""
    for text in said:
        if len(text) >= ECHOED_LEAST:
            raw = raw.replace(text.encode(), b"")
    return raw


def _told(plan: Plan, answer: Answer, why: str) -> str:
    owner = plan.who.owner
    who = f"{owner.name} of {owner.tenant} {sorted(owner.roles)}" if owner else "a stranger"
    return (
        f"{plan.sent.method} {plan.sent.target} {plan.sent.body or b''!r} by {who}"
        f" (key narrowed to {sorted(plan.who.scopes) if plan.who.scopes is not None else 'nothing'} {plan.who.why}):"
        f" {answer.status}, {why}\n{answer.raw[:1500]!r}"
    )

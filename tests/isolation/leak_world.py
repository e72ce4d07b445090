"""What there is: keys of everybody, and things by kind; and how a request draws from them."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID

from leak_model import Key, Person, Thing, mark_of, sees, verdict
from leak_wire import Answer, Sent

KINDS = ("run", "approval", "key", "principal", "session", "talk", "halt", "budget")
"""Sessions whose id both tenants chose are `session`; those of one tenant only are `talk`."""
NONSENSE = ("not-an-id", "0", "%00", "null", "00000000-0000-0000-0000-000000000000")


@dataclass
class Plan:
    """One request, and what has to come of it."""

    route: str
    who: Key
    sent: Sent
    expected: int
    said: tuple[str, ...] = ()
    """Texts that the request holds and the answer may echo."""
    twin: Sent | None = None
    """The same for what exists for nobody: the answers have to be the same, but for the id."""
    ids: tuple[str, str] = ("", "")
    """The id asked for and the absent one."""
    reach: str = "tenant"
    """How far the scope reaches: 'own' lets nothing of others appear."""
    then: Any = None
    """Called with an answer that says it was done."""
    also: tuple[int, ...] = ()
    """Statuses that are right too, where what is asked cannot know."""
    alone: bool = False
    """Whether it changes what others may."""


@dataclass
class World:
    """Everything the campaign knows of."""

    tenants: dict[str, str]
    """Id by letter."""
    people: list[Person] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
    things: dict[str, dict[str, list[Thing]]] = field(
        default_factory=lambda: {kind: defaultdict(list) for kind in KINDS}
    )
    owners: dict[str, Thing] = field(default_factory=dict)
    speaking: list[Thing] = field(default_factory=list)
    """Runs with live text, the latest last: it is there for a while only."""
    """Things by id, but for ids that both tenants chose."""
    spare: list[str] = field(default_factory=list)
    """Names of tenants that the platform made on the way, for it to suspend and delete."""
    cursors: list[str] = field(default_factory=list)

    def add(self, kind: str, id_: str, tenant: str, owner: Person | None = None, **more: str) -> Thing:
        known = self.of_tenant(kind, id_, tenant) if kind == "session" else self.owners.get(id_)
        if known is not None and known.tenant == tenant and known in self.things[kind][tenant]:
            return known
        thing = Thing(kind, id_, tenant, owner, more)
        self.things[kind][tenant].append(thing)
        if kind != "session":
            self.owners[id_] = thing
        return thing

    def person(self, tenant: str, id_: str) -> Person | None:
        return next((one for one in self.people if one.id == id_ and one.tenant == tenant), None)

    def of_tenant(self, kind: str, id_: str, tenant: str) -> Thing | None:
        """What a tenant has of this kind by this id."""
        return next((one for one in self.things[kind][tenant] if one.id == id_), None)

    def absent(self, r: Random) -> str:
        """An id that nothing has."""
        return str(UUID(int=r.getrandbits(128), version=4))

    def draw(self, r: Random, kind: str, who: Key) -> Thing | None:
        """Own, another principal's, another tenant's, or None for an id that nothing has."""
        own = who.owner.tenant if who.owner else r.choice("ab")
        luck = r.random()
        if luck < 0.12:
            return None
        tenant = own if luck < 0.62 and self.things[kind][own] else r.choice([one for one in "ab" if one != own])
        pool = self.things[kind][tenant]
        if luck < 0.35 and (mine := [one for one in pool[-400:] if one.owner is who.owner]):
            return r.choice(mine)
        return r.choice(pool)

    def on(
        self, r: Random, who: Key, route: str, scope: str, kind: str, *, thing: Thing | str | None = "", **more: Any
    ) -> Plan:
        """A request for one thing, named in the path."""
        found = self.draw(r, kind, who) if isinstance(thing, str) else thing
        method, _, template = route.partition(" ")
        absent = self.absent(r)
        id_ = r.choice([absent, *NONSENSE]) if found is None else found.id
        keywords = {name: more.pop(name) for name in ("headers", "body", "live") if name in more}
        query = more.pop("query", "")

        def sent(id_: str) -> Sent:
            return Sent(method, template.replace("{id}", id_) + query, **keywords)

        hidden = found is not None and not sees(who, scope, found)
        return Plan(
            route,
            who,
            sent(id_),
            verdict(who, scope, found),
            said=(id_, *more.pop("said", ())),
            twin=sent(absent) if hidden else None,
            ids=(id_, absent),
            reach=who.rights.get(scope, "own"),
            **more,
        )

    def to(self, who: Key, route: str, scope: str | None, target: str, **more: Any) -> Plan:
        """A request that names no one thing."""
        keywords = {name: more.pop(name) for name in ("headers", "body", "live") if name in more}
        expected = more.pop("expected", None) or verdict(who, scope)
        reach = "own" if scope is None else who.rights.get(scope, "own")
        return Plan(route, who, Sent(route.split(maxsplit=1)[0], target, **keywords), expected, reach=reach, **more)

    def foreign_marks(self, plan: Plan) -> list[bytes]:
        """What may not be in an answer to whoever asks."""
        owner = plan.who.owner
        marks = [mark_of(letter) for letter in self.tenants if owner is None or letter != owner.tenant]
        if owner is None or owner.tenant != "p":
            others = [id_ for letter, id_ in self.tenants.items() if owner is None or letter != owner.tenant]
            marks += [*others, *(id_.replace("-", "") for id_ in others)]
        if owner is not None and plan.reach == "own":
            marks += [one.mark for one in self.people if one.tenant == owner.tenant and one is not owner]
        return [mark.encode() for mark in marks]

    def may_name(self, plan: Plan, id_: str) -> bool:
        """Whether an answer may name this id. Who decided and who invited whom may be named within a tenant."""
        thing, owner = self.owners.get(id_), plan.who.owner
        if thing is None:
            return True
        if owner is None or thing.tenant != owner.tenant:
            return False
        return plan.reach == "tenant" or thing.kind == "principal" or thing.owner is owner

    def remember(self, answer: Answer) -> None:
        """Keep a cursor for anybody to try."""
        if answer.status == 200 and b'"next":"' in answer.body and len(self.cursors) < 500:
            self.cursors.append(answer.json()["next"])


def body(value: Any) -> bytes:
    return json.dumps(value).encode()


def tainted(who: Key, text: str) -> str:
    return f"{who.owner.mark if who.owner else ''}{text}"


def perhaps_again(r: Random, *, expected: int = 200) -> dict[str, Any]:
    """An idempotency key, sometimes: of few, so that it comes again, with the same request or another."""
    return {"Idempotency-Key": f"idem-{r.randrange(6)}"} if expected == 200 and r.random() < 0.3 else {}

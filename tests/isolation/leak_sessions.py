"""Requests about sessions. Callers choose their ids: one may be a session in both tenants, of different people."""

from __future__ import annotations

from random import Random
from typing import Any

from leak_model import Key, Thing, sees, verdict
from leak_routes import body, listing, named, route, tainted
from leak_wire import Answer
from leak_world import Plan, World

listing("GET /v1/sessions", "sessions:read")
KEPT = 5
"""The first sessions of each tenant, in which the cast's runs are, are not deleted."""


def drawn(w: World, r: Random, who: Key) -> Thing | None:
    """A session: where one's own tenant has one of this id, that one."""
    found = w.draw(r, "session", who)
    return found and (w.of_tenant("session", found.id, who.owner.tenant if who.owner else "") or found)


def on_session(w: World, r: Random, who: Key, name: str, scope: str, **more: Any) -> Plan:
    thing = more.pop("thing") if "thing" in more else drawn(w, r, who)
    return named(w, r, who, name, scope, "session", thing=thing, **more)


@route("POST /v1/sessions")
def post_session(w: World, r: Random, who: Key) -> Plan:
    """With an id that another of one's tenant has: there is none. With one that only another tenant has: one's own."""
    name, scope, owner = "POST /v1/sessions", "sessions:write", who.owner
    thing = drawn(w, r, who) if r.random() < 0.6 else None
    expected = verdict(who, scope)
    if expected == 200 and thing is not None and owner is not None and thing.tenant == owner.tenant:
        expected = 200 if thing.owner is owner else 404
    shared = thing is not None and owner is not None and thing.tenant != owner.tenant

    def done(answer: Answer) -> None:
        assert owner is not None
        id_ = answer.json()["id"]
        if thing is None:
            w.owners[id_] = Thing("session", id_, owner.tenant, owner)
        else:
            w.owners.pop(id_, None)  # both have it from now on
        w.add("session", id_, owner.tenant, owner)

    given = {} if thing is None else {"id": thing.id}
    plan = w.to(
        who, name, scope, "/v1/sessions", body=body(given), expected=expected, said=tuple(given.values()), then=done
    )  # fmt: skip
    plan.alone = shared and expected == 200
    return plan


@route("GET /v1/sessions/{session}")
def get_session(w: World, r: Random, who: Key) -> Plan:
    return on_session(w, r, who, "GET /v1/sessions/{session}", "sessions:read", query=r.choice(["", "?limit=2"]))


@route("DELETE /v1/sessions/{session}")
def delete_session(w: World, r: Random, who: Key) -> Plan:
    thing, name, scope = drawn(w, r, who), "DELETE /v1/sessions/{session}", "sessions:write"
    while sees(who, scope, thing) and thing in w.things["session"][who.owner.tenant if who.owner else ""][:KEPT]:
        thing = drawn(w, r, who)
    return on_session(w, r, who, name, scope, thing=thing)


@route("POST /v1/sessions/{session}/invalidations")
def post_invalidation(w: World, r: Random, who: Key) -> Plan:
    """Of a run that may be anybody's: in this session it has no messages."""
    thing, name = drawn(w, r, who), "POST /v1/sessions/{session}/invalidations"
    run = w.draw(r, "run", who)
    id_ = w.absent(r) if run is None else run.id
    mark = thing.owner.mark if thing is not None and thing.owner is not None else tainted(who, "")
    given = {"run": id_, "from": 1, "to": 1, "reason": f"{mark}reason"}
    return on_session(w, r, who, name, "sessions:write", thing=thing, body=body(given), said=(id_,))


@route("GET /v1/sessions/{session}/invalidations")
def get_invalidations(w: World, r: Random, who: Key) -> Plan:
    return on_session(w, r, who, "GET /v1/sessions/{session}/invalidations", "sessions:read")


@route("POST /v1/sessions/{session}/invalidations/{invalidation}/lift")
def post_lift(w: World, r: Random, who: Key) -> Plan:
    """Of an invalidation that the session may not have."""
    name = "POST /v1/sessions/{session}/invalidations/{invalidation}/lift"
    other = w.draw(r, "principal", who)
    id_ = w.absent(r) if other is None else other.id
    path = name.replace("{invalidation}", id_)
    thing = drawn(w, r, who)
    mark = thing.owner.mark if thing is not None and thing.owner is not None else tainted(who, "")
    plan = on_session(
        w, r, who, path, "sessions:write", thing=thing, body=body({"reason": f"{mark}reason"}), said=(id_,)
    )  # fmt: skip
    plan.route, plan.also = name, (404,)
    return plan

"""As leak_routes: the routes of what waits for people."""

from __future__ import annotations

from random import Random

from leak_model import Key
from leak_routes import body, named, route, tainted
from leak_world import Plan, World


@route("GET /v1/approvals/{approval}")
def get_approval(w: World, r: Random, who: Key) -> Plan:
    return named(w, r, who, "GET /v1/approvals/{approval}", "approvals:read", "approval")


@route("POST /v1/approvals/{approval}/decision")
def post_decision(w: World, r: Random, who: Key) -> Plan:
    thing = w.draw(r, "approval", who)
    digest = thing.more.get("digest", "") if thing is not None and r.random() < 0.5 else "another"
    given = r.choice(
        [
            {"verdict": "approved", "args": {"text": tainted(who, "edited")}},
            {"verdict": "rejected", "reason": tainted(who, "no")},
            {"verdict": "done", "result": tainted(who, "result")},
            {"verdict": "not_done"},
            {"verdict": "answered", "answer": tainted(who, "answer")},
            {"verdict": "declined", "reason": tainted(who, "why")},
        ]
    )
    name = "POST /v1/approvals/{approval}/decision"
    said = body({**given, "digest": digest})
    return named(w, r, who, name, "approvals:decide", "approval", thing=thing, body=said)


@route("POST /v1/approvals/{approval}/links")
def post_link(w: World, r: Random, who: Key) -> Plan:
    """For oneself, or for anybody of any tenant: which takes the right to make keys of theirs, and that they exist."""
    other = w.draw(r, "principal", who) if r.random() < 0.5 else None
    target = other.id if other is not None else who.owner.id if who.owner else w.absent(r)
    name = "POST /v1/approvals/{approval}/links"
    plan = named(w, r, who, name, "approvals:decide", "approval", body=body({"principal": target}), said=(target,))
    if plan.expected == 200 and (who.owner is None or target != who.owner.id):
        plan.also = (403, 404)
    return plan

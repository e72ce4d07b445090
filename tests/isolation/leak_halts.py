"""Requests about halts, made up as those of `leak_routes`."""

from __future__ import annotations

from random import Random
from typing import Any

from leak_model import Key, sees, verdict
from leak_routes import body, named, route, tainted
from leak_wire import Answer
from leak_world import Plan, World


def a_halt(w: World, r: Random, who: Key) -> Any:
    return w.draw(r, "halt", who) if all(w.things["halt"][tenant] for tenant in "ab") else None


@route("POST /v1/halts")
def post_halt(w: World, r: Random, who: Key) -> Plan:
    """Of a run by its id, or of a tool that nobody has. Those who may halt their own only may not halt tools."""
    name, expected = "POST /v1/halts", verdict(who, "halts:write")
    run = w.draw(r, "run", who) if r.random() < 0.5 else None
    given = {"scope": "tool", "key": tainted(who, f"tool{r.randrange(9)}"), "reason": tainted(who, "stop"), "for_s": 60}

    def done(answer: Answer) -> None:
        assert who.owner is not None
        w.add("halt", answer.json()["id"], who.owner.tenant, who.owner)

    if run is None:
        expected = 403 if expected == 200 and who.rights["halts:write"] == "own" else expected
        return w.to(who, name, "halts:write", "/v1/halts", body=body(given), expected=expected, then=done)
    given |= {"scope": "run", "key": run.id}
    plan = w.to(
        who, name, "halts:write", "/v1/halts", body=body(given), expected=verdict(who, "halts:write", run),
        said=(run.id,), then=done,
    )  # fmt: skip
    if not sees(who, "halts:write", run):
        absent = w.absent(r)
        plan.twin = w.to(who, name, "halts:write", "/v1/halts", body=body({**given, "key": absent})).sent
        plan.ids = (run.id, absent)
    return plan


@route("GET /v1/halts/{halt}")
def get_halt(w: World, r: Random, who: Key) -> Plan:
    return named(w, r, who, "GET /v1/halts/{halt}", "halts:read", "halt", thing=a_halt(w, r, who))


@route("POST /v1/halts/{halt}/lift")
def post_lift_halt(w: World, r: Random, who: Key) -> Plan:
    plan = named(w, r, who, "POST /v1/halts/{halt}/lift", "halts:write", "halt", thing=a_halt(w, r, who))
    if plan.expected == 200:
        plan.also = (403,)  # where its author had more authority
    return plan

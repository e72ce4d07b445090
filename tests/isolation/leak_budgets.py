"""Requests about budgets, made up as those of `leak_routes`."""

from __future__ import annotations

from random import Random
from typing import Any

from leak_model import Key, verdict
from leak_routes import body, listing, named, page, perhaps_again, route, tainted
from leak_wire import Answer
from leak_world import Plan, World

listing("GET /v1/budgets/alerts", "budgets:read")


@route("GET /v1/budgets/reservations")
def get_reservations(w: World, r: Random, who: Key) -> Plan:
    """Its cursors are its own: none that another list gave is sent."""
    return w.to(who, "GET /v1/budgets/reservations", "budgets:read", "/v1/budgets/reservations?limit=20")


@route("GET /v1/budgets")
def get_budgets(w: World, r: Random, who: Key) -> Plan:
    query, said = page(w, r, ended=r.choice(["true", "false"]))
    return w.to(who, "GET /v1/budgets", "budgets:read", f"/v1/budgets{query}", said=said)


def a_budget(w: World, r: Random, who: Key) -> Any:
    return w.draw(r, "budget", who) if all(w.things["budget"][tenant] for tenant in "ab") else None


@route("PUT /v1/budgets")
def put_budget(w: World, r: Random, who: Key) -> Plan:
    """Of a feature that only this one has; large, so that no run of the campaign waits for it."""
    key = tainted(who, f"feature{r.randrange(9)}")
    given = {"scope": "feature", "key": key, "amount": 1000, "unit": "usd", "per": r.choice(["day", "run", "ever"])}

    def done(answer: Answer) -> None:
        assert who.owner is not None
        w.add("budget", answer.json()["id"], who.owner.tenant, who.owner)

    expected = verdict(who, "budgets:write")
    return w.to(who, "PUT /v1/budgets", "budgets:write", "/v1/budgets", body=body(given), expected=expected, then=done)


@route("GET /v1/budgets/{budget}")
def get_budget(w: World, r: Random, who: Key) -> Plan:
    return named(w, r, who, "GET /v1/budgets/{budget}", "budgets:read", "budget", thing=a_budget(w, r, who))


@route("DELETE /v1/budgets/{budget}")
def delete_budget(w: World, r: Random, who: Key) -> Plan:
    return named(w, r, who, "DELETE /v1/budgets/{budget}", "budgets:write", "budget", thing=a_budget(w, r, who))


@route("POST /v1/budgets/{budget}/raise")
def post_raise(w: World, r: Random, who: Key) -> Plan:
    given = {"more": 1, "reason": tainted(who, "more")}
    headers = perhaps_again(r) if r.random() < 0.2 else {}
    name = "POST /v1/budgets/{budget}/raise"
    more = {"headers": headers, "body": body(given), "thing": a_budget(w, r, who)}
    plan = named(w, r, who, name, "budgets:write", "budget", **more)
    if plan.expected == 200:
        plan.also = (404, 409, 422)  # where it has ended, its key was used, or it is for each run by itself
    return plan


@route("POST /v1/budgets/reservations/settle")
def post_settle(w: World, r: Random, who: Key) -> Plan:
    """Of a run of either tenant: nothing of these runs is reserved, and the other's must not be told from that."""
    run = w.draw(r, "run", who)
    given = {
        "run": run.id if run else w.absent(r),
        "step": "#1",
        "attempt": 1,
        "usd": 1,
        "reason": tainted(who, "bill"),
    }
    name, expected = "POST /v1/budgets/reservations/settle", verdict(who, "budgets:write")
    expected = 404 if expected == 200 else expected
    path = name.split()[1]
    return w.to(who, name, "budgets:write", path, body=body(given), expected=expected, said=(given["run"],))


@route("GET /v1/tenant/time-zone")
def get_zone(w: World, r: Random, who: Key) -> Plan:
    return w.to(who, "GET /v1/tenant/time-zone", "budgets:read", "/v1/tenant/time-zone")


@route("PUT /v1/tenant/time-zone")
def put_zone(w: World, r: Random, who: Key) -> Plan:
    given = {"time_zone": r.choice(["UTC", "Europe/Berlin"])}
    return w.to(who, "PUT /v1/tenant/time-zone", "tenant:write", "/v1/tenant/time-zone", body=body(given))

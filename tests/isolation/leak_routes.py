"""For each route, how requests of it are made up. A route of the document that is not here fails the campaign."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

from leak_model import PROMISED, Key, Person, sees, verdict
from leak_wire import Answer
from leak_world import Plan, World, body, perhaps_again, tainted

ROLES = ("user", "approver", "operator", "auditor", "admin")
SSE = {"Accept": "text/event-stream"}
Make = Callable[[World, Random, Key], Plan]
GENERATORS: dict[str, Make] = {}


def route(name: str) -> Callable[[Make], Make]:
    def add(make: Make) -> Make:
        GENERATORS[name] = make
        return make

    return add


def page(w: World, r: Random, **filters: str) -> tuple[str, tuple[str, ...]]:
    """A query of a list: perhaps with somebody's cursor."""
    given: dict[str, Any] = {"limit": r.choice([1, 2, 5, 20, r.choice([0, 201, "x", 20])]), **filters}
    if w.cursors and r.random() < 0.4:
        given["cursor"] = r.choice(w.cursors)
    return "?" + urlencode(given), (given.get("cursor", ""),)


def listing(name: str, scope: str) -> None:
    @route(name)
    def make(w: World, r: Random, who: Key) -> Plan:
        query, said = page(w, r)
        return w.to(who, name, scope, name.split()[1] + query, said=said)


for _name, _scope in (
    ("GET /v1/principals", "principals:read"),
    ("GET /v1/keys", "keys:read"),
    ("GET /v1/tenants", "tenants:read"),
    ("GET /v1/audit", "audit:read"),
    ("GET /v1/halts", "halts:read"),
):
    listing(_name, _scope)


def filtered(w: World, r: Random, who: Key, name: str, scope: str, kind: str, column: str) -> Plan:
    """A list of what belongs to one thing: another's has to be as empty as one that is not there."""
    found = w.draw(r, kind, who) if r.random() < 0.5 else None
    if found is None:
        query, said = page(w, r, **({} if kind == "run" else {"state": r.choice(["queued", "parked", "succeeded"])}))
        return w.to(who, name, scope, name.split()[1] + query, said=said)
    path = f"{name.split()[1]}?{column}={{id}}&limit=5"
    plan = w.on(r, who, f"GET {path}", scope, kind, thing=found)
    plan.route, plan.expected = name, verdict(who, scope)
    own = w.of_tenant(kind, found.id, who.owner.tenant if who.owner else "")
    if own is not None and sees(who, scope, own):
        plan.twin = None  # both tenants chose this id: what comes back is one's own
    return plan


@route("GET /v1/runs")
def get_runs(w: World, r: Random, who: Key) -> Plan:
    return filtered(w, r, who, "GET /v1/runs", "runs:read", "session", "session")


@route("GET /v1/approvals")
def get_approvals(w: World, r: Random, who: Key) -> Plan:
    return filtered(w, r, who, "GET /v1/approvals", "approvals:read", "run", "run")


@route("GET /v1/costs")
def get_costs(w: World, r: Random, who: Key) -> Plan:
    """By whatever names somebody: one's own sums only, and never an id of others."""
    by = ",".join(r.sample(["day", "feature", "model", "tool", "task", "user", "session", "run"], r.randrange(0, 5)))
    headers = r.choice([{}, {"Accept": "text/csv"}])
    return w.to(
        who, "GET /v1/costs", "costs:read", f"/v1/costs?{urlencode({'by': by, 'since': '7d'})}", headers=headers
    )


@route("GET /v1/tasks")
def get_tasks(w: World, r: Random, who: Key) -> Plan:
    return w.to(who, "GET /v1/tasks", "tasks:read", "/v1/tasks")


@route("GET /v1/me")
def get_me(w: World, r: Random, who: Key) -> Plan:
    return w.to(who, "GET /v1/me", None, "/v1/me")


@route("POST /v1/tasks/{task}/runs")
def post_run(w: World, r: Random, who: Key) -> Plan:
    name, owner = "POST /v1/tasks/{task}/runs", who.owner
    given: dict[str, Any] = {"input": tainted(who, "in"), "labels": {"channel": tainted(who, r.choice("xyz"))}}
    expected = verdict(who, "runs:start")
    session = w.draw(r, "session", who) if r.random() < 0.3 else None
    if session is not None:
        given["session"] = session.id
        mine = w.of_tenant("session", session.id, owner.tenant) if owner else None
        if expected == 200 and mine is not None and mine.owner is not owner:
            expected = 404
        if mine is None:
            given.pop("session")  # to begin one that only the other has would make it shared for what follows
    headers = perhaps_again(r)
    query = r.choice(["", "", "?wait=0.001"])

    def done(answer: Answer) -> None:
        made = answer.json()
        assert owner is not None
        assert made["principal"] == owner.id, "it was answered with another's run"
        w.add("run", made["id"], owner.tenant, owner)

    return w.to(
        who, name, "runs:start", f"/v1/tasks/support/runs{query}", headers=headers, body=body(given),
        expected=expected, said=(given.get("session", ""),), then=done,
    )  # fmt: skip


@route("GET /v1/runs/{run}")
def get_run(w: World, r: Random, who: Key) -> Plan:
    return named(w, r, who, "GET /v1/runs/{run}", "runs:read", "run")


def named(w: World, r: Random, who: Key, name: str, scope: str, kind: str, **more: Any) -> Plan:
    """A request for one thing by its id, counted under the name of the route in the document."""
    plan = w.on(r, who, name.replace(f"{{{kind}}}", "{id}"), scope, kind, **more)
    plan.route = name
    return plan


@route("GET /v1/runs/{run}/events")
def get_events(w: World, r: Random, who: Key) -> Plan:
    stream = r.random() < 0.15
    place = r.choice(["", "0", "1", "2", "2.1.0.3"])
    headers = {**(SSE if stream else {"Accept": "application/json"}), **({"Last-Event-ID": place} if place else {})}
    query = r.choice(["", "?limit=2", "?deltas=false", "?after=1"])
    return named(
        w, r, who, "GET /v1/runs/{run}/events", "runs:read", "run", headers=headers, live=stream, query=query
    )  # fmt: skip


@route("POST /v1/runs/{run}/cancel")
def post_cancel(w: World, r: Random, who: Key) -> Plan:
    given = r.choice([b"", body({"reason": tainted(who, "stop")})])
    return named(w, r, who, "POST /v1/runs/{run}/cancel", "runs:control", "run", body=given)


@route("POST /v1/runs/{run}/messages")
def post_message(w: World, r: Random, who: Key) -> Plan:
    headers = {"Idempotency-Key": f"idem-{r.randrange(6)}"} if r.random() < 0.4 else {}
    said = body({"message": tainted(who, r.choice(["one", "two"]))})
    return named(w, r, who, "POST /v1/runs/{run}/messages", "runs:control", "run", headers=headers, body=said)


@route("POST /v1/principals")
def post_principal(w: World, r: Random, who: Key) -> Plan:
    names = ["Ann", "Ben", *(tainted(who, f"n{r.randrange(10_000)}") for _ in range(6))]
    given = {
        "name": r.choice(names),
        "kind": r.choice(["person", "service"]),
        "roles": r.sample(ROLES, r.randrange(3)),
        "email": tainted(who, "mail@example.com"),
    }

    def done(answer: Answer) -> None:
        assert who.owner is not None
        w.add("principal", answer.json()["id"], who.owner.tenant)

    return w.to(
        who, "POST /v1/principals", "principals:write", "/v1/principals", body=body(given), said=(given["name"],),
        headers=perhaps_again(r), then=done,
    )  # fmt: skip


@route("GET /v1/principals/{principal}")
def get_principal(w: World, r: Random, who: Key) -> Plan:
    return named(w, r, who, "GET /v1/principals/{principal}", "principals:read", "principal")


def changed(w: World, r: Random, who: Key, name: str, change: Callable[[Person], None], **more: Any) -> Plan:
    """A change to what a principal may: of those who are not to stay as they are."""
    thing = w.draw(r, "principal", who)
    while sees(who, "principals:write", thing) and (
        thing is not None and (one := w.person(thing.tenant, thing.id)) is not None and one.core
    ):
        thing = w.draw(r, "principal", who)
    target = None if thing is None else w.person(thing.tenant, thing.id)
    plan = named(w, r, who, name, "principals:write", "principal", thing=thing, **more)
    if plan.expected == 200 and target is not None:
        plan.alone, plan.then = True, lambda _: change(target)
    return plan


def roles(name: str, *, grant: bool) -> None:
    @route(name)
    def make(w: World, r: Random, who: Key) -> Plan:
        role = r.choice([*ROLES, "platform", "king"] if grant else ROLES)

        def change(person: Person) -> None:
            (person.roles.add if grant else person.roles.discard)(role)

        plan = changed(w, r, who, name.replace("{role}", role), change)
        plan.route = name
        fits = role != "king" and (role != "platform" or (who.owner is not None and who.owner.tenant == "p"))
        if not fits and plan.expected in {200, 404}:
            plan.expected = 422  # said of any id, before it is looked up
        return plan


roles("PUT /v1/principals/{principal}/roles/{role}", grant=True)
roles("DELETE /v1/principals/{principal}/roles/{role}", grant=False)


@route("POST /v1/principals/{principal}/disable")
def post_disable(w: World, r: Random, who: Key) -> Plan:
    def change(person: Person) -> None:
        person.disabled = True

    return changed(w, r, who, "POST /v1/principals/{principal}/disable", change)


@route("POST /v1/principals/{principal}/enable")
def post_enable(w: World, r: Random, who: Key) -> Plan:
    def change(person: Person) -> None:
        person.disabled = False

    return changed(w, r, who, "POST /v1/principals/{principal}/enable", change)


@route("POST /v1/keys")
def post_key(w: World, r: Random, who: Key) -> Plan:
    """For oneself or another. A narrowed credential makes none that may more than itself: judged before looking."""
    thing = w.draw(r, "principal", who) if r.random() < 0.7 else None
    wanted = r.sample(sorted(PROMISED["admin"]), r.randrange(4)) if r.random() < 0.5 else None
    owner = who.owner if thing is None else w.person(thing.tenant, thing.id)
    given: dict[str, Any] = {"name": f"{owner.mark if owner else ''}key"}
    given |= {} if thing is None else {"principal": thing.id}
    given |= {} if wanted is None else {"scopes": wanted}
    expected = verdict(who, "keys:write")
    others = thing is not None and owner is not who.owner
    if expected == 200 and others and who.rights["keys:write"] == "own":
        expected = 404
    elif expected == 200 and who.scopes is not None and not set(wanted or ()) <= set(who.rights):
        expected = 403
    elif expected == 200 and thing is not None and not sees(who, "keys:write", thing):
        expected = 404

    def done(answer: Answer) -> None:
        assert who.owner is not None
        w.add("key", answer.json()["id"], who.owner.tenant, owner)

    plan = w.to(
        who, "POST /v1/keys", "keys:write", "/v1/keys", body=body(given), expected=expected,
        headers=perhaps_again(r, expected=expected), said=(given.get("principal", ""),), then=done,
    )  # fmt: skip
    if thing is not None and not sees(who, "keys:write", thing):
        absent = w.absent(r)
        plan.twin = w.to(
            who, "POST /v1/keys", "keys:write", "/v1/keys", body=body({**given, "principal": absent})
        ).sent  # fmt: skip
        plan.ids = (thing.id, absent)
    return plan


def spare(w: World, r: Random, who: Key) -> Any:
    """A key to end: of those that may be ended here, none that the campaign asks with."""
    asking = {one.id for one in w.keys}
    thing = w.draw(r, "key", who)
    while thing is not None and thing.id in asking and sees(who, "keys:write", thing):
        thing = w.draw(r, "key", who)
    return thing


@route("POST /v1/keys/{key}/rotate")
def post_rotation(w: World, r: Random, who: Key) -> Plan:
    thing = spare(w, r, who)

    def done(answer: Answer) -> None:
        assert thing is not None
        w.add("key", answer.json()["id"], thing.tenant, thing.owner)

    given = r.choice([b"", body({"overlap_s": 3600})])
    headers = perhaps_again(r, expected=verdict(who, "keys:write", thing))
    name, more = "POST /v1/keys/{key}/rotate", {"headers": headers, "body": given, "then": done}
    plan = named(w, r, who, name, "keys:write", "key", thing=thing, **more)
    if plan.expected == 200 and who.scopes is not None:
        plan.also = (403,)  # where the key may more than who rotates it, which the key alone knows
    return plan


@route("DELETE /v1/keys/{key}")
def delete_key(w: World, r: Random, who: Key) -> Plan:
    return named(w, r, who, "DELETE /v1/keys/{key}", "keys:write", "key", thing=spare(w, r, who))


@route("POST /v1/tenants")
def post_tenant(w: World, r: Random, who: Key) -> Plan:
    name = r.choice(["acme", "bolt", f"t{r.randrange(500)}"])

    def done(answer: Answer) -> None:
        w.spare.append(answer.json()["name"])

    headers = perhaps_again(r)
    also = (
        (404,) if headers and verdict(who, "tenants:write") == 200 else ()
    )  # what the first made may be deleted by now
    return w.to(
        who, "POST /v1/tenants", "tenants:write", "/v1/tenants", body=body({"name": name}), headers=headers, also=also,
        said=(name,), then=done,
    )  # fmt: skip


@route("GET /v1/tenants/{name}")
def get_tenant(w: World, r: Random, who: Key) -> Plan:
    name = r.choice(["acme", "bolt", "nowhere", "Acme"])
    expected = verdict(who, "tenants:read")
    if expected == 200 and name not in {"acme", "bolt"}:
        expected = 404
    return w.to(
        who, "GET /v1/tenants/{name}", "tenants:read", f"/v1/tenants/{quote(name)}", said=(name,), expected=expected
    )  # fmt: skip


def managed(name: str, given: dict[str, Any] | None = None) -> None:
    """What the platform does to a tenant: here, to such as it made on the way, for the two are needed as they are."""

    @route(name)
    def make(w: World, r: Random, who: Key) -> Plan:
        may = verdict(who, "tenants:write") == 200
        tenant = r.choice([*w.spare[-20:], "nowhere"]) if may else r.choice(["acme", "bolt", "platform"])
        keywords = {} if given is None else {"body": body(given)}
        target = name.split()[1].replace("{name}", tenant)
        return w.to(who, name, "tenants:write", target, said=(tenant,), also=(404,) if may else (), **keywords)


managed("POST /v1/tenants/{name}/suspend", {"reason": "unpaid"})
managed("POST /v1/tenants/{name}/resume")
managed("PUT /v1/tenants/{name}/quotas", {"principals": 5, "runs": 10, "bytes": 1_000_000})
managed("PUT /v1/tenants/{name}/limits", {"limits": {"depth": 900, "cost_usd": "5.00"}})
managed("DELETE /v1/tenants/{name}")


@route("GET /v1/tenant")
def get_own_tenant(w: World, r: Random, who: Key) -> Plan:
    return w.to(who, "GET /v1/tenant", "tenant:read", "/v1/tenant")


@route("GET /v1/tenant/limits")
def get_limits(w: World, r: Random, who: Key) -> Plan:
    return w.to(who, "GET /v1/tenant/limits", "tenant:read", "/v1/tenant/limits")


@route("PUT /v1/tenant/limits")
def put_limits(w: World, r: Random, who: Key) -> Plan:
    given = {"limits": r.choice([{}, {"depth": 900}, {f"amount:{tainted(who, 'moved')}": 1_000_000}])}
    return w.to(who, "PUT /v1/tenant/limits", "tenant:write", "/v1/tenant/limits", body=body(given))


@route("POST /v1/tenant/export")
def post_export(w: World, r: Random, who: Key) -> Plan:
    return w.to(
        who, "POST /v1/tenant/export", "tenant:write", "/v1/tenant/export", body=body({"key": "00" * 32})
    )  # fmt: skip


@route("GET /healthz")
def get_health(w: World, r: Random, who: Key) -> Plan:
    return w.to(who, "GET /healthz", None, "/healthz", expected=200)


@route("GET /readyz")
def get_readiness(w: World, r: Random, who: Key) -> Plan:
    return w.to(who, "GET /readyz", None, "/readyz", expected=200)


def anything(w: World, r: Random, who: Key) -> Plan:
    """Methods that no route has, and paths that are none: the same to everybody, whatever is behind the id."""
    thing = w.draw(r, r.choice(["run", "approval", "key", "principal"]), who)
    id_ = w.absent(r) if thing is None else thing.id
    method = r.choice(["PATCH", "PUT", "TRACE", "OPTIONS", "HEAD"])
    path, expected = r.choice(
        [
            (f"/v1/runs/{id_}", 405),
            (f"/v1/approvals/{id_}", 405),
            (f"/v1/nothing/{id_}", 404),
            (f"/v1/runs/{id_}/", 404),
        ]
    )
    plan = w.to(who, f"{method} elsewhere", None, path, said=(id_,), expected=expected)
    plan.route = "elsewhere"
    return plan

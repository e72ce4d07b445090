"""Two tenants filled alike, by SQL: the same names, keys and texts wherever a caller chooses them; the ids differ."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from uuid_utils.compat import uuid7

from holdfast.domain.ledger import Amounts
from support.store_scene import AT, Held, Member, Scene, approval, outcomes

LOGINS = ("holdfast_worker", "holdfast_api")
PLATFORM = UUID("00000000-0000-7000-8000-000000000000")
SESSION = uuid4()
DIGEST = b"d" * 32


@dataclass(frozen=True)
class Tenant:
    """One of the two, with what it has."""

    id: UUID
    name: str
    mark: str
    principal: UUID
    key: UUID
    key_digest: bytes
    held: Held
    queued: UUID
    task: UUID
    voted: UUID
    """A task to which one of two has agreed."""
    session: UUID
    """A session that only this one has; SESSION is one of both."""
    invalidation: UUID
    halt: UUID
    budget: UUID

    @property
    def run(self) -> UUID:
        return self.held.run

    @property
    def ids(self) -> set[str]:
        """Every id that only this tenant has."""
        found = (
            self.id,
            self.principal,
            self.key,
            self.run,
            self.queued,
            self.task,
            self.voted,
            self.session,
            self.invalidation,
            self.halt,
            self.budget,
        )
        return {str(one) for one in found}

    def shows(self, answers: Any) -> list[str]:
        """What of this tenant is in some rows."""
        text = _text(answers)
        return [what for what in (self.mark, *self.ids) if what in text]


@dataclass(frozen=True)
class Two:
    """Both."""

    scene: Scene
    a: Tenant
    b: Tenant


def _text(value: Any) -> str:
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode("latin-1")
    if isinstance(value, list | tuple):
        return "\n".join(_text(one) for one in value)
    return str(value)


def fill(scene: Scene) -> Two:
    return Two(scene, _tenant(scene, "acme", "TAINTA"), _tenant(scene, "bolt", "TAINTB"))


def _tenant(scene: Scene, name: str, mark: str) -> Tenant:
    id_, principal, key, queued = uuid7(), uuid7(), uuid7(), uuid7()
    key_digest = mark.encode().ljust(32)

    def call(sql: str, *values: Any, connection: Any = None, tenant: UUID = id_) -> list[Any]:
        return scene.call(connection or scene.api, tenant, sql, *values)

    call("select holdfast.create_tenant(%s, %s, 'me')", id_, name, tenant=PLATFORM)
    call("select holdfast.create_principal(%s, %s, 'person', 'Ann', %s, '{admin}', 'me')", id_, principal, mark)
    call("select holdfast.create_key(%s, %s, %s, %s, %s, null, null, 'me')", id_, key, principal, mark, key_digest)
    call(
        "select holdfast.log_in(%s, %s, 'issuer', 'subject', 'person', 'Out', %s, '{user}', %s)",
        id_, uuid7(), mark, datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    call("insert into holdfast.subject_keys (tenant, subject, wrapped, kek) values (%s, 's', %s, 'k') returning 1",
         id_, mark.encode())  # fmt: skip
    [held] = scene.hold(tenant=id_, session=SESSION)
    _accept(scene, id_, queued, principal, mark)
    task = uuid4()
    member = Member(
        held, bodies=[f'{{"{mark}": 1}}'], blobs=[(DIGEST, mark.encode())], approvals=[approval(id=task, why=mark)]
    )
    assert outcomes(scene.worker, member) == ["appended"]
    call("select * from holdfast.deliver_signal(%s, %s, 'message', %s, %s, %s, 'me', 'dedupe')",
         id_, held.run, mark, mark.encode(), DIGEST)  # fmt: skip
    voted = _vote(scene, id_, held, mark)
    call("select * from holdfast.read_tallies(%s, %s, 'effect', array['spent'], array[%s], array[%s])",
         id_, held.run, mark, AT, connection=scene.worker)  # fmt: skip
    spent = {"key": "effect", "name": "spent", "owner": mark, "since": AT, "amount": 5, "seen": 0}
    assert outcomes(scene.worker, Member(held, intent=True, tallies=[spent])) == ["appended"]
    today = (datetime.now(UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days
    cost = ("model", mark, mark, today, Amounts(cost_usd_micros=7, times=1))
    assert outcomes(scene.worker, Member(held, costs=[cost])) == ["appended"]
    session, invalidation = uuid4(), uuid4()
    call("select holdfast.create_session(%s, %s, 'p', 's')", id_, session)
    call("select holdfast.invalidate(%s, %s, null, %s, %s, 1, 1, %s, 'd', %s, 'me')",
         id_, session, invalidation, held.run, [mark], mark.encode())  # fmt: skip
    halt = uuid7()
    call("select holdfast.declare_halt(%s, %s, 'task', 'nothing', %s, 'me', 3, null)", id_, halt, mark)
    ack = [{"tenant": str(id_), "halt": str(halt), "in_flight": [{"name": mark}]}]
    scene.worker.execute("select holdfast.watch_halts(%s, %s)", [held.worker, json.dumps(ack)])
    call(
        "insert into holdfast.live (tenant, run, seq, attempt, part, start, kind, body, length)"
        " values (%s, %s, 1, 1, 0, 0, 'text', %s, 1) returning 1", id_, held.run, mark.encode(),
        connection=scene.worker,
    )  # fmt: skip
    call("select holdfast.set_ceilings(%s, %s, null, 'me')", id_, json.dumps({f"calls:{mark}": 5000}))
    assert outcomes(scene.worker, Member(held, intent=True)) == ["stale"]
    call("select name from holdfast.renew_rights(%s, %s, %s, %s)", id_, held.run, held.worker, held.epoch,
         connection=scene.worker)  # fmt: skip
    budget = _spend(scene, id_, held, mark)
    return Tenant(
        id_, name, mark, principal, key, key_digest, held, queued, task, voted, session, invalidation, halt, budget
    )


def _spend(scene: Scene, tenant: UUID, held: Held, mark: str) -> UUID:
    """A budget that has all there is: something spent, an overrun, an alert, something held, something estimated."""
    budget = uuid7()
    scene.call(
        scene.api, tenant, "select holdfast.set_budget(%s, %s, 'feature', %s, 'usd', 'ever', 100, 'me')",
        tenant, budget, mark,
    )  # fmt: skip

    def tell(what: str, step: str, usd: int | None) -> dict[str, Any]:
        known = {"usd": usd or 0, "no_usd": usd is None, "tokens": 0, "no_tokens": False, "requests": 0, "models": []}
        return {"what": what, "step": f"{mark}{step}", "attempt": 1, "feature": mark, **known}

    asked = [tell("reserve", "#1", 10), tell("reserve", "#2", 5), tell("reserve", "#3", 5)]
    assert outcomes(scene.worker, Member(held, intent=True, budgets=asked)) == ["appended"]
    used = [tell("settle", "#1", 60), tell("settle", "#2", None)]
    assert outcomes(scene.worker, Member(held, budgets=used)) == ["appended"]
    return budget


def _vote(scene: Scene, tenant: UUID, held: Held, mark: str) -> UUID:
    """A question to two, to which one has agreed."""
    asked, voter = approval(ask="two admins", why=mark, digest=f"{mark}-2"), uuid7()
    assert outcomes(scene.worker, Member(held, approvals=[asked])) == ["appended"]
    create = "select holdfast.create_principal(%s, %s, 'person', 'Voter', %s, '{admin}', 'me')"
    scene.call(scene.api, tenant, create, tenant, voter, mark)
    [said] = scene.call(
        scene.api, tenant,
        "select outcome from holdfast.decide_approval(%s, %s, 'approved', %s, %s, null, null, 0, null)",
        tenant, asked["id"], f"{mark}-2", str(voter),
    )  # fmt: skip
    assert said.outcome == "voted"
    return asked["id"]


def _accept(scene: Scene, tenant: UUID, run: UUID, principal: UUID, mark: str) -> None:
    """A run that waits, with an idempotency key that the other tenant uses too. No worker here serves its task."""
    scene.call(
        scene.api, tenant,
        "select outcome from holdfast.accept_run(%s, %s, 'other', '1', null, %s, 's', null, 0, %s, %s, %s, %s, %s,"
        " 'scope', 'idem', %s)",
        tenant, run, str(principal), AT, f'{{"{mark}": 1}}', b"h" * 32, [DIGEST], [mark.encode()], mark.encode(),
    )  # fmt: skip

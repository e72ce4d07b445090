"""People with roles, runs of theirs, and tasks that ask somebody: by SQL, as the real roles."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson
from uuid_utils.compat import uuid7

from support.store_scene import AT, PARK, TENANT, Held, Member, Scene, approval, outcomes


def person(scene: Scene, *roles: str, kind: str = "person", by: str = "founder") -> str:
    """Somebody of the tenant, as journals name them."""
    id_ = uuid7()
    sql = "select holdfast.create_principal(%s, %s, %s, %s, null, %s, %s) as said"
    [made] = scene.call(scene.api, TENANT, sql, TENANT, id_, kind, f"n-{id_}", list(roles), by)
    assert made.said == "created"
    return str(id_)


def change(scene: Scene, verb: str, who: str, what: Any, *, by: str = "founder", connection: Any = None) -> str:
    """`grant_role`, `revoke_role`, `set_disabled`."""
    sql = f"select holdfast.{verb}(%s, %s, %s, %s) as said"
    return scene.call(connection or scene.api, TENANT, sql, TENANT, UUID(who), what, by)[0].said


def held_for(scene: Scene, principal: str, requested_by: str | None = None) -> Held:
    """A run for somebody, claimed."""
    run, worker = uuid7(), scene.register()
    sql = (
        "select outcome from holdfast.accept_run(%s, %s, 't', '1', null, %s, 's', null, 0, %s, '{}', %s, '{}', '{}',"
        " null, null, null, false, %s)"
    )
    [said] = scene.call(scene.api, TENANT, sql, TENANT, run, principal, AT, b"h" * 32, requested_by)
    assert said.outcome == "accepted"
    [row] = [row for row in scene.claim(worker) if row.id == run]
    return Held(row.tenant, row.id, worker, row.epoch, row.seq, row.head)


def asking(scene: Scene, held: Held, ask: str, *, park: bool = True, **more: Any) -> UUID:
    """A task of a run that asks this, and the run parked on it."""
    task = approval(ask=ask, **more)
    next_ = {**PARK, "waiting_on": "approval"} if park else None
    assert outcomes(scene.worker, Member(held, approvals=[task], next=next_)) == ["appended"]
    return task["id"]


def told(scene: Scene, run: UUID) -> list[dict[str, Any]]:
    """The decisions in a run's inbox."""
    rows = scene.admin.execute(
        "select body, by, content from holdfast.signals where run = %s and kind = 'decision' order by seq", [run]
    ).fetchall()
    return [{**orjson.loads(body), "by": by, "content": content} for body, by, content in rows]


def row_of(scene: Scene, task: UUID, *columns: str) -> Any:
    found = scene.admin.execute(f"select {', '.join(columns)} from holdfast.approvals where id = %s", [task]).fetchone()
    assert found is not None
    return found[0] if len(columns) == 1 else found


def history(scene: Scene, task: UUID) -> list[tuple[str, str]]:
    sql = "select what, by from holdfast.approval_history where approval = %s order by nth"
    return [(what, by) for what, by in scene.admin.execute(sql, [task]).fetchall()]


def standing(scene: Scene, task: UUID, who: str = "", newcomer_s: float = 0) -> Any:
    sql = "select * from holdfast.approval_standing(%s, %s, %s, %s)"
    return scene.call(scene.api, TENANT, sql, TENANT, task, who, newcomer_s)[0]

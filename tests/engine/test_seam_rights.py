"""A run does what its principal may now: without its rights it stops before its next effect, with them it goes on."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic_ai import RunContext

from engine.agents import agent
from engine.lab import WHO
from holdfast import RunScope, effect
from holdfast.domain import events as ev
from holdfast.domain.errors import MissingRole, UserError
from holdfast.domain.ids import DEFAULT_TENANT
from holdfast.domain.principal import PrincipalKind, Who
from holdfast.domain.rights import Role
from holdfast.domain.state import WaitingOn
from holdfast.service.decide_approval import decide_approval
from holdfast.service.list_tasks_to_decide import list_tasks_to_decide
from holdfast.store import principals


class Ann:
    """A user, and what an administrator does to her rights."""

    def __init__(self, db: Any, id_: UUID) -> None:
        self._db, self.id = db, id_

    async def who(self) -> Who:
        row = await principals.get_principal(self._db, DEFAULT_TENANT, self.id)
        assert row is not None
        return Who.of(row.principal())

    async def disabled(self, yes: bool) -> None:
        assert await principals.set_disabled(self._db, DEFAULT_TENANT, self.id, disabled=yes, by="admin") == "changed"

    async def granted(self, role: Role) -> None:
        assert await principals.grant_role(self._db, DEFAULT_TENANT, self.id, role, by="admin") == "changed"

    async def revoked(self, role: Role) -> None:
        assert await principals.revoke_role(self._db, DEFAULT_TENANT, self.id, role, by="admin") == "changed"


@pytest.fixture
def ann(make_lab):
    async def made(lab: Any, *roles: Role) -> Ann:
        id_ = uuid4()
        how = {"kind": PrincipalKind.PERSON, "name": "Ann", "roles": roles or [Role.USER], "by": "admin"}
        assert await principals.create_principal(lab.api_db, DEFAULT_TENANT, id_, **how) == "created"
        return Ann(lab.api_db, id_)

    return made


async def test_disabled_in_the_middle_of_a_tool_it_stops_before_the_next_and_enabled_it_goes_on(make_lab, ann):
    done: list[str] = []
    lab: Any = None
    her: Any = None
    made = agent([("act", {"what": "one"}, "a")], [("act", {"what": "two"}, "b")], "done")

    @made.tool_plain
    @effect.once
    async def act(what: str) -> str:
        done.append(what)
        if what == "one":
            await her.disabled(True)
        return what

    lab = await make_lab(made)
    her = await ann(lab)
    await lab.start(who=await her.who())
    await lab.work()
    assert (lab.state, lab.row()["waiting_on"], done) == ("parked", "rights", ["one"])
    [parked] = await lab.of(ev.RunParked)
    assert (parked.waiting_on, parked.why) == (WaitingOn.RIGHTS, "its principal is disabled")
    await her.disabled(False)
    assert lab.state == "queued"
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert done == ["one", "two"], "the outcome of the first was kept, and it is not repeated"


async def test_a_queued_run_of_somebody_disabled_asks_nothing(make_lab, ann):
    lab = await make_lab(agent("done"))
    her = await ann(lab)
    await lab.start(who=await her.who())
    await her.disabled(True)
    await lab.work()
    assert (lab.state, lab.row()["waiting_on"]) == ("parked", "rights")
    assert await lab.of(ev.ModelRequested) == []


async def test_rights_revoked_while_it_is_parked_bite_when_it_resumes(make_lab, ann):
    moved: list[str] = []
    made = agent([("move", {}, "m")], "done")

    @made.tool_plain(requires_approval=True)
    @effect.once
    def move() -> str:
        moved.append("money")
        return "moved"

    lab = await make_lab(made)
    her = await ann(lab)
    await lab.start(who=await her.who())
    await lab.work()
    assert lab.row()["waiting_on"] == "approval"
    await her.revoked(Role.USER)
    assert lab.row()["waiting_on"] == "approval", "a parked run stays where it is"
    [asked] = (await list_tasks_to_decide(lab.services, WHO)).items
    await decide_approval(lab.services, WHO, asked.id, "approved", digest=asked.digest)
    await lab.work()
    assert (lab.state, lab.row()["waiting_on"], moved) == ("parked", "rights", [])
    await her.granted(Role.USER)
    assert await lab.work() == "finished"
    assert moved == ["money"], "the approval was kept"


async def test_each_tool_call_sees_the_rights_of_now(make_lab, ann):
    seen: list[set[str]] = []
    her: Any = None
    scopes: list[RunScope] = []
    made = agent([("look", {}, "a")], [("look", {}, "b")], [("look", {}, "c")], "done", deps_type=RunScope)

    @made.tool
    @effect.pure
    async def look(ctx: RunContext[RunScope]) -> str:
        seen.append({role.value for role in ctx.deps.principal.roles})
        if len(seen) == 1:
            await her.granted(Role.APPROVER)
        elif len(seen) == 2:
            await her.revoked(Role.APPROVER)
        return ctx.deps.principal.name

    lab = await make_lab(made, deps=lambda scope: scopes.append(scope) or scope)
    her = await ann(lab)
    await lab.start(who=await her.who())
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert seen == [{"user"}, {"user", "approver"}, {"user"}]
    assert len(scopes) == 1, "the dependencies are not built anew for it"


async def test_siblings_that_are_refused_together_look_again_and_go_on(make_lab, ann):
    done: list[str] = []
    her: Any = None
    made = agent(
        [("first", {}, "f")],
        [("act", {"what": "one"}, "a"), ("act", {"what": "two"}, "b"), ("act", {"what": "three"}, "c")],
        "done",
    )

    @made.tool_plain
    @effect.pure
    async def first() -> str:
        await her.granted(Role.OPERATOR)
        return "first"

    @made.tool_plain
    @effect.once
    async def act(what: str) -> str:
        done.append(what)
        await asyncio.sleep(0)
        return what

    lab = await make_lab(made)
    her = await ann(lab)
    await lab.start(who=await her.who())
    assert await lab.work() == "finished"
    assert sorted(done) == ["one", "three", "two"]


async def test_a_task_is_for_whom_it_says(make_lab, ann):
    lab = await make_lab(agent("done"), roles=["approver"])
    her = await ann(lab)
    with pytest.raises(MissingRole, match="approver"):
        await lab.start(who=await her.who())
    await her.granted(Role.APPROVER)
    await lab.start(who=await her.who())
    await her.revoked(Role.APPROVER)
    await lab.work()
    assert (lab.state, lab.row()["waiting_on"]) == ("parked", "rights")
    await her.granted(Role.APPROVER)
    assert await lab.work() == "finished"


async def test_a_role_that_does_not_exist_is_refused_at_registration(make_lab):
    with pytest.raises(UserError, match="king"):
        await make_lab(agent("done"), roles=["king"])

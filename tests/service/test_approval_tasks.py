"""What people are shown of a task, which of them are whose, and what they are told who may not."""

import asyncio
from types import SimpleNamespace
from uuid import UUID

import pytest

from holdfast.domain.approving import Edit, edited_digest
from holdfast.domain.ids import DEFAULT_TENANT
from holdfast.domain.principal import PrincipalKind, Who
from holdfast.domain.rights import Role
from holdfast.service.approval_errors import AlreadyVoted, ApprovalExpired, MayNotDecide, RunStopping
from holdfast.service.cancel_run import cancel_run
from holdfast.service.decide_approval import DigestMismatch, decide_approval, resolve_effect
from holdfast.service.list_tasks_to_decide import get_task_to_decide, list_tasks_to_decide
from holdfast.service.services import LOCAL
from holdfast.service.start_run import start_run
from holdfast.service.visible import visible, visible_json
from holdfast.store.leases import tick
from holdfast.store.principals import create_principal, get_principal, revoke_role


@pytest.fixture
async def people(services):
    """Ann, who asks, and those who may have a say: as they are let in."""

    async def made(name: str, *roles: Role) -> Who:
        id_ = services.new_id()
        kind = PrincipalKind.PERSON
        await create_principal(services.db, DEFAULT_TENANT, id_, kind=kind, name=name, roles=roles, by="founder")
        row = await get_principal(services.db, DEFAULT_TENANT, id_)
        return Who.of(row.principal())

    return SimpleNamespace(
        ann=await made("Ann", Role.USER),
        app=await made("App", Role.APPROVER),
        ben=await made("Ben", Role.ADMIN),
        cy=await made("Cy", Role.ADMIN),
    )


async def asked(services, holder, who, ask, args=None, **more):
    await start_run(services, who, "support", "x")
    held = await holder.claim()
    received = more.pop("received", None)
    if received is not None:
        more["received"] = held.text(received)
    event = {"ask": ask, "policy": "p" * 64, "rules": ["refunds-need-two"], "why": held.text("more than $500")}
    task = await held.ask_person(args or {"order": 7, "amount": 20}, ask=ask, event=event, **more)
    return held, await get_task_to_decide(services, who, task)


async def test_a_task_tells_all_that_is_known_of_it(services, holder, people):
    _, task = await asked(
        services, holder, people.ann, "two admins", received={"order": 7, "amount": 2000}, expires_s=3600,
        escalate=[(600, "three admins")], on_expiry="fail_run",
    )  # fmt: skip
    assert (task.task, task.ask, task.needed, task.agreed) == ("support", "two admins", 2, [])
    assert (task.rules, task.policy, task.reason.value) == (["refunds-need-two"], "p" * 64, "more than $500")
    assert [(one.place, one.before, one.after) for one in task.on_the_way] == [("amount", 20, 2000)]
    assert (task.principal, task.requesters, task.refused) == (
        people.ann.principal,
        [people.ann.principal],
        "requester",
    )
    assert task.if_unanswered == "The run fails."
    assert [one.ask for one in task.escalates] == ["three admins"]
    assert task.expires_at is not None
    assert task.names[people.ann.principal] == "Ann"
    assert task.run_so_far == f"/v1/runs/{task.run}/events"


async def test_votes_edits_and_the_rest_of_its_history_are_told(services, holder, people):
    held, task = await asked(services, holder, people.ann, "two admins")
    first = await decide_approval(services, people.ben, task.id, "approved", digest=task.digest)
    assert (first.state, len(first.agreed), first.needed, first.voted) == ("pending", 1, 2, True)
    assert await held.inbox() == []
    edited = await decide_approval(services, people.ann, task.id, "approved", digest=task.digest, args={"amount": 5})
    assert (edited.state, edited.agreed, edited.args.value) == ("pending", [], {"amount": 5})
    assert edited.original.value == {"order": 7, "amount": 20}
    assert {(one.place, one.removed) for one in edited.edits} == {("order", True), ("amount", False)}
    assert [one.counts for one in edited.votes] == [False]
    for who in (people.ben, people.cy):
        done = await decide_approval(services, who, task.id, "approved", digest=edited.digest)
    assert [(one.what, done.names[one.by]) for one in done.history] == [
        ("voted", "Ben"), ("edited", "Ann"), ("voted", "Ben"), ("approved", "Cy"),
    ]  # fmt: skip
    [signal] = await held.inbox()
    assert held.opened(signal) == {"amount": 5}
    args = done.history[1].digest
    assert args == edited.digest == edited_digest(task.digest, [Edit(signal.digest.hex(), people.ann.principal)])


async def test_whose_turn_it_is(services, holder, people):
    tasks = {ask: (await asked(services, holder, people.ann, ask))[1] for ask in ("user", "approver", "two admins", "")}

    async def mine(who):
        page = await list_tasks_to_decide(services, who, mine=True)
        return {one.ask for one in page.items}

    assert await mine(people.ann) == {"user", ""}
    assert await mine(people.app) == {"approver", ""}
    assert await mine(people.ben) == {"approver", "two admins", ""}
    two = tasks["two admins"]
    await decide_approval(services, people.ben, two.id, "approved", digest=two.digest)
    assert await mine(people.ben) == {"approver", ""}
    assert await mine(people.cy) == {"approver", "two admins", ""}
    assert await mine(LOCAL) == {"approver", "two admins", ""}

    async def listed(**filters):
        return [one.ask for one in (await list_tasks_to_decide(services, people.ben, **filters)).items]

    assert await listed(role=Role.ADMIN) == ["approver", "two admins"]
    assert await listed(role=Role.USER) == ["user"]
    assert await listed(ask="two admins") == ["two admins"]
    assert await listed(tool="nothing") == []
    first = await list_tasks_to_decide(services, people.cy, mine=True, limit=1)
    rest = await list_tasks_to_decide(services, people.cy, mine=True, limit=5, cursor=first.next)
    assert [one.ask for one in (*first.items, *rest.items)] == ["approver", "two admins", ""]


async def test_who_may_not_is_told_why(services, holder, people):
    _, task = await asked(services, holder, people.ann, "two admins")
    for who, said in ((people.ann, "You are behind this call"), (people.app, "you do not have such a role now")):
        with pytest.raises(MayNotDecide, match=said):
            await decide_approval(services, who, task.id, "approved", digest=task.digest)
    await decide_approval(services, people.ben, task.id, "approved", digest=task.digest)
    with pytest.raises(AlreadyVoted, match="1 of 2"):
        await decide_approval(services, people.ben, task.id, "approved", digest=task.digest)
    with pytest.raises(DigestMismatch):
        await decide_approval(services, people.cy, task.id, "approved", digest="f" * 64)


async def test_a_role_that_was_taken_meanwhile_is_no_role(services, holder, people):
    _, task = await asked(services, holder, people.ann, "admin")
    await revoke_role(services.db, DEFAULT_TENANT, UUID(people.ben.principal), Role.ADMIN, by="founder")
    with pytest.raises(MayNotDecide, match="such a role now"):
        await decide_approval(services, people.ben, task.id, "approved", digest=task.digest)


async def test_too_late_and_to_be_stopped_are_told_apart(services, holder, people, database):
    held, task = await asked(services, holder, people.ann, "admin", expires_s=60)
    with database.as_owner() as owner:
        owner.execute("update holdfast.clock set skew = '5 minutes'")
    assert (await tick(holder.db, 10)).expired == 1
    with pytest.raises(ApprovalExpired):
        await decide_approval(services, people.ben, task.id, "approved", digest=task.digest)
    shown = await get_task_to_decide(services, people.ben, task.id)
    assert (shown.state, shown.history[-1].what, shown.refused) == ("expired", "expired", None)
    assert [signal.kind for signal in await held.inbox()] == ["decision"]
    _, other = await asked(services, SimpleNamespace(claim=lambda: _claim_other(holder, held)), people.ann, "admin")
    await cancel_run(services, people.ann, other.run)
    with pytest.raises(RunStopping):
        await decide_approval(services, people.ben, other.id, "approved", digest=other.digest)


async def _claim_other(holder, held):
    """The first run is awake again and is claimed first; the next is the one meant."""
    first = await holder.claim()
    assert first.claim.run == held.claim.run
    return await holder.claim()


async def test_several_resolve_an_effect_in_doubt_by_saying_the_same(services, holder, people):
    await start_run(services, people.ann, "support", "x")
    held = await holder.claim()
    doubt = await held.ask_person({"order": 7}, kind="in_doubt", ask="two admins")
    task = await get_task_to_decide(services, people.ben, doubt)
    half = await resolve_effect(services, people.ben, doubt, "done", digest=task.digest, result={"b": 1, "a": 2})
    assert half.history[-1].content.value == {"a": 2, "b": 1}, "the next one sees what was said"
    done = await resolve_effect(services, people.cy, doubt, "done", digest=task.digest, result={"a": 2, "b": 1})
    assert done.state == "done"


async def test_of_many_at_once_the_run_is_told_once(services, holder, people):
    held, task = await asked(services, holder, people.ann, "two approvers")
    said = await asyncio.gather(
        *(
            decide_approval(services, who, task.id, "approved", digest=task.digest)
            for who in (people.app, people.ben, people.cy) * 2
        ),
        return_exceptions=True,
    )
    assert sum(not isinstance(one, Exception) for one in said) == 2
    assert len(await held.inbox()) == 1


def test_what_is_not_seen_is_written_out():
    assert visible("a\u202eb\u200bc\u00a0d\u3164\x1b[31m\né") == "a\\u202eb\\u200bc\\u00a0d\\u3164\\u001b[31m\\u000aé"
    assert visible("a\nb", lines=True) == "a\nb"
    assert visible_json({"é": "\u2066x\\"}) == '{"é": "\\u2066x\\\\"}'

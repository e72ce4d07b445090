"""A worker that has to let a run go says late what it knows of the run's effects, whatever kept it from writing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import pytest
from pydantic_ai import Agent, CustomEvent, RunContext
from pydantic_ai.exceptions import ApprovalRequired, ModelRetry, ToolFailed
from tests.engine.agents import agent, scripted
from tests.engine.lab import WHO, Lab, die_at, eventually
from tests.engine.test_seam_signals import prompts

from holdfast import effect
from holdfast.domain import events as ev
from holdfast.domain.errors import DatabaseUnavailable
from holdfast.domain.ids import Ref
from holdfast.domain.recovery import Recovery
from holdfast.engine.late import LateReports, Report, folded
from holdfast.engine.replay import Replay
from holdfast.service.decide_approval import decide_approval, resolve_effect
from holdfast.service.list_tasks_to_decide import list_tasks_to_decide
from holdfast.store.pool import Database
from support.proxy import Proxy


@dataclass(kw_only=True)
class PaidEvent(CustomEvent):
    done: int


@asynccontextmanager
async def fragile(lab: Lab) -> AsyncIterator[Proxy]:
    """The lab's workers reach the database through a proxy that can be cut, and give up soon."""
    async with Proxy(lab.worker_db.url) as proxy, Database.open(proxy.url, role="worker", deadline_s=0.2) as db:
        lab.worker_db, lab.writer_deadline_s = db, 0.5
        yield proxy


def away(proxy: Proxy) -> None:
    proxy.refuse()
    proxy.cut_all()


OUTCOMES: dict[str, Any] = {
    "value": None,
    "retry": ModelRetry("once more"),
    "failed": ToolFailed("no funds"),
    "error": RuntimeError("broken"),
    "deferred": ApprovalRequired(metadata={"limit": 10}),
}


def paying(proxy: Proxy, entered: list[str], outcome: str, seen: list[Any]) -> Agent[Any, Any]:
    """An agent whose tool sees the database go away while it works, and ends in one of five ways."""
    made = agent([("pay", {}, "p1")], "done", seen=seen)

    @made.tool
    @effect.once
    async def pay(ctx: RunContext[Any]) -> str:
        entered.append(effect.key())
        if len(entered) > 1:
            return "paid with leave"
        away(proxy)
        if OUTCOMES[outcome] is not None:
            raise OUTCOMES[outcome]
        ctx.enqueue("by the way")
        await ctx.emit(PaidEvent(done=3))
        return "paid"

    return made


async def finish(lab: Lab, outcome: str, entered: list[str], seen: list[Any]) -> None:
    """The next worker goes on with the outcome as it was, without asking anybody what became of the effect."""
    if outcome == "deferred":
        assert await lab.work() == "parked"
        assert lab.row()["waiting_on"] == "approval"
        [task] = (await list_tasks_to_decide(lab.services, WHO)).items
        await decide_approval(lab.services, WHO, task.id, "approved", digest=task.digest)
    assert await lab.work() == "finished"
    await lab.expect("failed" if outcome == "error" else "succeeded")
    assert not await lab.of(ev.EffectInDoubt)
    [resolved] = await lab.of(ev.EffectResolved)
    assert (resolved.resolution, resolved.outcome) == ("done", outcome)
    assert resolved.by.startswith("late report")
    finished = (await lab.of(ev.ToolFinished))[0]
    assert finished.outcome == outcome
    assert finished.resolved_by == resolved.by
    assert len(entered) == (2 if outcome == "deferred" else 1)
    match outcome:
        case "value":
            assert prompts(seen[-1]) == ["hi", "by the way"]
            [emitted] = await lab.content(finished.emitted)
            assert emitted["value"]["done"] == 3
            [succeeded] = await lab.of(ev.RunSucceeded)
            assert succeeded.usage.tool_calls == 1
        case "retry":
            assert "once more" in str(seen[-1])
        case "failed":
            assert "no funds" in str(seen[-1])
        case "error":
            assert "broken" in await lab.failure()
        case _:
            pass


@pytest.mark.parametrize("outcome", OUTCOMES)
async def test_an_outcome_that_a_database_away_kept_from_the_journal_is_told_when_it_is_back(make_lab, outcome):
    entered: list[str] = []
    seen: list[Any] = []
    proxies: list[Any] = [None]
    made = paying(_Later(proxies), entered, outcome, seen)
    lab = await make_lab(made, stream=False)
    await lab.start()
    async with fragile(lab) as proxy:
        proxies[0] = proxy
        async with lab.worker() as execution:
            with pytest.raises(DatabaseUnavailable):
                await execution.run()
            proxy.accept()
            await execution._gear.late.settled(10)
            assert len(execution._gear.late) == 0
        await finish(lab, outcome, entered, seen)


class _Later:
    """The proxy, which is made after the agent."""

    def __init__(self, proxies: list[Proxy]) -> None:
        self._proxies = proxies

    def __getattr__(self, name: str) -> Any:
        return getattr(self._proxies[0], name)


async def test_the_lease_is_lost_while_the_database_is_away(make_lab):
    """A long outage outlasts the lease before it outlasts the writer."""
    entered: list[str] = []
    seen: list[Any] = []
    proxies: list[Any] = [None]
    lab = await make_lab(paying(_Later(proxies), entered, "value", seen), stream=False)
    direct = lab.worker_db
    await lab.start()
    async with fragile(lab) as proxy:
        proxies[0], proxied = proxy, lab.worker_db
        lab.writer_deadline_s = 30
        async with lab.worker() as execution:
            running = asyncio.create_task(execution.run())
            await eventually(lambda: "outcome.after" in lab.points)
            execution.lose("lease expired")
            assert await running == "lost"
            assert len(execution._gear.late) == 1
            lab.worker_db = direct
            assert await lab.work() == "parked"
            lab.worker_db = proxied
            proxy.accept()
            await execution._gear.late.settled(10)
        assert await lab.work() == "finished"
        await lab.expect("succeeded")
        assert len(entered) == 1
        assert prompts(seen[-1]) == ["hi", "by the way"]
        [resolved] = await lab.of(ev.EffectResolved)
        assert (resolved.resolution, resolved.outcome) == ("done", "value")


async def test_a_person_who_was_asked_meanwhile_need_not_answer(make_lab):
    entered: list[str] = []
    proxies: list[Any] = [None]
    lab = await make_lab(paying(_Later(proxies), entered, "failed", []), stream=False)
    direct = lab.worker_db
    await lab.start()
    async with fragile(lab) as proxy:
        proxies[0], proxied = proxy, lab.worker_db
        async with lab.worker() as execution:
            with pytest.raises(DatabaseUnavailable):
                await execution.run()
            lab.worker_db = direct
            assert await lab.work() == "parked"
            assert lab.row()["waiting_on"] == "in_doubt"
            lab.worker_db = proxied
            proxy.accept()
            await execution._gear.late.settled(10)
        assert lab.state == "queued"
        assert await lab.work() == "finished"
        await lab.expect("succeeded")
        assert len(entered) == 1


@pytest.mark.parametrize("outcome", ["failed", "value"])
async def test_only_that_it_happened_outweighs_a_persons_answer(make_lab, outcome):
    """Of an attempt that came to nothing, a person who said so knew as much, and has allowed another."""
    entered: list[str] = []
    proxies: list[Any] = [None]
    lab = await make_lab(paying(_Later(proxies), entered, outcome, []), stream=False)
    direct = lab.worker_db
    await lab.start()
    async with fragile(lab) as proxy:
        proxies[0], proxied = proxy, lab.worker_db
        async with lab.worker() as execution:
            with pytest.raises(DatabaseUnavailable):
                await execution.run()
            lab.worker_db = direct
            assert await lab.work() == "parked"
            [task] = (await list_tasks_to_decide(lab.services, WHO)).items
            await resolve_effect(lab.services, WHO, task.id, "not_done", digest=task.digest)
            lab.worker_db = proxied
            proxy.accept()
            await execution._gear.late.settled(10)
        assert await lab.work() == "finished"
        await lab.expect("succeeded")
        assert len(entered) == (1 if outcome == "value" else 2)


async def test_nothing_is_begun_after_an_outcome_that_was_not_written(make_lab):
    """Though user code swallow the news, and the database be back a moment later."""
    entered: list[str] = []
    proxies: list[Any] = [None]
    made = agent([("pay", {"n": 1}, "p1"), ("pay", {"n": 2}, "p2")], [("pay", {"n": 3}, "p3")], "done")

    @made.tool_plain
    @effect.once
    async def pay(n: int) -> str:
        entered.append(str(n))
        if n == 1:
            away(proxies[0])
        else:
            await asyncio.sleep(1.5)
            proxies[0].accept()
        return "paid"

    lab = await make_lab(made, stream=False)
    await lab.start()
    async with fragile(lab) as proxy:
        proxies[0] = proxy
        async with lab.worker() as execution:
            with pytest.raises(DatabaseUnavailable):
                await execution.run()
            await execution._gear.late.settled(10)
        assert sorted(entered) == ["1", "2"]
        assert await lab.work() == "finished"
        await lab.expect("succeeded")
        assert sorted(entered) == ["1", "2", "3"]
        assert not await lab.of(ev.EffectInDoubt)


async def test_an_output_function_that_had_handed_over_is_not_called_again(make_lab):
    sent: list[str] = []
    proxies: list[Any] = [None]

    @effect.once
    def send(text: str) -> str:
        """Hand the answer over."""
        sent.append(text)
        away(proxies[0])
        return f"sent {text}"

    made: Agent[Any, Any] = Agent(scripted([("final_result", {"text": "hello"}, "f1")]), output_type=send)
    lab = await make_lab(made, stream=False)
    await lab.start()
    async with fragile(lab) as proxy:
        proxies[0] = proxy
        async with lab.worker() as execution:
            with pytest.raises(DatabaseUnavailable):
                await execution.run()
            proxy.accept()
            await execution._gear.late.settled(10)
        assert await lab.work() == "finished"
        await lab.expect("succeeded")
        assert sent == ["hello"]
        assert await lab.output() == "sent hello"


async def test_an_output_function_run_again_by_leave_is_not_run_a_third_time_unasked(make_lab):
    sent: list[str] = []

    @effect.once
    def send(text: str) -> str:
        """Hand the answer over."""
        sent.append(text)
        return f"sent {text}"

    made: Agent[Any, Any] = Agent(scripted([("final_result", {"text": "hello"}, "f1")]), output_type=send)
    lab = await make_lab(made, stream=False)
    await lab.start()
    for attempt in (1, 2):
        # Cut off after the intent, before the answer is in: the end of the run is not committed.
        await lab.work(probe=die_at("intent.after", 2 if attempt == 1 else 1))
        assert await lab.work() == "parked"
        assert lab.row()["waiting_on"] == "in_doubt"
        if attempt == 1:
            [task] = (await list_tasks_to_decide(lab.services, WHO)).items
            await resolve_effect(lab.services, WHO, task.id, "not_done", digest=task.digest)
    assert len(await lab.of(ev.EffectInDoubt)) == 2


async def test_reports_are_bounded_and_end_with_the_process(make_lab):
    lab = await make_lab(agent("done"))
    run = await lab.start()
    async with fragile(lab) as proxy:
        away(proxy)
        late = LateReports(most=3)
        row = lab.row()
        late.tell(lab.worker_db, [_report(row["tenant"], run, f"k{number}") for number in range(5)])
        assert [report.key for report in late._waiting] == ["k2", "k3", "k4"]
        await late.aclose(within_s=0.1)
        assert len(late) == 0


async def test_one_report_that_is_refused_does_not_keep_the_others(make_lab):
    lab = await make_lab(agent("done"))
    run = await lab.start()
    row = lab.row()
    late = LateReports()
    tenant = row["tenant"]
    late.tell(lab.worker_db, [_report(tenant, tenant, "no such run"), _report(tenant, run, "right")])
    await late.settled(10)
    assert len(late) == 0
    assert lab.row()["inbox_seq"] == 1


CLAIM = {"holdfast": "1", "pydantic_ai": "2"}
ZOMBIE, HOLDER, TASK = UUID(int=1), UUID(int=2), UUID(int=3)


def started(attempt: int) -> ev.ToolStarted:
    return ev.ToolStarted(
        scope="",
        step=1,
        call="p1",
        tool="pay",
        recovery=Recovery.ONCE,
        key="k",
        args=Ref("a"),
        schema="",
        attempt=attempt,
    )


def doubted() -> ev.EffectInDoubt:
    return ev.EffectInDoubt(approval=TASK, scope="", step=1, call="p1", tool="pay", key="k", why="")


def said(resolution: Any) -> ev.EffectResolved:
    return ev.EffectResolved(approval=TASK, call="p1", key="k", resolution=resolution, by="ann")


def claim(epoch: int, worker: UUID) -> ev.RunClaimed:
    return ev.RunClaimed(epoch=epoch, worker=worker, **CLAIM)


NOT_BEGUN = {"key": "k", "call": "p1", "outcome": "not_begun", "worker": str(ZOMBIE), "after": 1, "upto": 3}


@pytest.mark.parametrize(
    ("after_the_zombies_claim", "counts"),
    [
        ([started(1)], True),
        ([started(1), claim(2, HOLDER), doubted()], True),
        ([claim(2, HOLDER), started(1)], False),  # its intent was never committed; this one is another's
        ([started(1), claim(2, HOLDER), doubted(), said("not_done"), started(2)], False),
        ([started(1), claim(2, HOLDER), doubted(), said("fail_run")], False),
        ([], False),
    ],
    ids=["asked of nobody", "asked", "another's attempt", "run again by leave", "a person was first", "not committed"],
)
async def test_that_a_call_never_began_is_believed_of_the_very_attempt_that_is_spoken_of(
    after_the_zombies_claim, counts
):
    replay = Replay.of(enumerate([claim(1, ZOMBIE), *after_the_zombies_claim], 2))
    found = folded(orjson.dumps(NOT_BEGUN), None, replay, lambda _: Ref(""))
    assert (found is not None) == counts
    if found is not None:
        assert (found.resolution, found.intent) == ("not_done", 3)


async def test_that_a_call_never_began_is_not_believed_of_what_was_written_after_a_rewind():
    replay = Replay.of(enumerate([claim(1, HOLDER), started(1)], 2))
    assert folded(orjson.dumps(NOT_BEGUN), None, replay, lambda _: Ref("")) is None


async def test_a_later_attempt_is_not_covered_by_what_is_said_of_an_earlier_one():
    resolved = ev.EffectResolved(call="p1", key="k", resolution="not_done", by="late", intent=3)
    replay = Replay.of(enumerate([claim(1, ZOMBIE), started(1), claim(2, HOLDER), started(2), resolved], 2))
    entry = replay.tool_of_key("k")
    assert entry is not None
    assert entry.resolved is None


def _report(tenant: Any, run: Any, key: str) -> Report:
    return Report(tenant=tenant, run=run, worker=run, key=key, dedupe=key, body="{}", digest=b"", content=b"x")

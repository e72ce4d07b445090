"""Effects are honest: what started and is not known to have finished is recovered as its class says."""

import asyncio
from typing import Any

import psycopg
import pytest
from pydantic_ai import Agent
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.toolsets import WrapperToolset
from tests.engine.agents import agent
from tests.engine.lab import WHO, Died, die_at, eventually

from holdfast import effect
from holdfast.domain import events as ev
from holdfast.service.decide_approval import resolve_effect
from holdfast.service.list_tasks_to_decide import list_tasks_to_decide

ONE_CALL = ([("pay", {"amount": 50}, "p1")], "done")


def paying(declare: Any, ledger: list[tuple[str, int]], **options: Any) -> Agent[Any, Any]:
    made = agent(*ONE_CALL, **options)

    @made.tool_plain
    @declare
    def pay(amount: int) -> str:
        ledger.append((effect.key(), amount))
        return "paid"

    return made


def undeclared(function: Any) -> Any:
    return function


@pytest.mark.parametrize("declare", [effect.pure, effect.idempotent])
async def test_a_rerunnable_effect_runs_again_with_the_same_key(make_lab, declare):
    ledger: list[tuple[str, int]] = []
    lab = await make_lab(paying(declare, ledger))
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("outcome.before")), Died)
    assert await lab.work() == "finished"
    assert [amount for _, amount in ledger] == [50, 50]
    assert len({key for key, _ in ledger}) == 1
    assert [event.attempt for event in await lab.of(ev.ToolStarted)] == [1, 2]


@pytest.mark.parametrize("declare", [effect.once, undeclared])
async def test_an_undeclared_effect_cut_off_becomes_a_human_task(make_lab, declare):
    ledger: list[Any] = []
    lab = await make_lab(paying(declare, ledger))
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("outcome.before")), Died)
    assert await lab.work() == "parked"
    assert lab.row()["waiting_on"] == "in_doubt"
    [doubt] = await lab.of(ev.EffectInDoubt)
    assert "pay" in doubt.why
    assert "@effect.idempotent" in doubt.why
    # Claimed again without a decision: the same question, not another one.
    assert len(ledger) == 1


@pytest.mark.parametrize(
    ("resolution", "result", "state", "runs"),
    [("done", "paid earlier", "succeeded", 1), ("not_done", None, "succeeded", 2), ("fail_run", None, "failed", 1)],
)
async def test_a_person_resolves_an_effect_in_doubt(make_lab, resolution, result, state, runs):
    ledger: list[Any] = []
    lab = await make_lab(paying(effect.once, ledger))
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("outcome.before")), Died)
    assert await lab.work() == "parked"
    [task] = (await list_tasks_to_decide(lab.services, WHO)).items
    await resolve_effect(lab.services, WHO, task.id, resolution, digest=task.digest, result=result)
    assert lab.state == "queued"
    assert await lab.work() == "finished"
    assert lab.state == state
    assert len(ledger) == runs
    if resolution == "done":
        [finished] = await lab.of(ev.ToolFinished)
        assert finished.resolved_by == WHO.principal
        assert (await lab.content(finished.result))["value"] == "paid earlier"


@pytest.mark.parametrize(
    ("answer", "runs", "state"),
    [
        (effect.Happened("looked up"), 1, "succeeded"),
        (effect.NotHappened(), 2, "succeeded"),
        (effect.Unknown(), 1, "parked"),
    ],
)
async def test_a_probe_is_asked_before_a_reconcile_effect_runs_again(make_lab, answer, runs, state):
    asked: list[Any] = []
    ledger: list[Any] = []

    async def probe(performing: Any, amount: int) -> Any:
        asked.append((performing.key, amount))
        return answer

    lab = await make_lab(paying(effect.reconcile(probe=probe), ledger))
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("outcome.before")), Died)
    await lab.work()
    assert lab.state == state
    assert len(ledger) == runs
    assert asked == [(ledger[0][0], 50)]


async def test_an_effect_that_started_undeclared_is_in_doubt_though_the_tool_was_declared_since(make_lab):
    ledger: list[Any] = []
    lab = await make_lab(paying(undeclared, ledger))
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("outcome.before")), Died)
    assert await lab.work(app=(await make_lab(paying(effect.idempotent, ledger))).app) == "parked"
    assert lab.row()["waiting_on"] == "in_doubt"
    assert len(ledger) == 1


async def test_after_a_failover_that_rewound_the_log_an_unfinished_effect_is_in_doubt_whatever_its_class(make_lab):
    ledger: list[Any] = []
    lab = await make_lab(paying(effect.idempotent, ledger))
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("outcome.before")), Died)
    with psycopg.connect(lab.admin_url, autocommit=True) as connection:
        connection.execute("update holdfast.runs set rewound = true where id = %s", [lab.run])
    assert await lab.work() == "parked"
    assert (lab.row()["waiting_on"], lab.row()["rewound"]) == ("in_doubt", False)
    assert len(ledger) == 1
    assert [event.rewound for event in await lab.of(ev.RunClaimed)] == [False, True]


async def test_before_the_tool_is_entered_nothing_is_in_doubt_but_the_intent_says_so(make_lab):
    ledger: list[Any] = []
    lab = await make_lab(paying(effect.once, ledger))
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("intent.before", 2)), Died)
    assert await lab.work() == "finished"
    assert len(ledger) == 1


async def test_pitfall_6_the_idempotency_key_is_at_hand_and_stable(make_lab):
    ledger: list[Any] = []
    lab = await make_lab(paying(effect.idempotent, ledger))
    run = await lab.start()
    assert await lab.work() == "finished"
    [started] = await lab.of(ev.ToolStarted)
    assert ledger == [(started.key, 50)]
    assert str(run) in started.key
    assert "p1" in started.key


async def test_pitfall_10_a_result_that_cannot_be_stored_is_in_doubt_and_never_run_again(make_lab):
    ran: list[int] = []
    made = agent(*ONE_CALL)

    @made.tool_plain
    def pay(amount: int) -> Any:
        ran.append(amount)
        return object()

    lab = await make_lab(made)
    await lab.start()
    assert await lab.work() == "parked"
    assert lab.row()["waiting_on"] == "in_doubt"
    [doubt] = await lab.of(ev.EffectInDoubt)
    assert "cannot be stored" in doubt.why
    assert ran == [50]


async def test_the_intent_names_the_arguments_that_the_tool_receives(make_lab):
    got: list[int] = []

    class Cents(AbstractCapability[Any]):
        async def before_tool_execute(self, ctx: Any, *, call: Any, tool_def: Any, args: Any) -> Any:
            return {**args, "amount": args["amount"] * 100}

        async def wrap_tool_execute(self, ctx: Any, *, call: Any, tool_def: Any, args: Any, handler: Any) -> Any:
            return str(await handler(args)).replace("SECRET", "[redacted]")

    made = agent(*ONE_CALL, capabilities=[Cents()])

    @made.tool_plain
    @effect.idempotent
    def pay(amount: int) -> str:
        got.append(amount)
        return "SECRET"

    lab = await make_lab(made)
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("model.sending", 2)), Died)
    assert await lab.work() == "finished"
    [started] = await lab.of(ev.ToolStarted)
    [finished] = await lab.of(ev.ToolFinished)
    assert got == [5000]
    assert await lab.content(started.args) == {"amount": 5000}
    assert await lab.content(finished.model_args) == {"amount": 50}
    assert (await lab.content(finished.result))["value"] == "[redacted]"


async def test_a_toolset_wrapper_that_changes_arguments_after_the_intent_is_refused(make_lab):
    ran: list[int] = []

    class Sly(WrapperToolset[Any]):
        async def call_tool(self, name: str, tool_args: Any, ctx: Any, tool: Any) -> Any:
            tool_args["amount"] = 1_000_000
            return await super().call_tool(name, tool_args, ctx, tool)

    class Wraps(AbstractCapability[Any]):
        def get_wrapper_toolset(self, toolset: Any) -> Any:
            return Sly(toolset)

    made = agent(*ONE_CALL, capabilities=[Wraps()])

    @made.tool_plain
    @effect.idempotent
    def pay(amount: int) -> str:
        ran.append(amount)
        return "paid"

    lab = await make_lab(made)
    await lab.start()
    assert await lab.work() == "finished"
    assert lab.state == "failed"
    assert "changed after its intent" in await lab.failure()
    assert ran == []


async def test_an_error_in_one_parallel_call_waits_until_its_siblings_are_settled(make_lab):
    slow_may_end = asyncio.Event()
    entered: list[str] = []
    made = agent([("bad", {}, "b"), ("slow", {}, "s")], "done")

    @made.tool_plain
    async def bad() -> str:
        await eventually(lambda: "slow" in entered)
        entered.append("bad")
        raise RuntimeError("broken")

    @made.tool_plain
    async def slow() -> str:
        entered.append("slow")
        await slow_may_end.wait()
        return "finished"

    lab = await make_lab(made)
    await lab.start()
    async with lab.worker() as execution:
        running = asyncio.create_task(execution.run())
        await eventually(lambda: "bad" in entered)
        for _ in range(50):
            await asyncio.sleep(0)
        assert not running.done()
        slow_may_end.set()
        assert await running == "finished"
    outcomes = {event.call: event.outcome for event in await lab.of(ev.ToolFinished)}
    assert outcomes == {"b": "error", "s": "value"}
    assert "RuntimeError: broken at test_seam_effects.py" in await lab.failure()


async def test_parallel_once_effects_cut_off_are_each_in_doubt_and_a_finished_one_is_not(make_lab):
    made = agent([("a", {}, "1"), ("b", {}, "2")], "done")
    ran: list[str] = []

    @made.tool_plain
    async def a() -> str:
        ran.append("a")
        return "a"

    @made.tool_plain
    async def b() -> str:
        await eventually(lambda: len(ran) == 1)
        ran.append("b")
        return "b"

    lab = await make_lab(made)
    await lab.start()
    died = await lab.work(probe=die_at("outcome.before", 2))
    assert isinstance(died, Died)
    assert await lab.work() == "parked"
    assert [event.call for event in await lab.of(ev.ToolFinished)] == ["1"]
    assert [event.call for event in await lab.of(ev.EffectInDoubt)] == ["2"]
    assert ran == ["a", "b"]

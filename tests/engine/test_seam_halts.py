"""A halt that a worker has heard of: what was announced is not begun, what is under way is cancelled or finishes."""

import asyncio
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from pydantic_ai import Agent
from pydantic_ai.capabilities import Hooks
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.models.function import FunctionModel
from tests.engine.agents import scripted
from tests.engine.lab import Lab, die_at, eventually

from holdfast import effect
from holdfast.domain import events as ev
from holdfast.domain.halts import Authority, Halt, HaltScope
from holdfast.domain.ids import DEFAULT_TENANT
from holdfast.engine.halts import Halts
from holdfast.store import halts as store


async def halt(lab: Lab, scope: HaltScope, key: str) -> Halt:
    """Declare a halt, and let the worker hear of it."""
    found = await store.declare_halt(
        lab.api_db, DEFAULT_TENANT, uuid4(), scope, key, reason="w", by="me", authority=Authority.ADMIN
    )
    return Halt(DEFAULT_TENANT, found.id, scope, key)


async def lift(lab: Lab, halted: Halt) -> None:
    await store.lift_halt(lab.api_db, DEFAULT_TENANT, halted.id, by="me", authority=Authority.ADMIN)


class Gates:
    """Tools that wait, and what has become of them."""

    def __init__(self) -> None:
        self.things: list[str] = []
        self.go = asyncio.Event()

    def agent(self, *script: Any, **options: Any) -> Agent[Any, Any]:
        made = Agent(scripted(*script), **options)

        @made.tool_plain
        @effect.idempotent
        async def look() -> str:
            return await self._held("look")

        @made.tool_plain
        @effect.once
        async def pay() -> str:
            return await self._held("pay")

        @made.tool_plain
        @effect.pure
        def plain() -> str:
            self.things.append("plain")
            return "plain"

        return made

    async def _held(self, name: str) -> str:
        self.things.append(name)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.things.append(f"{name} cancelled")
            raise
        return name


async def halted_while(lab: Lab, gates: Gates, begun: list[str], scope: HaltScope, key: str, **more: Any) -> tuple:
    """Carry the run until these have begun, then halt; the halt and the execution's task."""
    context = lab.worker(**more)
    execution = await context.__aenter__()
    task = asyncio.create_task(execution.run())
    await eventually(lambda: sorted(gates.things) == sorted(begun))
    found = await halt(lab, scope, key or str(lab.run))
    lab.lease.halts.in_force = (found,)
    execution.halt(frozenset())
    return found, task, execution, context


async def test_what_may_run_again_is_cancelled_and_what_may_not_finishes_and_is_recorded(make_lab):
    gates = Gates()
    lab = await make_lab(gates.agent([("pay", {}, "a"), ("look", {}, "b")], "done"))
    await lab.start()
    found, task, _, context = await halted_while(lab, gates, ["pay", "look"], HaltScope.RUN, "")
    await eventually(lambda: "look cancelled" in gates.things)
    assert not task.done(), "the payment is waited for"
    gates.go.set()
    assert await task == "parked"
    await context.__aexit__(None, None, None)
    assert [fact.tool for fact in await lab.of(ev.ToolFinished)] == ["pay"]
    assert lab.row()["waiting_on"] == "halt"
    await lift(lab, found)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert [thing for thing in gates.things if thing == "pay"] == ["pay"], "it was not made again"
    assert gates.things.count("look") == 2


async def test_an_effect_that_outlasts_the_grace_is_cut_off_and_in_doubt(make_lab):
    gates = Gates()
    lab = await make_lab(gates.agent([("pay", {}, "a")], "done"))
    await lab.start()
    found, task, execution, context = await halted_while(lab, gates, ["pay"], HaltScope.TASK, "task")
    execution.halt(frozenset({found.id}))
    assert await task == "parked"
    await context.__aexit__(None, None, None)
    assert gates.things == ["pay", "pay cancelled"]
    [doubt] = await lab.of(ev.EffectInDoubt)
    assert "a halt cut it off" in doubt.why
    await lift(lab, found)
    assert lab.row()["waiting_on"] == "in_doubt"


async def test_a_model_request_is_cancelled_and_sent_again(make_lab):
    asked = []
    go = asyncio.Event()

    async def answer(messages, info):
        asked.append(len(messages))
        await go.wait()
        return ModelResponse(parts=[TextPart("done")])

    lab = await make_lab(Agent(FunctionModel(answer, model_name="slow")), stream=False)
    await lab.start()
    async with lab.worker() as execution:
        task = asyncio.create_task(execution.run())
        await eventually(lambda: asked == [1])
        found = await halt(lab, HaltScope.MODEL, "slow")
        lab.lease.halts.in_force = (found,)
        execution.halt(frozenset())
        assert await task == "parked"
    assert await lab.of(ev.ModelFailed) == []
    await lift(lab, found)
    go.set()
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert [fact.attempt for fact in await lab.of(ev.ModelRequested)] == [1, 2]


@pytest.mark.parametrize("capabilities", [[], [Hooks()]], ids=["short road", "with capabilities"])
async def test_a_halted_tool_holds_back_only_its_own_calls(make_lab, capabilities):
    gates = Gates()
    gates.go.set()
    script = [("look", {}, "a")], [("pay", {}, "b"), ("look", {}, "c")], "done"
    lab = await make_lab(gates.agent(*script, capabilities=capabilities))
    await lab.start()
    found = await halt(lab, HaltScope.TOOL, "pay")
    assert await lab.work() == "parked"
    assert lab.row()["waiting_on"] == "halt"
    assert gates.things == ["look", "look"], "what was called beside it was made"
    await lift(lab, found)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert gates.things == ["look", "look", "pay"]


async def test_a_run_that_never_calls_the_tool_is_not_affected(make_lab):
    gates = Gates()
    gates.go.set()
    lab = await make_lab(gates.agent([("look", {}, "a")], "done"))
    await lab.start()
    await halt(lab, HaltScope.TOOL, "pay")
    await halt(lab, HaltScope.MODEL, "another")
    assert await lab.work() == "finished"
    await lab.expect("succeeded")


@pytest.mark.parametrize("tool", ["pay", "plain"])
@pytest.mark.parametrize("known", ["halted", "tool halted", "not confirmed"])
async def test_what_was_announced_is_not_begun_once_a_halt_is_known_nor_when_none_could_be_asked_for(
    make_lab, tool, known
):
    """Between the commit of an intent and the body: the process heard of a halt, or was stopped for a second."""
    gates = Gates()
    gates.go.set()
    lab = await make_lab(gates.agent([(tool, {}, "a")], "done"))
    await lab.start()
    scope, key = (HaltScope.TOOL, tool) if known == "tool halted" else (HaltScope.RUN, str(lab.run))
    found = Halt(DEFAULT_TENANT, uuid4(), scope, key)

    def probe(point: str) -> None:
        if point == "tool.entering":
            if known != "not confirmed":
                with psycopg.connect(lab.admin_url, autocommit=True) as connection:
                    connection.execute(
                        "insert into holdfast.halts (tenant, id, scope, key, reason, by, authority, at)"
                        " values (%s, %s, %s, %s, 'w', 'm', 3, now())",
                        [DEFAULT_TENANT, found.id, scope.value, key],
                    )
                lab.lease.halts.in_force = (found,)
            else:
                lab.lease.halts.heard((), asked_at=lab.lease.halts.clock() - 1.01)

    assert await lab.work(probe=probe) == ("lost" if known == "not confirmed" else "parked")
    assert gates.things == []
    if known != "not confirmed":
        await lift(lab, found)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert gates.things == [tool]
    assert await lab.of(ev.EffectInDoubt) == [], "it is known never to have begun"


async def test_an_intent_waits_for_halts_to_be_confirmed_before_it_goes_on(make_lab):
    gates = Gates()
    gates.go.set()
    lab = await make_lab(gates.agent([("look", {}, "a")], "done"))
    await lab.start()
    async with lab.worker() as execution:
        lab.lease.halts = Halts()
        execution._lease = lab.lease
        task = asyncio.create_task(execution.run())
        await eventually(lambda: lab.points.count("intent.after") == 1)
        assert lab.lease.halts.doubtful
        assert "model.sending" not in lab.points
        lab.lease.halts.heard((), asked_at=lab.lease.halts.clock() + 3600)
        lab.lease.halts.wake()
        assert await task == "finished"


async def test_a_worker_that_heard_of_a_halt_which_is_lifted_by_now_goes_on(make_lab):
    gates = Gates()
    lab = await make_lab(gates.agent([("look", {}, "a")], "done"))
    await lab.start()
    async with lab.worker() as execution:
        task = asyncio.create_task(execution.run())
        await eventually(lambda: gates.things == ["look"])
        gates.go.set()
        gone = Halt(DEFAULT_TENANT, uuid4(), HaltScope.RUN, str(lab.run))
        heard, lab.lease.halts.in_force = lab.lease.halts.in_force, (gone,)
        gates.go.clear()
        execution.halt(frozenset())
        await eventually(lambda: "look cancelled" in gates.things)
        lab.lease.halts.in_force = heard
        gates.go.set()
        assert await task == "finished", "it did not park for what is no longer so"


async def test_a_probe_is_not_asked_while_its_run_is_halted(make_lab):
    asked: list[str] = []
    made = Agent(scripted([("send", {}, "a")], "done"))

    def looked_up(effect_: Any) -> Any:
        asked.append(effect_.key)
        return effect.Happened("sent")

    @made.tool_plain
    @effect.reconcile(probe=looked_up)
    async def send() -> str:
        return "sent"

    lab = await make_lab(made)
    await lab.start()
    await lab.work(probe=die_at("tool.entering"))
    async with lab.worker() as execution:
        found = await halt(lab, HaltScope.TOOL, "send")
        assert await execution.run() == "parked"
    assert (asked, lab.row()["waiting_on"]) == ([], "halt")
    await lift(lab, found)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert len(asked) == 1

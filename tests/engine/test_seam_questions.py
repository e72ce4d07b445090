"""A call whose result comes from outside is put before people once, and their answer is its result."""

from typing import Any

import psycopg
import pytest
from pydantic_ai import Agent, RunContext
from pydantic_ai.capabilities import AbstractCapability, HandleDeferredToolCalls
from pydantic_ai.exceptions import CallDeferred
from pydantic_ai.messages import ModelRequest, ToolReturnPart
from pydantic_ai.tools import DeferredToolRequests, DeferredToolResults, ToolDefinition
from pydantic_ai.toolsets import ExternalToolset
from tests.engine.agents import agent
from tests.engine.lab import WHO, Died, die_at

from holdfast import App, effect
from holdfast.domain import events as ev
from holdfast.domain.approving import Approving
from holdfast.service.answer_question import answer_question
from holdfast.service.approval_errors import RunStopping
from holdfast.service.cancel_run import cancel_run
from holdfast.service.decide_approval import decide_approval
from holdfast.service.list_tasks_to_decide import get_task_to_decide, list_tasks_to_decide
from holdfast.store.leases import tick
from holdfast.testing import FakeClock

ASKS = [("ask", {"text": "Which colour?"}, "q1")]


def asking(ran: list[Any], *script: Any, kind: Any = "question", seen: Any = None, **options: Any) -> Agent[Any, Any]:
    """An agent with a tool that leaves its result to somebody else, and one that people have to approve."""
    made = agent(*(script or (ASKS, "done")), seen=seen, **options)

    @made.tool_plain
    @effect.once
    def ask(text: str) -> str:
        ran.append(text)
        raise CallDeferred(metadata={"choices": ["red", "blue"]}, kind=kind)

    @made.tool_plain(requires_approval=True)
    def pay(amount: int) -> str:
        ran.append(amount)
        return "paid"

    return made


async def waiting(lab: Any) -> dict[str, Any]:
    return {task.kind: task for task in (await list_tasks_to_decide(lab.services, WHO)).items}


async def answered(lab: Any, answer: Any = "blue", **more: Any) -> None:
    task = (await waiting(lab))["question"]
    verdict = more.pop("verdict", "answered")
    given = {"answer": answer} if verdict == "answered" else {}
    await answer_question(lab.services, WHO, task.id, verdict, digest=task.digest, **given, **more)


def returned(seen: list[Any]) -> dict[str, tuple[str, Any]]:
    """What the model was last told of each call."""
    parts = [part for message in seen[-1] if isinstance(message, ModelRequest) for part in message.parts]
    return {part.tool_call_id: (part.outcome, part.content) for part in parts if isinstance(part, ToolReturnPart)}


@pytest.mark.parametrize(("kind", "ask"), [("question", "user"), ("external", "")])
async def test_a_question_parks_the_run_and_its_answer_is_the_calls_result(make_lab, kind, ask):
    ran: list[Any] = []
    seen: list[Any] = []
    lab = await make_lab(asking(ran, kind=kind, seen=seen), stream=False)
    await lab.start()
    assert await lab.work() == "parked"
    assert (lab.row()["state"], lab.row()["waiting_on"], lab.row()["worker"]) == ("parked", "question", None)
    task = (await waiting(lab))["question"]
    assert (task.tool, task.ask, task.args.value, task.needed) == ("ask", ask, {"text": "Which colour?"}, 1)
    detail = await get_task_to_decide(lab.services, WHO, task.id)
    assert detail.metadata is not None
    assert detail.metadata.value == {"choices": ["red", "blue"]}
    assert detail.sources == {"text": ["untrusted"]}
    await answered(lab)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert ran == ["Which colour?"], "the tool was entered again"
    assert returned(seen) == {"q1": ("success", "blue")}
    [asked], [told] = await lab.of(ev.QuestionAsked), await lab.of(ev.QuestionAnswered)
    assert (asked.approval, asked.kind, told.verdict, told.by) == (task.id, kind, "answered", WHO.principal)
    assert await lab.content(told.answer) == "blue"


@pytest.mark.parametrize("answer", ["", None, 5, [1, "a"], {"kind": "tool-return", "return_value": "x"}])
async def test_any_json_is_an_answer(make_lab, answer):
    seen: list[Any] = []
    lab = await make_lab(asking([], seen=seen), stream=False)
    await lab.start()
    await lab.work()
    await answered(lab, answer)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert returned(seen) == {"q1": ("success", answer)}


POINTS = ["intent.before", "intent.after", "tool.entering", "outcome.before", "outcome.after", "model.sending"]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("nth", [1, 2])
async def test_killed_before_or_behind_the_question_it_is_asked_once(make_lab, point, nth):
    seen: list[Any] = []
    made = agent(ASKS, "done", seen=seen)

    @made.tool_plain
    @effect.idempotent
    def ask(text: str) -> str:
        raise CallDeferred(kind="question")

    lab = await make_lab(made, stream=False)
    await lab.start()
    await lab.work(probe=die_at(point, nth))
    if lab.state != "parked":
        assert await lab.work() == "parked"
    assert len(await lab.of(ev.QuestionAsked)) == len(await waiting(lab)) == 1
    await answered(lab)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert returned(seen) == {"q1": ("success", "blue")}


@pytest.mark.parametrize("point", ["intent.before", "intent.after", "model.sending"])
async def test_killed_behind_the_answer_it_is_neither_lost_nor_asked_for_again(make_lab, point):
    ran: list[Any] = []
    seen: list[Any] = []
    lab = await make_lab(asking(ran, seen=seen), stream=False)
    await lab.start()
    await lab.work()
    await answered(lab)
    assert isinstance(await lab.work(probe=die_at(point)), Died)
    assert await waiting(lab) == {}
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert ran == ["Which colour?"]
    assert returned(seen) == {"q1": ("success", "blue")}
    assert (len(await lab.of(ev.QuestionAsked)), len(await lab.of(ev.QuestionAnswered))) == (1, 1)


@pytest.mark.parametrize("first", ["approval", "question"])
async def test_beside_an_approval_the_run_waits_for_both(make_lab, first):
    ran: list[Any] = []
    seen: list[Any] = []
    lab = await make_lab(asking(ran, [*ASKS, ("pay", {"amount": 5}, "p1")], "done", seen=seen), stream=False)
    await lab.start()
    assert await lab.work() == "parked"
    assert lab.row()["waiting_on"] == "approval"
    tasks = await waiting(lab)
    assert set(tasks) == {"approval", "question"}
    approval = tasks["approval"]
    if first == "question":
        await answered(lab)
    else:
        await decide_approval(lab.services, WHO, approval.id, "approved", digest=approval.digest)
    assert await lab.work() == "parked"
    assert lab.row()["waiting_on"] == ("approval" if first == "question" else "question")
    assert ran == ["Which colour?"], "nothing is done before all is decided"
    if first == "question":
        await decide_approval(lab.services, WHO, approval.id, "approved", digest=approval.digest)
    else:
        await answered(lab)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert returned(seen) == {"q1": ("success", "blue"), "p1": ("success", "paid")}


@pytest.mark.parametrize("reason", ["I do not know", None])
async def test_who_declines_fails_the_call_and_not_the_run(make_lab, reason):
    seen: list[Any] = []
    lab = await make_lab(asking([], seen=seen), stream=False)
    await lab.start()
    await lab.work()
    await answered(lab, verdict="declined", reason=reason)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert returned(seen) == {"q1": ("failed", reason or "The person who was asked gives no answer.")}


@pytest.mark.parametrize("on_expiry", ["reject", "fail_run"])
async def test_when_nobody_answers_the_model_is_told_or_the_run_fails(make_lab, on_expiry):
    seen: list[Any] = []
    approving = Approving(expires_s=60, on_expiry=on_expiry)
    lab = await make_lab(asking([], seen=seen), stream=False, approving=approving)
    await lab.start()
    await lab.work()
    with FakeClock(lab.admin_url) as clock:
        clock.advance(61)
        assert (await tick(lab.worker_db, 100)).expired == 1
    assert await lab.work() == "finished"
    if on_expiry == "fail_run":
        assert "QuestionExpired: Nobody answered in time what 'ask' asked." in await lab.failure()
    else:
        await lab.expect("succeeded")
        assert returned(seen) == {"q1": ("failed", "Nobody answered in time.")}


async def test_a_call_that_people_approved_may_ask_and_has_its_own_question(make_lab):
    ran: list[Any] = []
    seen: list[Any] = []
    made = agent([("book", {"room": 1}, "b1"), ("pay", {}, "p1")], "done", seen=seen)

    @made.tool(requires_approval=True)
    @effect.once
    def book(ctx: RunContext[Any], room: int) -> str:
        ran.append(room)
        raise CallDeferred(kind="question")

    @made.tool_plain(requires_approval=True)
    @effect.once
    def pay() -> str:
        ran.append("paid")
        return "paid"

    lab = await make_lab(made, stream=False)
    await lab.start()
    await lab.work()
    for task in (await list_tasks_to_decide(lab.services, WHO)).items:
        edited = {"room": 2} if task.tool == "book" else None
        await decide_approval(lab.services, WHO, task.id, "approved", digest=task.digest, args=edited)
    assert await lab.work() == "parked"
    assert lab.row()["waiting_on"] == "question"
    assert (await waiting(lab))["question"].args.value == {"room": 2}
    await answered(lab)
    assert isinstance(await lab.work(probe=die_at("intent.before")), Died)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert sorted(map(str, ran)) == ["2", "paid"]
    assert returned(seen) == {"b1": ("success", "blue"), "p1": ("success", "paid")}


class Redacts(AbstractCapability[Any]):
    async def after_tool_execute(self, ctx: Any, *, call: Any, tool_def: Any, args: Any, result: Any) -> Any:
        return f"<{result}>"


@pytest.mark.parametrize("approved", [False, True])
async def test_the_agents_hooks_see_the_answer_as_they_see_a_result(make_lab, approved):
    seen: list[Any] = []
    made = agent(ASKS, "done", seen=seen, capabilities=[Redacts()])

    @made.tool_plain(requires_approval=approved)
    @effect.once
    def ask(text: str) -> str:
        raise CallDeferred(kind="question")

    lab = await make_lab(made, stream=False)
    await lab.start()
    await lab.work()
    if approved:
        task = (await waiting(lab))["approval"]
        await decide_approval(lab.services, WHO, task.id, "approved", digest=task.digest)
        await lab.work()
    await answered(lab)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert returned(seen) == {"q1": ("success", "<blue>")}


async def test_a_handler_of_the_agents_answers_first_and_people_the_rest(make_lab):
    asked: list[list[str]] = []
    seen: list[Any] = []

    async def handler(ctx: Any, requests: DeferredToolRequests) -> DeferredToolResults:
        asked.append([call.tool_call_id for call in requests.calls])
        return requests.build_results(calls={"q1": "red"})

    made = asking(
        [],
        [*ASKS, ("ask", {"text": "Which size?"}, "q2")],
        "done",
        seen=seen,
        capabilities=[HandleDeferredToolCalls(handler=handler)],
    )
    lab = await make_lab(made, stream=False)
    await lab.start()
    assert await lab.work() == "parked"
    [task] = (await list_tasks_to_decide(lab.services, WHO)).items
    assert task.call == "q2"
    await answered(lab, "large")
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert returned(seen) == {"q1": ("success", "red"), "q2": ("success", "large")}
    assert asked == [["q1", "q2"]], "it was asked again"


def outside(**options: Any) -> Agent[Any, Any]:
    toolset = ExternalToolset([ToolDefinition(name="measure", parameters_json_schema={"type": "object"})])
    script = options.pop("script", ([("measure", {"where": "Ulm"}, "m1")], "done"))
    return agent(*script, toolsets=[toolset], **options)


async def test_a_call_of_an_external_toolset_waits_for_its_result(make_lab):
    seen: list[Any] = []
    lab = await make_lab(outside(seen=seen), stream=False)
    await lab.start()
    assert await lab.work() == "parked"
    task = (await waiting(lab))["question"]
    assert (task.tool, task.ask, task.args.value) == ("measure", "", {"where": "Ulm"})
    await answered(lab, {"degrees": 21.5})
    assert isinstance(await lab.work(probe=die_at("intent.after")), Died)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert returned(seen) == {"m1": ("success", {"degrees": 21.5})}
    assert await lab.of(ev.ToolStarted) == []


@pytest.mark.parametrize("kind", ["question", "external"])
async def test_where_the_output_may_be_the_open_calls_nobody_is_asked(make_lab, kind):
    lab = await make_lab(asking([], kind=kind, output_type=[str, DeferredToolRequests]), stream=False)
    await lab.start()
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert (await lab.output())["calls"][0]["tool_call_id"] == "q1"
    assert await lab.of(ev.QuestionAsked) == []


async def test_a_cancelled_run_has_nothing_answered_and_leaves_no_question(make_lab):
    lab = await make_lab(asking([]), stream=False)
    await lab.start()
    await lab.work()
    task = (await waiting(lab))["question"]
    await cancel_run(lab.services, WHO, lab.run)
    with pytest.raises(RunStopping):
        await answer_question(lab.services, WHO, task.id, "answered", digest=task.digest, answer="late")
    assert await lab.work() == "finished"
    assert lab.state == "cancelled"
    assert (await get_task_to_decide(lab.services, WHO, task.id)).state == "void"


@pytest.mark.parametrize("declared", [True, False])
async def test_a_sub_agents_question_reaches_the_inbox_and_resumes_there(make_lab, declared):
    ran: list[Any] = []
    seen: list[Any] = []
    inner = asking(ran, seen=seen, name="inner")
    outer = agent([("delegate", {}, "d1")], "all done")

    async def delegate(ctx: RunContext[Any]) -> str:
        return (await inner.run("inner hi", usage=ctx.usage)).output

    outer.tool(effect.delegate(delegate) if declared else effect.once(delegate))
    lab = await make_lab(outer, agents=[inner], stream=False)
    await lab.start()
    if not declared:
        assert await lab.work() == "finished"
        assert "'ask' of sub-agent 'inner' asks for an answer inside 'delegate'" in await lab.failure()
        return
    assert await lab.work() == "parked"
    assert lab.row()["waiting_on"] == "question"
    assert (await waiting(lab))["question"].scope.startswith("1:d1>inner")
    await answered(lab)
    assert isinstance(await lab.work(probe=die_at("intent.after", 2)), Died)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert ran == ["Which colour?"]
    assert returned(seen) == {"q1": ("success", "blue")}


async def test_a_sub_agents_external_call_reaches_the_inbox_too(make_lab):
    seen: list[Any] = []
    inner = outside(seen=seen, name="inner")
    outer = agent([("delegate", {}, "d1")], "all done")

    @outer.tool
    @effect.delegate
    async def delegate(ctx: RunContext[Any]) -> str:
        return (await inner.run("inner hi", usage=ctx.usage)).output

    lab = await make_lab(outer, agents=[inner], stream=False)
    await lab.start()
    assert await lab.work() == "parked"
    assert (await waiting(lab))["question"].ask == ""
    await answered(lab, "21")
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert returned(seen) == {"m1": ("success", "21")}


async def test_an_answer_to_something_else_is_none(make_lab):
    lab = await make_lab(asking([]), stream=False)
    await lab.start()
    await lab.work()
    await answered(lab)
    with psycopg.connect(lab.admin_url, autocommit=True) as connection:
        other = "jsonb_set(body::jsonb, '{digest}', to_jsonb(repeat('0', 64)))::text"
        told = "where run = %s and kind = 'decision'"
        assert connection.execute(f"update holdfast.signals set body = {other} {told}", [lab.run]).rowcount == 1
    assert await lab.work() == "finished"
    assert "ApprovalMismatch" in await lab.failure()


async def test_a_tool_that_is_another_by_now_parks_the_run_and_keeps_the_answer(make_lab):
    lab = await make_lab(outside(), stream=False)
    await lab.start()
    await lab.work()
    await answered(lab, "21")
    other = outside()
    other = Agent(other.model, toolsets=[ExternalToolset([ToolDefinition(name="measure", description="Another.")])])
    app = App("lab")
    app.task("task", agent=other, stream=False, version=lab.app["task"].version)
    assert await lab.work(app=app) == "parked"
    assert lab.row()["waiting_on"] == "code"
    assert len(await lab.of(ev.QuestionAnswered)) == 1

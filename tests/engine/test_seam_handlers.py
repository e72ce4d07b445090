"""The agent's own handlers of deferred calls: their decisions are facts, and people are asked for the rest."""

from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, RunContext
from pydantic_ai.capabilities import AbstractCapability, HandleDeferredToolCalls, RequestInput
from pydantic_ai.exceptions import ApprovalRequired, CallDeferred, ModelRetry, ToolFailed
from pydantic_ai.messages import ModelRequest, ToolReturn, ToolReturnPart
from pydantic_ai.tools import DeferredToolRequests, DeferredToolResults, ToolApproved, ToolDenied
from tests.engine.agents import agent
from tests.engine.lab import WHO, Died, die_at

from holdfast import effect
from holdfast.domain import events as ev
from holdfast.service.answer_question import answer_question
from holdfast.service.decide_approval import decide_approval
from holdfast.service.list_tasks_to_decide import list_tasks_to_decide

TWO_CALLS = ([("pay", {"amount": 5}, "small"), ("pay", {"amount": 500}, "large")], "done")


class Handler:
    """Approves small amounts, and says by how much it was troubled."""

    def __init__(self, answer: Any = None) -> None:
        self.asked: list[list[str]] = []
        self._answer = answer

    async def __call__(self, ctx: RunContext[Any], requests: DeferredToolRequests) -> DeferredToolResults | None:
        self.asked.append([call.tool_call_id for call in (*requests.approvals, *requests.calls)])
        if self._answer is not None:
            return self._answer(requests)
        small = [call for call in requests.approvals if call.args_as_dict()["amount"] < 100]
        return requests.build_results(
            approvals={call.tool_call_id: True for call in small},
            metadata={call.tool_call_id: {"limit": 100} for call in small},
            answered_by={call.tool_call_id: "limit of 100" for call in small},
        )


def paying(
    handler: Any, ran: list[Any], *script: Any, seen: Any = None, raises: bool = False, **options: Any
) -> Agent[Any, Any]:
    capability = handler if isinstance(handler, AbstractCapability) else HandleDeferredToolCalls(handler=handler)
    made = agent(*(script or TWO_CALLS), seen=seen, capabilities=[capability], **options)

    @made.tool(requires_approval=not raises)
    @effect.once
    async def pay(ctx: RunContext[Any], amount: int) -> str:
        if raises and not ctx.tool_call_approved:
            raise ApprovalRequired(metadata={"amount": amount})
        ran.append((amount, ctx.tool_call_metadata))
        return f"paid {amount}"

    return made


@pytest.mark.parametrize("raises", [False, True])
async def test_people_are_asked_for_what_the_handler_leaves_undecided(make_lab, raises):
    ran: list[Any] = []
    handler = Handler()
    lab = await make_lab(paying(handler, ran, raises=raises), stream=False)
    await lab.start()
    assert await lab.work() == "parked"
    assert lab.row()["waiting_on"] == "approval"
    [task] = (await list_tasks_to_decide(lab.services, WHO)).items
    assert task.call == "large"
    await decide_approval(lab.services, WHO, task.id, "approved", digest=task.digest)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert sorted(ran, key=str) == [(5, {"limit": 100}), (500, None)]
    assert handler.asked == [["small", "large"]], "it was asked again"
    decided = {event.call: event.by for event in await lab.of(ev.ApprovalDecided)}
    assert decided == {"small": "limit of 100", "large": WHO.principal}


@pytest.mark.parametrize("point", ["intent.before", "intent.after", "outcome.before", "model.sending"])
async def test_a_handler_is_not_asked_again_wherever_the_worker_dies(make_lab, point):
    ran: list[Any] = []
    handler = Handler()
    lab = await make_lab(paying(handler, ran, [("pay", {"amount": 5}, "small")], "done"), stream=False)
    await lab.start()
    # The second request or call: by then the handler has decided.
    died = await lab.work(probe=die_at(point, 1 if point == "outcome.before" else 2))
    assert isinstance(died, Died)
    ended = await lab.work()
    if point in {"intent.after", "outcome.before"}:
        # Approved and begun, and not known to have finished.
        assert ended == "parked"
        assert lab.row()["waiting_on"] == "in_doubt"
    else:
        assert ended == "finished"
        await lab.expect("succeeded")
    assert ran in ([], [(5, {"limit": 100})])
    assert len(handler.asked) == 1


async def test_a_handler_that_denies_is_heard(make_lab):
    seen: list[Any] = []
    ran: list[Any] = []
    denies = Handler(
        lambda r: r.build_results(approvals={c.tool_call_id: ToolDenied("not today") for c in r.approvals})
    )
    lab = await make_lab(paying(denies, ran, seen=seen), stream=False)
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("intent.after", 2)), Died)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert ran == []
    assert len(denies.asked) == 1
    assert tool_returns(seen[-1]) == ["not today", "not today"]
    assert {event.by for event in await lab.of(ev.ApprovalDecided)} == {"the agent's own handler"}


async def test_a_handler_may_change_the_arguments(make_lab):
    ran: list[Any] = []
    cut = Handler(
        lambda r: r.build_results(
            approvals={c.tool_call_id: ToolApproved(override_args={"amount": 7}) for c in r.approvals}
        )
    )
    lab = await make_lab(paying(cut, ran), stream=False)
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("model.sending", 2)), Died)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert ran == [(7, None), (7, None)]
    assert len(cut.asked) == 1


async def test_a_handler_that_acts_and_decides_nothing_acts_once(make_lab):
    """As one that tells somebody that a decision waits."""
    ran: list[Any] = []
    posts = Handler(lambda _: DeferredToolResults())
    lab = await make_lab(paying(posts, ran, [("pay", {"amount": 5}, "small")], "done"), stream=False)
    await lab.start()
    assert await lab.work() == "parked"
    [task] = (await list_tasks_to_decide(lab.services, WHO)).items
    await decide_approval(lab.services, WHO, task.id, "approved", digest=task.digest)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert [amount for amount, _ in ran] == [5]
    assert len(posts.asked) == 1


async def test_several_handlers_are_asked_in_turn_and_each_once(make_lab):
    ran: list[Any] = []
    first, second = Handler(), Handler(lambda r: r.build_results(approve_all=True))
    made = paying(first, ran)
    made = Agent(
        made.model,
        toolsets=list(made.toolsets),
        capabilities=[HandleDeferredToolCalls(handler=first), HandleDeferredToolCalls(handler=second)],
    )
    lab = await make_lab(made, stream=False)
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("model.sending", 2)), Died)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert (first.asked, second.asked) == ([["small", "large"]], [["large"]])
    assert sorted(amount for amount, _ in ran) == [5, 500]


class Weather(BaseModel):
    degrees: float


ANSWERS: dict[str, Any] = {
    "plain": "sunny",
    "model": Weather(degrees=21.5),
    "return": ToolReturn("sunny", content=["as seen"], metadata={"n": 1}),
    "failed": ToolFailed("no sensor"),
    "retry": ModelRetry("say where"),
}


@pytest.mark.parametrize("kind", ANSWERS)
async def test_an_answer_to_an_external_call_is_replayed_as_it_was(make_lab, kind):
    seen: list[Any] = []
    answers = Handler(lambda r: r.build_results(calls={c.tool_call_id: ANSWERS[kind] for c in r.calls}))
    made = agent([("look", {}, "l1")], "done", seen=seen, capabilities=[HandleDeferredToolCalls(handler=answers)])

    @made.tool_plain
    def look() -> str:
        raise CallDeferred

    lab = await make_lab(made, stream=False)
    await lab.start()
    # Before the second request is committed: it is made anew, from the recorded answer.
    assert isinstance(await lab.work(probe=die_at("intent.before", 3)), Died)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert answers.asked == [["l1"]]
    returned = str(tool_returns(seen[-1]) or seen[-1])
    assert {"plain": "sunny", "model": "21.5", "return": "sunny", "failed": "no sensor", "retry": "say where"}[
        kind
    ] in returned


async def test_an_external_call_that_no_handler_answers_waits_for_people_and_the_handler_is_not_asked_again(make_lab):
    silent = Handler(lambda _: DeferredToolResults())
    made = agent([("look", {}, "l1")], "done", capabilities=[HandleDeferredToolCalls(handler=silent)])

    @made.tool_plain
    def look() -> str:
        raise CallDeferred

    lab = await make_lab(made, stream=False)
    await lab.start()
    assert await lab.work() == "parked"
    [task] = (await list_tasks_to_decide(lab.services, WHO)).items
    await answer_question(lab.services, WHO, task.id, "answered", digest=task.digest, answer="sunny")
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert silent.asked == [["l1"]]


async def test_a_handler_that_would_wait_in_the_process_is_refused(make_lab):
    ran: list[Any] = []

    async def ask(ctx: RunContext[Any], requests: DeferredToolRequests, token: str) -> None:
        ran.append(token)

    lab = await make_lab(paying(RequestInput(ask), ran), stream=False)
    await lab.start()
    assert await lab.work() == "finished"
    assert lab.state == "failed"
    failure = await lab.failure()
    assert failure.startswith("UserError: ")
    assert "RequestInput" in failure
    assert ran == []


async def test_what_a_handler_answered_and_cannot_be_stored_fails_the_run(make_lab):
    answers = Handler(lambda r: r.build_results(calls={c.tool_call_id: object() for c in r.calls}))
    made = agent([("look", {}, "l1")], "done", capabilities=[HandleDeferredToolCalls(handler=answers)])

    @made.tool_plain
    def look() -> str:
        raise CallDeferred

    lab = await make_lab(made, stream=False)
    await lab.start()
    assert await lab.work() == "finished"
    assert "ResultNotStored" in await lab.failure()


def tool_returns(messages: list[Any]) -> list[Any]:
    return [
        part.content
        for message in messages
        if isinstance(message, ModelRequest)
        for part in message.parts
        if isinstance(part, ToolReturnPart)
    ]

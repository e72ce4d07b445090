"""A run in trouble goes to people: they let it go on, end it with an output of theirs, or have it fail."""

from typing import Any
from uuid import uuid4

import psycopg
import pytest
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart
from pydantic_ai.models.function import FunctionModel
from tests.engine.agents import agent
from tests.engine.lab import WHO, Died, die_at
from tests.engine.test_seam_policy import pending, told

from holdfast import EscalationPath, UserError, effect
from holdfast.domain import events as ev
from holdfast.domain.errors import AlreadyDecided, InvalidInput
from holdfast.service.cancel_run import cancel_run
from holdfast.service.decide_approval import DigestMismatch
from holdfast.service.decide_escalation import decide, decide_escalation
from holdfast.service.show_run import show_run

PATH = EscalationPath(to="admin")


class OutOfPaper(Exception):
    pass


class Order(BaseModel):
    item: str
    count: int


async def say(lab: Any, way: Any, **more: Any) -> Any:
    [task] = await pending(lab)
    return await decide_escalation(lab.services, WHO, task.id, way, digest=task.digest, **more)


def printing(attempts: list[int], *, seen: Any = None, after: str = "printed elsewhere") -> Any:
    made = agent([("order", {}, "o1")], [("print_it", {}, "p1")], after, seen=seen)

    @made.tool_plain
    @effect.once
    def order() -> str:
        attempts.append(0)
        return "ordered"

    @made.tool_plain
    @effect.once
    def print_it() -> str:
        attempts.append(1)
        raise OutOfPaper("tray 2")

    return made


async def test_without_a_path_it_fails(make_lab):
    lab = await make_lab(printing([]))
    await lab.start()
    assert await lab.work() == "finished"
    assert "OutOfPaper: tray 2" in await lab.failure()
    assert await pending(lab) == []


async def test_people_are_shown_what_happened_and_what_was_done_and_a_tools_error_goes_to_the_model(make_lab):
    attempts: list[int] = []
    seen: list[Any] = []
    lab = await make_lab(printing(attempts, seen=seen), escalation=PATH, stream=False)
    await lab.start()
    assert await lab.work() == "parked"
    assert lab.row()["waiting_on"] == "escalation"
    [task] = await pending(lab)
    assert (task.kind, task.ask, task.tool) == ("escalation", "admin", "")
    assert "OutOfPaper at test_seam_trouble.py:" in task.why
    assert "tray 2" not in task.why, "content is not in a column"
    shown = dict(task.args.value)
    assert shown.pop("error")["type"] == "OutOfPaper"
    assert shown.pop("so_far").items() >= {"model_requests": 2, "tool_calls": 2, "side_effects": 2}.items()
    assert shown == {
        "happened": "tray 2",
        "effects": [
            {"tool": "order", "call": "o1", "came_to": "value"},
            {"tool": "print_it", "call": "p1", "came_to": "error"},
        ],
    }
    await say(lab, "go_on")
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert attempts == [0, 1], "no finished step runs again"
    assert told(seen)[-1] == ("failed", "OutOfPaper: tray 2")
    assert await lab.output() == "printed elsewhere"


async def test_a_model_that_could_not_be_asked_is_asked_once_more(make_lab):
    asked: list[int] = []

    def answer(messages: list[Any], _info: Any) -> ModelResponse:
        asked.append(len(messages))
        if len(asked) < 3:
            raise ConnectionError("no route")
        return ModelResponse(parts=[TextPart("at last")])

    lab = await make_lab(Agent(FunctionModel(answer)), escalation=PATH, stream=False)
    await lab.start()
    for round_ in (1, 2):
        assert await lab.work() == "parked"
        [task] = await pending(lab)
        assert task.round == round_
        await say(lab, "go_on")
    assert await lab.work() == "finished"
    assert await lab.output() == "at last"


@pytest.mark.parametrize("point", ["intent.before", "intent.after"])
async def test_what_people_said_holds_though_the_worker_dies_on_it(make_lab, point):
    attempts: list[int] = []
    lab = await make_lab(printing(attempts), escalation=PATH)
    await lab.start()
    assert await lab.work() == "parked"
    await say(lab, "go_on")
    assert isinstance(await lab.work(probe=die_at(point)), Died)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert attempts == [0, 1]
    assert len(await lab.of(ev.Escalated)) == 1


async def test_somebody_ends_it_with_an_output_that_fits(make_lab):
    made = agent([("final_result", {"item": "tea"}, "f1")], output_type=Order, retries=0)
    lab = await make_lab(made, escalation=PATH)
    session = uuid4()
    await lab.start(session=session)
    assert await lab.work() == "parked"
    with pytest.raises(InvalidInput, match="count: Field required"):
        await say(lab, "finish", output={"item": "tea"})
    await say(lab, "finish", output={"item": "tea", "count": 2})
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert await lab.output() == {"item": "tea", "count": 2}
    [succeeded] = await lab.of(ev.RunSucceeded)
    assert succeeded.by == WHO.principal
    seen: list[Any] = []
    lab.app.task("next", agent=agent("and so on", seen=seen))
    await lab.start("next", "and then?", session=session)
    assert await lab.work() == "finished"
    *_, answer, asked = seen[0]
    assert isinstance(answer, ModelResponse)
    assert answer.parts[0].content == '{"count":2,"item":"tea"}'
    assert isinstance(asked, ModelRequest)


async def test_an_output_that_nobody_could_check_is_checked_by_the_worker(make_lab):
    made = agent([("final_result", {"item": "tea"}, "f1")], output_type=Order, retries=0)
    lab = await make_lab(made, escalation=PATH)
    await lab.start()
    assert await lab.work() == "parked"
    [task] = await pending(lab)
    app, lab.app = lab.app, None
    await decide_escalation(lab.services, WHO, task.id, "finish", digest=task.digest, output={"item": 3})
    lab.app = app
    assert await lab.work() == "parked"
    [again] = await pending(lab)
    assert "count: Field required" in again.args.value["happened"]
    await say(lab, "finish", output={"item": "tea", "count": 1})
    assert await lab.work() == "finished"
    await lab.expect("succeeded")


async def test_somebody_fails_it_and_says_why(make_lab):
    lab = await make_lab(printing([]), escalation=PATH)
    await lab.start()
    assert await lab.work() == "parked"
    task = await say(lab, "fail_run", reason="the printer is gone")
    assert await lab.work() == "finished"
    failure = await lab.failure()
    assert failure.startswith("OutOfPaper: tray 2")
    assert "the printer is gone" in failure
    with pytest.raises(AlreadyDecided):
        await decide(lab.services, WHO, task.id, "go_on", digest=task.digest)


async def test_nobody_answers_in_time_and_it_fails(make_lab):
    lab = await make_lab(printing([]), escalation=EscalationPath(expires_s=60))
    await lab.start()
    assert await lab.work() == "parked"
    with psycopg.connect(lab.admin_url, autocommit=True) as connection:
        connection.execute("update holdfast.approvals set expires_at = asked_at, due_at = asked_at")
        connection.execute("select * from holdfast.tick(100)")
    assert await lab.work() == "finished"
    assert "nobody said otherwise in time" in await lab.failure()


async def test_a_terminal_failure_asks_nobody(make_lab):
    lab = await make_lab(printing([]), escalation=PATH, terminal=OutOfPaper)
    await lab.start()
    assert await lab.work() == "finished"
    assert lab.state == "failed"


@pytest.mark.parametrize("said", [False, "no order was placed"])
async def test_an_output_that_is_not_what_the_task_is_for_is_no_success(make_lab, said):
    async def placed(output: str) -> Any:
        return True if output == "placed" else said

    lab = await make_lab(agent("sorry"), success=placed, stream=False)
    await lab.start()
    assert await lab.work() == "finished"
    assert lab.state == "failed"
    assert ("NotASuccess: " + (said or "The output is not what the task is for.")) in await lab.failure()
    lab = await make_lab(agent("placed"), success=placed, stream=False)
    await lab.start()
    assert await lab.work() == "finished"
    await lab.expect("succeeded")


async def test_an_effect_in_doubt_goes_to_whom_the_path_names(make_lab):
    attempts: list[int] = []
    lab = await make_lab(printing(attempts), escalation=EscalationPath(to="two admins", on=["doubt"], expires_s=60))
    await lab.start()
    assert isinstance(await lab.work(probe=die_at("outcome.before")), Died)
    assert await lab.work() == "parked"
    [task] = await pending(lab)
    assert (task.kind, task.ask, task.if_unanswered) == ("in_doubt", "two admins", "The run fails.")


async def test_a_cancelled_run_ends_and_nobody_is_asked_any_more(make_lab):
    lab = await make_lab(printing([]), escalation=PATH)
    await lab.start()
    assert await lab.work() == "parked"
    [task] = await pending(lab)
    await cancel_run(lab.services, WHO, lab.run)
    assert await lab.work() == "finished"
    assert lab.state == "cancelled"
    assert await pending(lab) == []
    with pytest.raises(AlreadyDecided):
        await decide(lab.services, WHO, task.id, "go_on", digest=task.digest)


async def test_what_does_not_belong_together_is_refused(make_lab):
    lab = await make_lab(printing([]), escalation=PATH)
    await lab.start()
    assert await lab.work() == "parked"
    [task] = await pending(lab)
    for verdict, more in (
        ("approved", {}),
        ("done", {}),
        ("go_on", {"output": 3}),
        ("go_on", {"reason": "x"}),
        ("finish", {"limits": {"steps": 3}}),
        ("fail_run", {"result": 3}),
        ("go_on", {"limits": {"stepz": 3}}),
    ):
        with pytest.raises(InvalidInput):
            await decide(lab.services, WHO, task.id, verdict, digest=task.digest, **more)
    with pytest.raises(DigestMismatch):
        await decide(lab.services, WHO, task.id, "go_on", digest="0" * 64)
    assert len(await pending(lab)) == 1


async def test_the_story_tells_it(make_lab):
    lab = await make_lab(printing([]), escalation=PATH)
    await lab.start()
    assert await lab.work() == "parked"
    await say(lab, "go_on")
    assert await lab.work() == "finished"
    story = await show_run(lab.services, WHO, lab.run)
    [told_] = [step for step in story.steps if step.kind == "escalation"]
    assert (told_.title, told_.outcome) == ("would fail: OutOfPaper", "goes on")


def test_a_path_to_nobody_is_refused():
    for wrong in ({"to": "boss"}, {"on": ["failures"]}):
        with pytest.raises(UserError, match="EscalationPath"):
            EscalationPath(**wrong)

"""What policy and loop detection make of calls whose result comes from outside, and of what is answered."""

from typing import Any

import pytest
from pydantic_ai.exceptions import CallDeferred
from tests.engine.agents import agent
from tests.engine.lab import WHO
from tests.engine.test_seam_halts import halt, lift
from tests.engine.test_seam_policy import Rules
from tests.engine.test_seam_questions import answered, outside, returned, waiting

from holdfast import effect
from holdfast.domain import events as ev
from holdfast.domain.halts import HaltScope
from holdfast.domain.rights import Role
from holdfast.domain.verdict import Ask
from holdfast.service.answer_question import answer_question
from holdfast.service.decide_approval import decide_approval
from support.credentials import admin


async def test_an_external_call_that_policy_denies_goes_before_nobody(make_lab):
    seen: list[Any] = []
    lab = await make_lab(outside(seen=seen), stream=False)
    lab.governor.policy = Rules(lambda *_: "not there")
    await lab.start()
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert returned(seen) == {"m1": ("failed", "Refused by policy: not there")}
    assert (len(await lab.of(ev.CallDenied)), await waiting(lab)) == (1, {})


async def test_an_external_call_that_policy_asks_about_is_agreed_to_first_and_then_waits_for_its_result(make_lab):
    seen: list[Any] = []
    lab = await make_lab(outside(seen=seen), stream=False)
    lab.governor.policy = Rules(lambda *_: Ask())
    await lab.start()
    assert await lab.work() == "parked"
    assert lab.row()["waiting_on"] == "approval"
    tasks = await waiting(lab)
    assert set(tasks) == {"approval"}
    asked = tasks["approval"]
    await decide_approval(lab.services, WHO, asked.id, "approved", digest=asked.digest, args={"where": "Bonn"})
    assert await lab.work() == "parked"
    assert (await waiting(lab))["question"].args.value == {"where": "Bonn"}
    await answered(lab, "mild")
    # What went outside is done: a policy that denies it now comes too late.
    lab.governor.policy = Rules(lambda *_: "not there")
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert returned(seen) == {"m1": ("success", "mild")}


async def test_a_rejected_external_call_has_failed(make_lab):
    seen: list[Any] = []
    lab = await make_lab(outside(seen=seen), stream=False)
    lab.governor.policy = Rules(lambda *_: Ask())
    await lab.start()
    await lab.work()
    asked = (await waiting(lab))["approval"]
    await decide_approval(lab.services, WHO, asked.id, "rejected", digest=asked.digest, reason="no need")
    assert await lab.work() == "finished"
    assert returned(seen) == {"m1": ("failed", "no need")}


async def test_an_agreement_that_is_not_enough_any_more_is_asked_for_anew(make_lab):
    lab = await make_lab(outside(), stream=False)
    lab.governor.policy = Rules(lambda *_: Ask())
    await lab.start()
    await lab.work()
    asked = (await waiting(lab))["approval"]
    await decide_approval(lab.services, WHO, asked.id, "approved", digest=asked.digest)
    lab.governor.policy = Rules(lambda *_: Ask(Role.ADMIN, 2))
    assert await lab.work() == "parked"
    tasks = await waiting(lab)
    assert (set(tasks), tasks["approval"].ask, tasks["approval"].round) == ({"approval"}, "two admins", 2)


def teller(kind: Any) -> Any:
    made = agent([("ask", {"text": "Where to?"}, "q1")], [("send", {"to": "blue@x.example"}, "s1")], "done")

    @made.tool_plain
    @effect.pure
    def ask(text: str) -> str:
        raise CallDeferred(kind=kind)

    @made.tool_plain
    @effect.pure
    def send(to: str) -> str:
        return "sent"

    return made


@pytest.mark.parametrize("who", ["behind", "another"])
async def test_the_person_behind_the_run_vouches_for_what_they_answer_and_nobody_else_does(make_lab, who):
    rules = Rules(lambda *_: None)
    lab = await make_lab(teller("external"), stream=False)
    lab.governor.policy = rules
    await lab.start()
    await lab.work()
    task = (await waiting(lab))["question"]
    by = WHO if who == "behind" else admin(WHO.tenant, "0199d3a0-0000-7000-8000-000000000001")
    await answer_question(lab.services, by, task.id, "answered", digest=task.digest, answer="to blue@x.example")
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    [labels] = [facts.labels for tool, _, facts in rules.seen if tool == "send"]
    assert labels == {"to": {"user" if who == "behind" else "untrusted"}}


@pytest.mark.parametrize("same", [True, False])
async def test_the_same_question_with_the_same_answer_again_and_again_is_a_loop(make_lab, same):
    turns = [[("ask", {"text": "Where to?"}, f"q{n}")] for n in range(12)]
    made = agent(*turns, "done")

    @made.tool_plain
    @effect.pure
    def ask(text: str) -> str:
        raise CallDeferred(kind="question")

    lab = await make_lab(made, stream=False)
    await lab.start()
    for n in range(8):
        if await lab.work() != "parked" or lab.row()["waiting_on"] != "question":
            break
        await answered(lab, "there" if same else f"there {n}")
    assert bool(await lab.of(ev.LoopDetected)) is same


async def test_under_a_halt_of_its_tool_nothing_goes_outside(make_lab):
    lab = await make_lab(outside(), stream=False)
    await lab.start()
    halted = await halt(lab, HaltScope.TOOL, "measure")
    assert await lab.work() == "parked"
    assert lab.row()["waiting_on"] == "halt"
    assert await waiting(lab) == {}
    await lift(lab, halted)
    assert await lab.work() == "parked"
    assert set(await waiting(lab)) == {"question"}

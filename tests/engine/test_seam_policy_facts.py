"""What a verdict was made on is in the journal, and policies can look at how much of the money is left."""

from typing import Any

from tests.engine.lab import WHO
from tests.engine.test_seam_budgets import allow
from tests.engine.test_seam_costs import Model, priced
from tests.engine.test_seam_money import EACH, stepping, steps
from tests.engine.test_seam_policy import pending

from holdfast import Limits, effect, governed
from holdfast.domain import events as ev
from holdfast.guards.policy import load
from holdfast.service.approval_shapes import looked_at_text
from holdfast.service.decide_approval import decide_approval
from holdfast.service.list_tasks_to_decide import get_task_to_decide

ALL = "permit (principal, action, resource);\n"
POOR = (
    '@reason("The money is nearly gone.") forbid (principal, action, resource) when { context.run.budget_left < 50 };'
)


def strangers(to: list[str]) -> set[str]:
    return {one for one in to if not one.endswith("@bank.example")}


def writing(model: Model, sent: list[Any]) -> Any:
    made = model.agent()

    @made.tool_plain
    @effect.idempotent
    @governed(facts={"strangers": strangers})
    def send(to: list[str]) -> str:
        sent.append(to)
        return "sent"

    return made


def govern(lab: Any, text: str) -> None:
    lab.governor.policy = load(text, lab.app.vocabulary())


async def test_facts_of_an_allowed_call_are_in_its_intent_and_not_in_the_clear(make_lab):
    sent: list[Any] = []
    made = writing(Model([("send", {"to": ["ann@bank.example"]}, "s1")], "done"), sent)
    lab = await make_lab(made, stream=False)
    govern(lab, ALL + "forbid (principal, action, resource) unless { context.facts.strangers.isEmpty() };")
    await lab.start()
    assert await lab.work() == "finished"
    [started] = await lab.of(ev.ToolStarted)
    assert await lab.content(started.facts) == {"strangers": []}
    assert started.seen == {}
    assert len(sent) == 1


async def test_what_is_denied_names_what_it_was_denied_on(make_lab):
    sent: list[Any] = []
    made = writing(Model([("send", {"to": ["eve@elsewhere.example"]}, "s1")], "done"), sent)
    lab = await make_lab(made, stream=False)
    govern(lab, ALL + "forbid (principal, action, resource) unless { context.facts.strangers.isEmpty() };")
    await lab.start()
    assert await lab.work() == "finished"
    [denied] = await lab.of(ev.CallDenied)
    assert await lab.content(denied.facts) == {"strangers": ["eve@elsewhere.example"]}
    assert sent == []


async def test_who_is_asked_sees_what_the_policy_saw_and_decides_on_it(make_lab):
    sent: list[Any] = []
    made = writing(Model([("send", {"to": ["eve@elsewhere.example"]}, "s1")], "done"), sent)
    lab = await make_lab(made, stream=False)
    text = '@ask("user") forbid (principal, action, resource) when { !context.facts.strangers.isEmpty() && '
    govern(lab, f"{ALL}{text}context.run.steps >= 0 }};")
    await lab.start()
    assert await lab.work() == "parked"
    [asked] = await lab.of(ev.ApprovalAsked)
    assert (asked.seen, await lab.content(asked.facts)) == ({"steps": 1}, {"strangers": ["eve@elsewhere.example"]})
    [task] = await pending(lab)
    detail = await get_task_to_decide(lab.services, WHO, task.id)
    assert looked_at_text(detail) == 'steps = 1, strangers = ["eve@elsewhere.example"]'
    await decide_approval(lab.services, WHO, task.id, "approved", digest=task.digest)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert len(sent) == 1


async def test_a_policy_can_deny_once_a_budget_is_half_spent(make_lab):
    """What is held is not left, also what the request before the call held, if its answer is not committed yet."""
    lab = await priced(make_lab, stepping(Model(*steps(12))))
    govern(lab, ALL + POOR)
    allow(lab, f"{20 * EACH / 1_000_000}usd/day")
    await lab.start()
    await lab.work()
    left = [event.seen["budget_left"] for event in await lab.of(ev.ToolStarted)]
    denied = (await lab.of(ev.CallDenied))[0]
    seen = [*left, denied.seen["budget_left"]]
    assert all(80 - 5 * answered < share <= 100 - 5 * answered for answered, share in enumerate(seen, 1))
    assert len(left) >= 6
    assert min(left) >= 50 > seen[-1]
    assert await lab.content(denied.why) == "The policy forbids this call of 'step': The money is nearly gone."


async def test_the_limit_of_the_run_itself_counts_too(make_lab):
    model = Model(*steps(2))
    made = stepping(model)
    lab = await priced(make_lab, made, limits=Limits(cost_usd="0.0200"))
    govern(lab, ALL + POOR)
    await lab.start()
    await lab.work()
    assert [event.seen["budget_left"] for event in await lab.of(ev.ToolStarted)] == [90, 80]


async def test_without_budgets_all_of_it_is_left(make_lab):
    made = stepping(Model(*steps(1)))
    lab = await priced(make_lab, made)
    govern(lab, ALL + POOR)
    await lab.start()
    assert await lab.work() == "finished"
    assert [event.seen["budget_left"] for event in await lab.of(ev.ToolStarted)] == [100]

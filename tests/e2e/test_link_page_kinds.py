"""The page behind a link for what is no approval, in a real Chromium: it fits, and only its buttons decide."""

import pytest

from support.link_scene import asked, link_for, state

LONG = {"text": "Which of these?", "note": "y" * 200 + " <b>bold</b>"}
HAPPENED = {
    "happened": "PrinterError: tray 2 is empty",
    "so_far": {"model_requests": 3, "tool_calls": 2, "tokens": 1200, "side_effects": 1},
    "effects": [{"tool": "refund", "call": "c1", "came_to": "value"}],
    "error": {"type": "PrinterError", "place": "shop.py:12 in print_it"},
}
PAGES = {
    "question": (
        "App, what is the answer to refund?",
        ["What it asks\n{", "Who answers\napprover", "If you decline\nThe call has failed, without a result;"],
        ["Answer", "Decline"],
    ),
    "in_doubt": (
        "App, did refund take place?",
        [
            "With these arguments\n{",
            "Who has to agree\napprover: 0 of 1 so far",
            "If it was not done\nThe tool is called",
        ],
        ["It was done", "It was not done: do it now", "Fail the run"],
    ),
    "escalation": (
        "App, what becomes of this run?",
        [
            "What happened, and what the run has done so far\n{",
            "tray 2 is empty",
            "If you fail the run\nIt ends as failed.",
        ],
        ["Go on", "Fail the run"],
    ),
}


async def task_of(scene, kind):
    if kind == "escalation":
        return await asked(scene, "approver", HAPPENED, kind=kind, tool="")
    return await asked(scene, "approver", LONG, kind=kind)


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("kind", PAGES)
async def test_all_that_a_decision_needs_is_there_and_fits(scene, page_at, kind, width):
    title, says, buttons = PAGES[kind]
    task = await task_of(scene, kind)
    async with page_at(width) as page:
        await page.goto(scene.api + await link_for(scene, task, "App"))
        text = await page.inner_text("main")
        for said in (title, *says):
            assert said in text
        assert [await one.inner_text() for one in await page.get_by_role("button").all()] == buttons
        wide = await page.locator("html").bounding_box()
        assert wide is not None
        for each in await page.locator("main *:visible").all():
            box = await each.bounding_box()
            assert box is None or box["x"] + box["width"] <= wide["width"], await each.evaluate("e => e.outerHTML")
        for control in await page.locator("button:visible, input:visible, textarea:visible").all():
            box = await control.bounding_box()
            assert box is None or box["height"] >= 44, "a finger hits it"


async def test_an_answer_of_several_lines_is_typed_and_given(scene, page_at):
    task = await task_of(scene, "question")
    async with page_at(360) as page:
        await page.goto(scene.api + await link_for(scene, task, "App"))
        await page.get_by_role("button", name="Answer").click()
        assert "Nothing was decided. Write your answer, or decline." in await page.inner_text("main")
        await page.get_by_label("Your answer").fill("<b>\nthe blue one")
        await page.get_by_label("If you decline").fill("never mind")
        await page.get_by_label("If you decline").press("Enter")
        assert await state(scene, task) == ("pending", 0), "Enter in a field decides nothing"
        await page.get_by_role("button", name="Answer").click()
        assert "App, your word is kept. It is answered." in await page.inner_text("main")
    told = (await scene.admin.get(f"/v1/approvals/{task['id']}")).json()
    assert (told["state"], told["history"][-1]["content"]["value"]) == ("answered", "<b>\nthe blue one")


async def test_what_was_typed_is_still_there_where_it_is_no_json(scene, page_at):
    task = await task_of(scene, "in_doubt")
    async with page_at(360) as page:
        await page.goto(scene.api + await link_for(scene, task, "App"))
        await page.get_by_label("If it was done").fill("\n{'refund': 7}")
        await page.get_by_role("button", name="It was done", exact=True).click()
        assert "Nothing was decided. Its result is not JSON" in await page.inner_text("main")
        field = page.get_by_label("If it was done")
        assert await field.input_value() == "\n{'refund': 7}"
        await field.fill('{"refund": 7}')
        await page.get_by_role("button", name="It was done", exact=True).click()
        assert "App, your word is kept. It took place." in await page.inner_text("main")
    told = (await scene.admin.get(f"/v1/approvals/{task['id']}")).json()
    assert (told["state"], told["history"][-1]["content"]["value"]) == ("done", {"refund": 7})

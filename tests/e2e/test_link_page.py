"""The page behind a signed link, in a real Chromium without scripts: what it shows, on a phone too, and by keyboard."""

import pytest

from support.link_scene import asked, link_for, state

ARGS = {
    "order_id": "A-1042",
    "amount": "5000.00",
    "note": "x" * 200 + " <b>bold</b> \u202eslaeb eht",
}
ASKS = {"expires_s": 3600, "event": {"policy": "ab12cd34", "rules": ["large refunds", "12:1"]}}
SOURCES = {"order_id": ["user"], "amount": ["user"], "note": ["untrusted"]}


@pytest.mark.parametrize("width", [360, 1200])
async def test_all_that_a_decision_needs_is_there_and_fits(scene, page_at, width):
    task = await asked(scene, "admin", ARGS, sources=SOURCES, **ASKS)
    async with page_at(width) as page:
        await page.goto(scene.api + await link_for(scene, task, "Ben"))
        text = await page.inner_text("main")
        for said in (
            "Ben, may refund be called?",
            '"amount": "5000.00"',
            "<b>bold</b> \\u202eslaeb eht",
            "note\nnobody vouches for it: a document, another tool or the model",
            "The run is for\nAnn",
            "large refunds, line 12 (of ab12cd34)",
            "If you reject\nThe tool is not called; the model is told that it was rejected, and the reason.",
            "If nobody answers\nThe tool is not called; the model is told that nobody answered. At 20",
        ):
            assert said in text
        assert text.index("5000.00") < text.index("The run is for"), "what is decided comes first"
        wide = await page.locator("html").bounding_box()
        assert wide is not None
        for each in await page.locator("main *:visible").all():
            box = await each.bounding_box()
            assert box is None or box["x"] + box["width"] <= wide["width"], await each.evaluate("e => e.outerHTML")
        for button in await page.get_by_role("button").all():
            box = await button.bounding_box()
            assert box is None or box["height"] >= 44, "a finger hits it"


async def test_by_keyboard_enter_in_a_field_decides_nothing(scene, page_at):
    """A form's first button would be pressed, and that approves."""
    task = await asked(scene, "approver", ARGS)
    async with page_at(360) as page:
        await page.goto(scene.api + await link_for(scene, task, "App"))
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.labels[0].textContent") == (
            "If you reject: why (the model is told)"
        )
        await page.keyboard.type("not this one")
        await page.keyboard.press("Enter")
        assert await state(scene, task) == ("pending", 0)
        for expected in ("Approve", "Reject"):
            await page.keyboard.press("Tab")
            assert await page.evaluate("document.activeElement.textContent") == expected
            assert await page.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px"
        async with page.expect_navigation():
            await page.keyboard.press("Enter")
        assert "App, your word is kept. It is rejected." in await page.inner_text("main")
    told = (await scene.admin.get(f"/v1/approvals/{task['id']}")).json()
    assert (told["state"], told["history"][-1]["content"]["value"]) == ("rejected", "not this one")


async def test_an_administrator_gives_their_key_on_the_page(scene, page_at):
    task = await asked(scene, "admin", ARGS)
    async with page_at(360) as page:
        await page.goto(scene.api + await link_for(scene, task, "Ben"))
        key = page.get_by_label("You are an administrator")
        await key.fill("hf_nonsense")
        await page.get_by_role("button", name="Approve").click()
        assert "Nothing was decided: log in as yourself first." in await page.inner_text("main")
        await key.fill(scene.asking["Ben"].headers["authorization"].removeprefix("Bearer "))
        await page.get_by_role("button", name="Approve").click()
        assert "Ben, your word is kept. It is approved." in await page.inner_text("main")
    assert await state(scene, task) == ("approved", 1)

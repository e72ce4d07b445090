"""Links for questions, effects in doubt and runs in trouble: the same rules as those for approvals."""

from uuid import UUID

import pytest
from tests.acceptance.test_approval_links import HOSTILE, Page, altered

from holdfast.service.approval_links import make_link
from holdfast.service.services import LOCAL
from support.link_scene import asked, link_for, link_scene, state

TROUBLE = {"happened": "it broke", "so_far": {"tool_calls": 2}, "effects": [], "error": {"type": "E", "place": ""}}
LIMIT = {"happened": "too many", "limit": {"name": "steps", "most": 4, "stood": 4, "next": 1}}
SAYS = {
    "question": [("answered", {"answer": "the <b>blue</b>\r\none"}, "the <b>blue</b>\none"), ("declined", {}, None)],
    "in_doubt": [("done", {"result": '{"id": 7}'}, {"id": 7}), ("not_done", {}, None), ("fail_run", {}, None)],
    "escalation": [("go_on", {}, None), ("fail_run", {"reason": "no"}, "no")],
}
EACH = [(kind, verdict, sent, content) for kind, says in SAYS.items() for verdict, sent, content in says]


@pytest.fixture
async def scene(api, database, client, holder):
    async with link_scene(api, database, client, holder) as found:
        yield found


async def open_task(scene, kind, ask="two approvers", **more):
    """A task of this kind, the path of a link of App's to it, and what its form would send."""
    args = TROUBLE if kind == "escalation" else {"text": "Which?"}
    tool = "" if kind == "escalation" else "refund"
    task = await asked(scene, ask, args, kind=kind, **({"tool": tool} | more))
    path = await link_for(scene, task, "App")
    return task, path, Page((await scene.nobody.get(path)).text).fields


@pytest.mark.parametrize(("kind", "verdict", "sent", "content"), EACH)
async def test_what_is_said_by_a_link_is_what_the_run_is_told(scene, kind, verdict, sent, content):
    task, path, form = await open_task(scene, kind, "approver")
    assert await state(scene, task) == ("pending", 0), "looking decides nothing"
    done = await scene.nobody.post(path, data=form | sent | {"verdict": verdict})
    assert (done.status_code, "App, your word is kept." in done.text) == (200, True), done.text
    told = (await scene.admin.get(f"/v1/approvals/{task['id']}")).json()
    assert (told["state"], told["decided_by"]) == (verdict, scene.people["App"])
    happened = told["history"][-1]["content"]
    assert (None if happened is None else happened["value"]) == content
    invalid = (await scene.nobody.get("/links/nothing")).content
    for used in (await scene.nobody.post(path, data=form | sent | {"verdict": verdict}), await scene.nobody.get(path)):
        assert (used.status_code, used.content) == (404, invalid)


@pytest.mark.parametrize(
    ("kind", "sent", "why"),
    [
        ("question", {"verdict": "answered"}, "Write your answer, or decline."),
        ("question", {"verdict": "answered", "answer": "  "}, "Write your answer, or decline."),
        ("question", {"verdict": "answered", "answer": "{blue", "as_json": "yes"}, "Your answer is not JSON"),
        ("question", {"verdict": "answered", "answer": "[" * 4000, "as_json": "yes"}, "nested too deep"),
        ("question", {"verdict": "answered", "answer": "NaN", "as_json": "yes"}, "Your answer is not JSON"),
        ("question", {"verdict": "answered", "as_json": "yes"}, "Write your answer, or decline."),
        ("question", {"verdict": "approved"}, "Choose one of what is offered."),
        ("in_doubt", {"verdict": "done"}, "Say what its result is, as JSON."),
        ("in_doubt", {"verdict": "done", "result": "<i>it"}, "Its result is not JSON"),
        ("in_doubt", {"verdict": "go_on"}, "Choose one of what is offered."),
        ("escalation", {"verdict": "finish"}, "Choose one of what is offered."),
        ("escalation", {}, "Choose one of what is offered."),
    ],
)
async def test_what_does_not_fit_decides_nothing_and_keeps_what_was_typed(scene, kind, sent, why):
    task, path, form = await open_task(scene, kind)
    typed = {"reason": 'a "reason" & <b>'} | sent
    answer = await scene.nobody.post(path, data=form | typed)
    page = Page(answer.text)
    assert (answer.status_code, why in page.text) == (422, True), answer.text
    assert page.fields["reason"] == typed["reason"]
    assert page.fields.get("as_json") == typed.get("as_json")
    assert "i" not in page.tags
    assert "b" not in page.tags
    assert typed.get("result", "") in page.text
    assert await state(scene, task) == ("pending", 0)


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ({"answer": '{"degrees": [21.5]}', "as_json": "yes"}, {"degrees": [21.5]}),
        ({"answer": " null ", "as_json": "yes"}, None),
        ({"answer": '{"degrees": [21.5]}'}, '{"degrees": [21.5]}'),
    ],
)
async def test_an_answer_is_json_where_its_author_says_so(scene, typed, answer):
    task, path, form = await open_task(scene, "question", tool="measure")
    assert (await scene.nobody.post(path, data=form | typed | {"verdict": "answered"})).status_code == 200
    told = (await scene.admin.get(f"/v1/approvals/{task['id']}")).json()
    assert told["state"] == "answered"
    happened = told["history"][-1]["content"]
    assert (None if happened is None else happened["value"]) == answer


@pytest.mark.parametrize(
    ("kind", "sent"), [("in_doubt", {"verdict": "done", "result": "[1]"}), ("escalation", {"verdict": "go_on"})]
)
async def test_two_agree_by_links_on_the_same_resolution(scene, kind, sent):
    task, mine, form = await open_task(scene, kind)
    theirs = await link_for(scene, task, "Abe")
    first = await scene.nobody.post(mine, data=form | sent)
    assert (first.status_code, "1 of 2 have agreed" in first.text) == (200, True)
    assert await state(scene, task) == ("pending", 1)
    other = Page((await scene.nobody.get(theirs)).text).fields
    assert (await scene.nobody.post(theirs, data=other | sent)).status_code == 404, "one hand made both links"
    by_abe = await link_for(scene, task, "Abe", by=scene.asking["Abe"])
    other = Page((await scene.nobody.get(by_abe)).text).fields
    assert (await scene.nobody.post(by_abe, data=other | sent)).status_code == 200
    assert await state(scene, task) == (sent["verdict"], 2)


async def test_another_resolution_is_no_agreement(scene):
    task, mine, form = await open_task(scene, "in_doubt")
    theirs = await link_for(scene, task, "Abe", by=scene.asking["Abe"])
    other = Page((await scene.nobody.get(theirs)).text).fields
    await scene.nobody.post(mine, data=form | {"verdict": "done", "result": "1"})
    assert (await scene.nobody.post(theirs, data=other | {"verdict": "done", "result": "2"})).status_code == 200
    assert await state(scene, task) == ("pending", 1)


@pytest.mark.parametrize("kind", SAYS)
async def test_whose_hand_made_a_link_does_not_decide_beside_it(scene, kind):
    task = await asked(scene, "two admins" if kind != "question" else "admin", {"a": 1}, kind=kind, tool="")
    path = await link_for(scene, task, "Ben", by=scene.asking["Cy"])
    verdict, sent, _ = SAYS[kind][0]
    form = Page((await scene.nobody.get(path)).text).fields | sent | {"verdict": verdict}
    assert (await scene.nobody.post(path, data=form)).status_code == 401, "an administrator logs in as well"
    key = scene.asking["Ben"].headers["authorization"].removeprefix("Bearer ")
    # Who has logged in decides in person: no other hand has a part in it.
    assert (await scene.nobody.post(path, data=form | {"credential": key})).status_code == 200
    told = (await scene.admin.get(f"/v1/approvals/{task['id']}")).json()
    assert [one["via"] for one in told["votes"]] == [None]


@pytest.mark.parametrize("kind", SAYS)
async def test_altered_links_open_nothing_whatever_they_were_about(scene, kind):
    _, path, _ = await open_task(scene, kind)
    invalid = (await scene.nobody.get("/links/nothing")).content
    for link in altered(path.removeprefix("/links/"))[::5]:
        answer = await scene.nobody.get(f"/links/{link}")
        assert (answer.status_code, answer.content) == (404, invalid)


@pytest.mark.parametrize("kind", SAYS)
async def test_a_link_says_nothing_of_another_kind_of_task(scene, kind):
    task, path, form = await open_task(scene, kind)
    offered = {verdict for verdict, *_ in SAYS[kind]}
    for verdict in {verdict for _, verdict, *_ in EACH} - offered | {"approved", "rejected", "finish", "void"}:
        sent = form | {"answer": "x", "result": "1", "reason": "y", "verdict": verdict}
        assert (await scene.nobody.post(path, data=sent)).status_code == 422, verdict
    assert await state(scene, task) == ("pending", 0)


async def test_where_a_limit_was_reached_the_page_says_where_it_is_raised(scene):
    task = await asked(scene, "approver", LIMIT, kind="escalation", tool="steps")
    path = await link_for(scene, task, "App")
    shown = await scene.nobody.get(path)
    page = Page(shown.text)
    assert f"holdfast approvals decide {task['id']} --go-on --limit steps=NUMBER" in page.text
    assert 'value="go_on"' not in shown.text
    assert (await scene.nobody.post(path, data=page.fields | {"verdict": "go_on"})).status_code == 422
    assert (await scene.nobody.post(path, data=page.fields | {"verdict": "fail_run"})).status_code == 200
    assert await state(scene, task) == ("fail_run", 1)


@pytest.mark.parametrize("kind", SAYS)
async def test_what_others_wrote_is_text_on_every_page(scene, kind):
    task = await asked(scene, "approver", HOSTILE, kind=kind, tool="<img src=y>" if kind != "escalation" else "")
    shown = await scene.nobody.get(await link_for(scene, task, "App"))
    page = Page(shown.text)
    assert not {"script", "img", "iframe", "link"} & set(page.tags)
    assert HOSTILE["note"] in page.text
    assert "\\u202e001\\u200b" in page.text
    policy = shown.headers["content-security-policy"]
    assert ("default-src 'none'" in policy, "unsafe" in policy) == (True, False)


async def test_the_person_behind_a_run_answers_by_a_link(scene):
    mine = await asked(scene, "user", {"text": "Which?"}, kind="question")
    path = await link_for(scene, mine, "Ann")
    form = Page((await scene.nobody.get(path)).text).fields
    assert (await scene.nobody.post(path, data=form | {"verdict": "answered", "answer": "b"})).status_code == 200
    assert await state(scene, mine) == ("answered", 1)


async def test_an_effect_in_doubt_is_not_for_the_person_behind_the_run(scene):
    doubt = await asked(scene, "approver", {"text": "x"}, kind="in_doubt")
    url = f"/v1/approvals/{doubt['id']}/links"
    refused = await scene.admin.post(url, json={"principal": scene.people["Ann"]})
    assert (refused.status_code, "requester" in refused.json()["detail"]) == (422, True)


async def test_what_is_settled_has_no_link(scene):
    task, _, _ = await open_task(scene, "in_doubt", "approver")
    said = {"verdict": "not_done", "digest": task["digest"]}
    await scene.asking["Abe"].post(f"/v1/approvals/{task['id']}/decision", json=said)
    with pytest.raises(Exception, match="waits to be decided"):
        await make_link(
            scene.services, LOCAL, UUID(task["id"]), UUID(scene.people["App"]), base_url="http://x"
        )  # fmt: skip

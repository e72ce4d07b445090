"""Questions over HTTP: shown with what was asked, answered once by whoever is asked, and parts that fit."""

import pytest

from support.link_scene import link_scene


@pytest.fixture
async def scene(api, database, client, holder):
    async with link_scene(api, database, client, holder) as found:
        yield found


async def question(scene, ask="user", **event):
    """A call of a run of Ann's that asks."""
    assert (await scene.asking["Ann"].post("/v1/tasks/support/runs", json={"input": "x"})).status_code == 202
    held = await scene.holder.claim()
    id_ = await held.ask_person(
        {"text": "Which?"}, kind="question", ask=ask, event={"metadata": held.text({"choices": ["a", "b"]}), **event}
    )
    return held, (await scene.asking["Ann"].get(f"/v1/approvals/{id_}")).json()


async def test_a_question_is_shown_and_answered_by_the_person_behind_the_run(scene):
    held, task = await question(scene)
    assert (task["kind"], task["ask"], task["args"]["value"], task["metadata"]["value"], task["refused"]) == (
        "question", "user", {"text": "Which?"}, {"choices": ["a", "b"]}, None,
    )  # fmt: skip
    [mine] = (await scene.asking["Ann"].get("/v1/approvals", params={"mine": True})).json()["items"]
    assert mine["id"] == task["id"]
    assert (await scene.asking["Ben"].get("/v1/approvals", params={"mine": True})).json()["items"] == []
    url = f"/v1/approvals/{task['id']}/decision"
    said = {"verdict": "answered", "digest": task["digest"], "answer": "b"}
    other = await scene.asking["Ben"].post(url, json=said)
    assert (other.status_code, other.json()["type"]) == (403, "/problems/may-not-decide")
    wrong = await scene.asking["Ann"].post(url, json={**said, "digest": "other"})
    assert (wrong.status_code, wrong.json()["type"]) == (409, "/problems/digest-mismatch")
    done = await scene.asking["Ann"].post(url, json=said)
    assert (done.status_code, done.json()["state"]) == (200, "answered")
    [signal] = await held.inbox()
    assert held.opened(signal) == "b"
    again = await scene.asking["Ann"].post(url, json=said)
    assert (again.status_code, again.json()["type"]) == (409, "/problems/already-decided")


async def test_what_is_done_outside_a_service_reports(scene):
    held, task = await question(scene, ask="", kind="external")
    service = await scene.admin.post("/v1/principals", json={"name": "Lab", "kind": "service", "roles": ["approver"]})
    key = await scene.admin.post("/v1/keys", json={"principal": service.json()["id"]})
    said = {"verdict": "answered", "digest": task["digest"], "answer": {"degrees": 21.5}}
    done = await scene.nobody.post(
        f"/v1/approvals/{task['id']}/decision", json=said, headers={"Authorization": f"Bearer {key.json()['secret']}"}
    )
    assert (done.status_code, done.json()["state"]) == (200, "answered"), done.text
    [signal] = await held.inbox()
    assert held.opened(signal) == {"degrees": 21.5}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"verdict": "answered"}, "invalid-request"),
        ({"verdict": "answered", "answer": "x", "reason": "y"}, "invalid-input"),
        ({"verdict": "answered", "answer": "x", "args": {}}, "invalid-input"),
        ({"verdict": "declined", "answer": "x"}, "invalid-input"),
        ({"verdict": "declined", "output": "x"}, "invalid-input"),
        ({"verdict": "approved"}, "invalid-input"),
        ({"verdict": "done", "result": 1}, "invalid-input"),
        ({"verdict": "expired"}, "invalid-request"),
    ],
)
async def test_parts_that_do_not_belong_together_are_refused(scene, given, problem):
    held, task = await question(scene)
    url = f"/v1/approvals/{task['id']}/decision"
    answer = await scene.asking["Ann"].post(url, json={"digest": task["digest"], **given})
    assert (answer.status_code, answer.json()["type"]) == (422, f"/problems/{problem}"), answer.text
    assert await held.inbox() == []


@pytest.mark.parametrize("given", [{"verdict": "answered", "answer": None}, {"verdict": "declined"}])
async def test_null_is_an_answer_and_who_declines_may_say_why(scene, given):
    _, task = await question(scene)
    url = f"/v1/approvals/{task['id']}/decision"
    answer = await scene.asking["Ann"].post(url, json={"digest": task["digest"], **given})
    assert (answer.status_code, answer.json()["state"]) == (200, given["verdict"])

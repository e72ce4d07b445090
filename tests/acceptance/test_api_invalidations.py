"""What is invalidated is not given to the runs that begin later: over real HTTP, with real agents."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic_ai.messages import ToolReturnPart

from holdfast.engine.withholding import REQUEST_WITHDRAWN, RETURN_WITHDRAWN
from support.talk import Talk, problem, talking


@pytest.fixture
async def talk(database):
    async with talking(database) as found:
        yield found


async def told(talk: Talk, run: str) -> dict[str, Any]:
    """What entered a run, as its journal says."""
    answer = await talk.acme.get(f"/v1/runs/{run}/events", headers={"Accept": "application/json"})
    page = answer.json()["items"]
    [entered] = [event["data"] for event in page if event["type"] == "history_entered"]
    return entered


async def test_a_message_is_not_given_any_more_until_that_is_lifted(talk: Talk):
    ann_id, ann = await talk.person("Ann", "user")
    session = str(uuid4())
    path = f"/v1/sessions/{session}"
    first = await talk.say(ann, "the price is 10", session=session)
    await talk.say(ann, "noted", session=session)
    mark = {"run": first, "from": 1, "to": 2, "reason": "the price list was last year's", "id": str(uuid4())}
    made = await ann.post(f"{path}/invalidations", json=mark)
    assert made.status_code == 201, made.text
    again = await ann.post(f"{path}/invalidations", json=mark)
    assert (again.status_code, again.json()) == (201, made.json())
    marked = made.json()
    assert (marked["run"], marked["first"], marked["last"], marked["by"]) == (first, 1, 2, ann_id)
    assert marked["reason"]["value"] == "the price list was last year's"
    shown = (await ann.get(path)).json()["messages"]
    assert [one["invalidations"] for one in shown] == [[marked["id"]]] * 2 + [[]] * 2, "shown, and marked"

    run = await talk.say(ann, "and now?", session=session)
    assert talk.seen[-1] == ["noted", "and now?"]
    entered = await told(talk, run)
    assert [one["message"] for one in entered["withheld"]] == marked["messages"]
    assert {one["invalidation"] for one in entered["withheld"]} == {marked["id"]}
    assert "price" not in str(entered), "a journal holds no content"
    assert await talk.content(run, entered["withheld"][0]["reason"]) == "the price list was last year's"
    shown = (await ann.get(path)).json()["messages"]
    assert [one["place"] for one in shown] == [1, 2, 1, 2, 1, 2]
    assert [bool(one["invalidations"]) for one in shown] == [True, True, False, False, False, False]

    lift = f"{path}/invalidations/{marked['id']}/lift"
    lifted = (await ann.post(lift, json={"reason": "it was this year's"})).json()
    assert (lifted["lifted_by"], lifted["lifted_reason"]["value"]) == (ann_id, "it was this year's")
    assert (await ann.post(lift, json={"reason": "again"})).json() == lifted
    assert (await ann.get(f"{path}/invalidations")).json()["items"] == [lifted]
    await talk.say(ann, "really?", session=session)
    assert talk.seen[-1] == ["the price is 10", "noted", "and now?", "really?"]
    log = [entry for entry in await talk.audit() if entry["action"].startswith("session.")]
    assert [(one["action"], one["actor"], one["target"]) for one in log[::-1]] == [
        ("session.invalidated", ann_id, session),
        ("session.invalidation_lifted", ann_id, session),
    ]
    assert "price" not in str(log)


async def test_what_a_tool_returned_is_replaced_and_its_call_keeps_it(talk: Talk):
    _, ann = await talk.person("Ann", "user")
    session = str(uuid4())
    await talk.say(ann, "look", session=session)
    returned = (await ann.get(f"/v1/sessions/{session}")).json()["messages"][2]
    assert (returned["parts"][0]["kind"], returned["parts"][0]["tool"]) == ("tool-return", "look")
    assert returned["parts"][0]["content"]["value"] == "looked"
    mark = {"message": returned["ref"], "reason": "stale"}
    assert (await ann.post(f"/v1/sessions/{session}/invalidations", json=mark)).status_code == 201
    run = await talk.say(ann, "what was it?", session=session)
    given = [part for message in talk.given[-1] for part in message.parts if isinstance(part, ToolReturnPart)]
    assert [part.content for part in given] == [RETURN_WITHDRAWN]
    [withheld] = (await told(talk, run))["withheld"]
    assert RETURN_WITHDRAWN in str(await talk.content(run, withheld["stand_in"]))
    assert returned["ref"] in [one["ref"] for one in (await ann.get(f"/v1/sessions/{session}")).json()["messages"]]


@pytest.mark.parametrize("nth", [1, 2], ids=["before its first answer", "after it"])
async def test_a_run_under_way_keeps_what_it_was_given(talk: Talk, nth: int):
    """It is accepted, given its history, and dies; whoever carries it on gives it the same."""
    _, ann = await talk.person("Ann", "user")
    session = str(uuid4())
    first = await talk.say(ann, "old", session=session)
    marks = f"/v1/sessions/{session}/invalidations"
    mark = {"run": first, "from": 1, "to": 1, "reason": "wrong"}

    run = await talk.ask(ann, "look", session=session)
    await talk.die(run, "intent.after", nth)
    made = (await ann.post(marks, json=mark)).json()
    await talk.carry(run)
    assert talk.seen[1:] == [["old", "look"]] * 2, "what is invalidated later does not change it"
    assert (await told(talk, run))["withheld"] == []

    run = await talk.ask(ann, "look again", session=session)
    await talk.die(run, "intent.after", nth)
    assert (await ann.post(f"{marks}/{made['id']}/lift", json={"reason": "right"})).status_code == 200
    await talk.carry(run)
    assert talk.seen[3:] == [[REQUEST_WITHDRAWN, "look", "look again"]] * 2, "nor does what is lifted"
    await talk.say(ann, "next", session=session)
    assert talk.seen[-1] == ["old", "look", "look again", "next"]


async def test_a_run_that_waits_in_the_queue_begins_without_what_was_invalidated_meanwhile(talk: Talk):
    _, ann = await talk.person("Ann", "user")
    session = str(uuid4())
    first = await talk.say(ann, "old", session=session)
    run = await talk.ask(ann, "new", session=session)
    mark = {"run": first, "from": 1, "to": 2, "reason": "wrong"}
    assert (await ann.post(f"/v1/sessions/{session}/invalidations", json=mark)).status_code == 201
    await talk.carry(run)
    assert talk.seen[-1] == ["new"]


async def test_more_than_fit_an_event_are_withheld_all_the_same(talk: Talk, monkeypatch):
    monkeypatch.setattr("holdfast.engine.history.WITHHELD_MOST", 1)
    _, ann = await talk.person("Ann", "user")
    session = str(uuid4())
    first = await talk.say(ann, "old", session=session)
    mark = {"run": first, "from": 1, "to": 2, "reason": "wrong"}
    made = (await ann.post(f"/v1/sessions/{session}/invalidations", json=mark)).json()
    run = await talk.ask(ann, "look", session=session)
    await talk.die(run, "intent.after", 2)
    await talk.carry(run)
    assert talk.seen[-1] == ["look"]
    entered = await told(talk, run)
    assert (entered["count"], entered["withheld"], entered["more"] is None) == (2, [], False)
    lift = f"/v1/sessions/{session}/invalidations/{made['id']}/lift"
    assert (await ann.post(lift, json={"reason": "right"})).status_code == 200
    await talk.say(ann, "next", session=session)
    assert talk.seen[-1] == ["old", "look", "next"]


async def test_what_cannot_be_invalidated_is_said(talk: Talk):
    _, ann = await talk.person("Ann", "user")
    session, empty = str(uuid4()), (await ann.post("/v1/sessions")).json()["id"]
    first = await talk.say(ann, "hello", session=session)
    elsewhere = await talk.say(ann, "elsewhere")
    path = f"/v1/sessions/{session}/invalidations"
    span = {"run": first, "from": 1, "to": 1, "reason": "x"}
    ref = (await ann.get(f"/v1/sessions/{session}")).json()["messages"][0]["ref"]
    used = str(uuid4())
    assert (await ann.post(path, json=span | {"id": used})).status_code == 201
    for sent, status, slug, says in (
        (span | {"reason": " "}, 422, "invalid-input", "reason is empty"),
        (span | {"reason": "\0"}, 422, "invalid-input", "NUL"),
        (span | {"run": elsewhere}, 422, "invalid-input", "no messages in the history"),
        (span | {"run": str(uuid4())}, 422, "invalid-input", "no messages in the history"),
        (span | {"to": 3}, 422, "invalid-input", "no span from 1 to 3"),
        (span | {"from": 0}, 422, "invalid-input", "no span from 0 to 1"),
        (span | {"from": 2}, 422, "invalid-input", "no span from 2 to 1"),
        (span | {"to": 2**70}, 422, "invalid-input", "no span"),
        (span | {"message": ref}, 422, "invalid-request", "either"),
        ({"run": first, "from": 1, "reason": "x"}, 422, "invalid-request", "either"),
        ({"reason": "x"}, 422, "invalid-request", "either"),
        ({"message": "x", "reason": "x"}, 422, "invalid-input", "64 hexadecimal digits"),
        ({"message": f"{first}/{'0' * 64}", "reason": "x"}, 422, "invalid-input", "no message"),
        ({"message": f"{elsewhere}/{'0' * 64}", "reason": "x"}, 422, "invalid-input", "no messages"),
        (span | {"id": used, "to": 2}, 409, "idempotency-key-reused", "another invalidation"),
    ):
        answer = await ann.post(path, json=sent)
        assert (*problem(answer), says in answer.json()["detail"]) == (status, slug, True), (sent, answer.text)
    answer = await ann.post(f"/v1/sessions/{empty}/invalidations", json=span)
    assert problem(answer) == (422, "invalid-input")
    assert problem(await ann.post(f"{path}/{uuid4()}/lift", json={"reason": "x"})) == (404, "not-found")
    assert problem(await ann.post(f"{path}/{used}/lift", json={"reason": ""})) == (422, "invalid-input")
    assert len((await ann.get(path)).json()["items"]) == 1


async def test_an_administrator_withdraws_in_anothers_session_and_the_log_tells(talk: Talk):
    ann_id, ann = await talk.person("Ann", "user")
    session = str(uuid4())
    first = await talk.say(ann, "old", session=session)
    mark = {"run": first, "from": 1, "to": 1, "reason": "wrong"}
    made = await talk.acme.post(f"/v1/sessions/{session}/invalidations", json=mark)
    assert made.json()["by"] != ann_id
    assert (await ann.get(f"/v1/sessions/{session}/invalidations")).json()["items"] == [made.json()]
    [entry] = [entry for entry in await talk.audit() if entry["action"] == "session.invalidated"]
    assert (entry["actor"], entry["details"]["principal"]) == (made.json()["by"], ann_id)
    assert UUID(entry["details"]["invalidation"]) == UUID(made.json()["id"])

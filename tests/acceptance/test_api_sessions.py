"""Sessions over real HTTP, with real agents: begun, listed, read, deleted, and seen by nobody else."""

from uuid import NAMESPACE_URL, UUID, uuid1, uuid4, uuid5

import httpx2
import pytest
from psycopg import connect

from support.api_serving import serving
from support.talk import Talk, problem, talking


@pytest.fixture
async def talk(database):
    async with talking(database) as found:
        yield found


async def test_a_session_is_begun_once_listed_read_and_deleted(talk: Talk):
    _, ann = await talk.person("Ann", "user")
    session = str(uuid4())
    made = [await ann.post("/v1/sessions", json={"id": session}) for _ in range(2)]
    assert [answer.status_code for answer in made] == [201, 201]
    assert made[0].json() == made[1].json()
    assert made[0].headers["location"] == f"/v1/sessions/{session}"
    other = (await ann.post("/v1/sessions")).json()["id"]

    runs = [await talk.say(ann, text, session=session) for text in ("my name is Ann", "what is my name?")]
    assert (await ann.get("/v1/sessions")).json()["next"] is None
    first = (await ann.get("/v1/sessions?limit=1")).json()
    second = (await ann.get("/v1/sessions", params={"cursor": first["next"], "limit": 1})).json()
    assert [one["id"] for one in first["items"] + second["items"]] == [other, session]

    found = (await ann.get(f"/v1/sessions/{session}")).json()
    assert found["session"]["last_run"] == runs[1]
    assert [run["id"] for run in found["runs"]] == runs[::-1]
    assert [(one["run"], one["place"], one["role"]) for one in found["messages"]] == [
        (runs[0], 1, "request"),
        (runs[0], 2, "response"),
        (runs[1], 1, "request"),
        (runs[1], 2, "response"),
    ]
    assert [one["parts"][-1]["content"]["value"] for one in found["messages"]][::2] == [
        "my name is Ann",
        "what is my name?",
    ]
    assert found["next"] is None


async def test_messages_are_paged_as_the_conversation_stood(talk: Talk):
    _, ann = await talk.person("Ann", "user")
    session = str(uuid4())
    for text in ("one", "two"):
        await talk.say(ann, text, session=session)
    whole = (await ann.get(f"/v1/sessions/{session}")).json()["messages"]
    page = (await ann.get(f"/v1/sessions/{session}?limit=3")).json()
    await talk.say(ann, "three", session=session)
    rest = (await ann.get(f"/v1/sessions/{session}", params={"cursor": page["next"]})).json()
    assert (page["messages"] + rest["messages"], rest["next"]) == (whole, None)
    for wrong in ("x", f"{uuid4()}.1", f"{await talk.say(ann, 'elsewhere')}.1"):
        assert problem(await ann.get(f"/v1/sessions/{session}", params={"cursor": wrong})) == (400, "invalid-cursor")


async def test_what_is_deleted_is_neither_shown_nor_given(talk: Talk):
    ann_id, ann = await talk.person("Ann", "user")
    session = str(uuid4())
    done = await talk.say(ann, "a secret", session=session)
    key = {"Idempotency-Key": "k"}
    ask = {"input": "waits", "session": session}
    waits = (await ann.post("/v1/tasks/talk/runs", json=ask, headers=key)).json()["id"]
    assert [(await ann.delete(f"/v1/sessions/{session}")).status_code for _ in range(2)] == [204, 204]
    gone = (410, "session-deleted")
    assert problem(await ann.get(f"/v1/sessions/{session}")) == gone
    assert problem(await ann.get(f"/v1/sessions/{session}/invalidations")) == gone
    assert problem(await ann.post("/v1/sessions", json={"id": session})) == gone
    assert problem(await ann.post("/v1/tasks/talk/runs", json={"input": "again", "session": session})) == gone
    assert (await ann.get("/v1/sessions")).json()["items"] == []
    again = await ann.post("/v1/tasks/talk/runs", json=ask, headers=key)
    assert again.json()["id"] == waits, "what was asked for before is answered as before"

    await talk.carry(waits)
    assert (await ann.get(f"/v1/runs/{waits}")).json()["state"] == "cancelled"
    for path in (f"/v1/runs/{done}", f"/v1/runs/{done}/events"):
        shown = await ann.get(path)
        assert "a secret" not in shown.text, path
        assert "You said" not in shown.text, path
    assert (await ann.get(f"/v1/runs/{done}")).json()["output"]["erased"] is True
    told = [entry for entry in await talk.audit() if entry["action"] == "session.deleted"]
    assert [(one["actor"], one["target"], one["details"]["cancelled"]) for one in told] == [(ann_id, session, [waits])]


async def test_a_run_accepted_while_its_session_is_deleted_does_not_live(talk: Talk, database):
    """Whoever deletes waits for who is being accepted, and finds the run; who comes after is refused."""
    _, ann = await talk.person("Ann", "user")
    session = (await ann.post("/v1/sessions")).json()["id"]
    with connect(database.admin_url) as slow:
        slow.execute("select from holdfast.sessions where id = %s for key share", [session])
        deleting = talk.aside(ann.delete(f"/v1/sessions/{session}"))
        await talk.until_somebody_waits()
        assert not deleting.done()
        slow.commit()
    assert (await deleting).status_code == 204
    assert problem(await ann.post("/v1/tasks/talk/runs", json={"input": "x", "session": session}))[0] == 410


async def test_of_a_subject_that_was_erased_the_messages_are_not_shown(talk: Talk, database):
    ann_id, ann = await talk.person("Ann", "user")
    session = str(uuid4())
    run = await talk.say(ann, "a secret", session=session)
    path = f"/v1/sessions/{session}"
    mark = {"run": run, "from": 1, "to": 1, "reason": "a secret too"}
    assert (await ann.post(f"{path}/invalidations", json=mark)).status_code == 201
    with connect(database.admin_url, autocommit=True) as admin:
        admin.execute("update holdfast.subject_keys set wrapped = null where subject = %s", [ann_id])
    # Another replica: this one may remember the key for a while.
    async with serving(database.api_url) as url, httpx2.AsyncClient(base_url=url, headers=ann.headers) as she:
        found = (await she.get(path)).json()
        assert ([one["id"] for one in found["runs"]], found["messages"], found["erased"]) == ([run], [], True)
        [marked] = (await she.get(f"{path}/invalidations")).json()["items"]
        assert marked["reason"]["erased"] is True
        assert problem(await she.post(f"{path}/invalidations", json=mark)) == (410, "erased")
        assert (await she.delete(path)).status_code == 204


async def requests_on(client: httpx2.AsyncClient, session: str, run: str) -> list[httpx2.Response]:
    """Everything that can be asked about a session."""
    path = f"/v1/sessions/{session}"
    mark = {"run": run, "from": 1, "to": 1, "reason": "x"}
    return [
        await client.get(path),
        await client.get(f"{path}?cursor={run}.1"),
        await client.delete(path),
        await client.get(f"{path}/invalidations"),
        await client.post(f"{path}/invalidations", json=mark),
        await client.post(f"{path}/invalidations", json={"message": f"{run}/{'0' * 64}", "reason": "x"}),
        await client.post(f"{path}/invalidations/{uuid4()}/lift", json={"reason": "x"}),
    ]


async def test_another_users_and_another_tenants_session_are_as_absent(talk: Talk):
    _, ann = await talk.person("Ann", "user")
    _, ben = await talk.person("Ben", "user")
    bolt = await talk.parties.tenant("bolt")
    session = str(uuid4())
    run = await talk.say(ann, "a secret", session=session)
    for stranger in (ben, bolt):
        foreign = await requests_on(stranger, session, run)
        absent = await requests_on(stranger, str(uuid4()), run)
        assert {problem(answer) for answer in foreign} == {(404, "not-found")}
        assert [answer.json()["detail"] for answer in foreign] == [answer.json()["detail"] for answer in absent]
        assert [{*answer.headers} for answer in foreign] == [{*answer.headers} for answer in absent]
        assert (await stranger.get("/v1/sessions")).json()["items"] == []
    assert problem(await ben.post("/v1/sessions", json={"id": session})) == (404, "not-found")
    _, cora = await talk.person("Cora", "auditor")
    assert (await cora.get(f"/v1/sessions/{session}")).status_code == 200
    assert problem(await cora.delete(f"/v1/sessions/{session}")) == (403, "missing-scope")
    assert (await ann.get(f"/v1/sessions/{session}")).status_code == 200
    assert (await talk.acme.delete(f"/v1/sessions/{session}")).status_code == 204, "an administrator's reach"


async def test_the_same_id_in_two_tenants_is_two_sessions(talk: Talk):
    bolt = await talk.parties.tenant("bolt")
    session = str(uuid4())
    ours = await talk.say(talk.acme, "of acme", session=session)
    theirs = await talk.say(bolt, "of bolt", session=session)
    assert talk.seen == [["of acme"], ["of bolt"]]
    await talk.say(bolt, "more", session=session)
    assert talk.seen[-1] == ["of bolt", "more"]
    assert {run["id"] for run in (await talk.acme.get(f"/v1/sessions/{session}")).json()["runs"]} == {ours}
    assert theirs in (await bolt.get(f"/v1/sessions/{session}")).text
    assert (await bolt.delete(f"/v1/sessions/{session}")).status_code == 204
    assert (await talk.acme.get(f"/v1/sessions/{session}")).status_code == 200


async def test_a_run_sees_its_own_session_and_no_other(talk: Talk):
    """One's own other session is another one too; a sub-agent is given what its tool gives it."""
    _, ann = await talk.person("Ann", "user")
    _, ben = await talk.person("Ben", "user")
    mine, other, bens = (str(uuid4()) for _ in range(3))
    for client, text, session in ((ann, "a", mine), (ann, "b", other), (ben, "c", bens), (ann, "d", None)):
        await talk.say(client, text, session=session)
    await talk.say(ann, "look", session=mine)
    assert talk.seen[:4] == [["a"], ["b"], ["c"], ["d"]]
    assert talk.seen[4:] == [["a", "look"], ["a", "look"]], "before and after the tool"
    assert talk.inner == [["inside"]]
    assert talk.scopes == [*map(UUID, (mine, other, bens)), None, UUID(mine)]


async def test_who_comes_with_anothers_id_is_told_no_more_than_that_it_is_not_theirs(talk: Talk):
    """Where nobody has it they would begin it: so much can be told apart, by one who knows the id. Nothing else can."""
    _, ann = await talk.person("Ann", "user")
    _, ben = await talk.person("Ben", "user")
    session, deleted = str(uuid4()), str(uuid4())
    await talk.say(ann, "mine", session=session)
    await ann.post("/v1/sessions", json={"id": deleted})
    await ann.delete(f"/v1/sessions/{deleted}")
    absent = await ben.get(f"/v1/sessions/{uuid4()}")
    for taken in (session, deleted):
        for answer in (
            await ben.post("/v1/sessions", json={"id": taken}),
            await ben.post("/v1/tasks/talk/runs", json={"input": "x", "session": taken}),
            await ben.get(f"/v1/sessions/{taken}"),
            await ben.delete(f"/v1/sessions/{taken}"),
        ):
            assert problem(answer) == (404, "not-found")
            assert answer.json()["detail"] == absent.json()["detail"]


@pytest.mark.parametrize("made", [uuid1(), uuid5(NAMESPACE_URL, "order-4711"), UUID(int=0), UUID(int=4711)])
async def test_an_id_that_can_be_guessed_is_refused(talk: Talk, made: UUID):
    """Another could begin it first, and would learn by that whether it is taken."""
    _, ann = await talk.person("Ann", "user")
    for answer in (
        await ann.post("/v1/sessions", json={"id": str(made)}),
        await ann.post("/v1/tasks/talk/runs", json={"input": "x", "session": str(made)}),
    ):
        assert problem(answer) == (422, "invalid-input")
        assert "version 4 or 7" in answer.json()["detail"]
    assert (await ann.get("/v1/sessions")).json()["items"] == []


async def test_an_administrator_does_not_go_on_with_anothers_session_by_itself(talk: Talk):
    _, ann = await talk.person("Ann", "user")
    session = str(uuid4())
    await talk.say(ann, "a secret", session=session)
    answer = await talk.acme.post("/v1/tasks/talk/runs", json={"input": "x", "session": session})
    assert problem(answer) == (404, "not-found")


async def test_who_may_not_go_on_with_it_any_more_is_given_nothing_of_it(talk: Talk):
    """Their run was accepted and waits; what they may is asked again before anything of the session enters it."""
    _, ann = await talk.person("Ann", "user")
    ben_id, ben = await talk.person("Ben", "user", "admin")
    session = str(uuid4())
    await talk.say(ann, "a secret", session=session)
    run = await talk.ask(ben, "and?", session=session, task="desk")
    role = f"/v1/principals/{ben_id}/roles/admin"
    assert (await talk.acme.delete(role)).status_code == 200
    assert await talk.work(run) == "parked"
    assert talk.seen == [["a secret"]]
    assert (await talk.acme.get(f"/v1/runs/{run}")).json()["waiting_on"] == "rights"
    assert (await talk.acme.put(role)).status_code == 200
    assert await talk.work(run) == "finished"
    assert talk.seen[-1] == ["a secret", "and?"]


async def test_a_task_that_shares_lets_those_go_on_who_may_read_it_anyway(talk: Talk):
    ann_id, ann = await talk.person("Ann", "user")
    _, ben = await talk.person("Ben", "user")
    session = str(uuid4())
    await talk.say(ann, "hello", session=session)
    ask = {"input": "me too", "session": session}
    assert problem(await ben.post("/v1/tasks/desk/runs", json=ask)) == (404, "not-found"), "a user reaches their own"
    narrowed = await talk.narrowed("runs:start", "sessions:read")
    assert problem(await narrowed.post("/v1/tasks/desk/runs", json=ask)) == (404, "not-found")

    run = await talk.say(talk.acme, "it is Ada here", session=session, task="desk")
    assert talk.seen[-1] == ["hello", "it is Ada here"]
    assert await talk.subject(run) == ann_id, "what is said in a session is about whom it is about, whoever says it"
    found = (await ann.get(f"/v1/sessions/{session}")).json()
    assert found["runs"][0]["id"] == run
    assert "it is Ada here" in str(found["messages"])
    assert problem(await ann.get(f"/v1/runs/{run}")) == (404, "not-found"), "the run itself is who asked for it's"
    await talk.say(ann, "thanks", session=session)
    assert talk.seen[-1] == ["hello", "it is Ada here", "thanks"]

"""The attempts of `holdfast demo tenants`: by the HTTP interface, and with the API's own login at the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg

from holdfast.cli.demo.promises import Promise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import httpx2

    from holdfast.cli.demo.tenants import Scene


async def by_http(scene: Scene, say: Callable[[str], None]) -> list[Promise]:
    """Everything that a person of another company, or of the same, could try."""
    say("Bob tries to see Acme.")
    found = [
        await _as_absent(scene.bob, "GET", "/v1/runs/{}", scene.anns_run, "reads Ann's run"),
        await _as_absent(scene.bob, "GET", "/v1/runs/{}/events", scene.anns_run, "follows Ann's run"),
        await _as_absent(scene.bob, "POST", "/v1/runs/{}/cancel", scene.anns_run, "cancels Ann's run"),
        await _as_absent(
            scene.bob, "POST", "/v1/runs/{}/messages", scene.anns_run, "speaks into Ann's run", {"message": "hello"}
        ),
    ]
    runs = [run["id"] for run in (await scene.bob.get("/v1/runs")).json()["items"]]
    found.append(Promise("Bob lists runs: his own only", runs == [scene.bobs_run], f"{len(runs)} run"))
    again = await scene.bob.post(
        "/v1/tasks/plans/runs",
        json={"input": "What are our plans?", "session": scene.session},
        headers={"Idempotency-Key": "the-same"},
    )
    found.append(
        Promise(
            "the idempotency key and the session id that Ann used too lead Bob to what is his",
            again.json().get("id") == scene.bobs_run,
            f"{again.status_code}, his own run",
        )
    )
    say("Ben, of Acme too, tries to see Ann's; Olga, who manages tenants, tries to see Acme's.")
    found.append(await _as_absent(scene.ben, "GET", "/v1/runs/{}", scene.anns_run, "Ben reads Ann's run", who=""))
    for client, name, path, scope in (
        (scene.operator, "Olga reads Ann's run", f"/v1/runs/{scene.anns_run}", "runs:read"),
        (scene.bob, "Bob reads the audit log", "/v1/audit", "audit:read"),
        (scene.bob, "Bob lists tenants", "/v1/tenants", "tenants:read"),
    ):
        answer = await client.get(path)
        kept = answer.status_code == 403 and f"'{scope}'" in answer.text  # noqa: PLR2004 - HTTP's own number
        found.append(Promise(f"{name}: refused, naming the scope", kept, _shown(answer)))
    wrong = scene.anns_key[:-1] + ("A" if scene.anns_key[-1] != "A" else "B")
    said: set[bytes] = set()
    for credential in (None, "x", wrong):
        headers = {"Authorization": "" if credential is None else f"Bearer {credential}"}
        answer = await scene.ann.get("/v1/runs", headers=headers)
        said.add(answer.content)
    kept = len(said) == 1 and answer.status_code == 401  # noqa: PLR2004 - HTTP's own number
    found.append(Promise("no key, nonsense, and Ann's with one letter changed are told the same", kept, _shown(answer)))
    log = (await scene.admin.get("/v1/audit")).json()["items"]
    actors = {entry["actor"].partition(":")[0] for entry in log if entry["action"] == "tenant.created"}
    found.append(
        Promise(
            "Acme's own log says that the platform made its first key", actors == {"platform"}, f"{len(log)} entries"
        )
    )
    return found


def at_the_database(url: str, scene: Scene, say: Callable[[str], None]) -> list[Promise]:
    """What a fault in our own code could do: the API's login, with no tenant set, or with Bolt's."""
    say("With the API's own login at the database.")
    with psycopg.connect(url, autocommit=True) as connection:
        return [
            _rows(connection, "without a tenant, there are no rows", None, "select * from holdfast.runs", []),
            _rows(
                connection,
                "in Bolt's scope, Acme's run is not there",
                scene.bolt,
                "select * from holdfast.runs where id = %s",
                [scene.anns_run],
            ),
            _rows(
                connection,
                "nor its events, asked for by Acme's id",
                scene.bolt,
                "select * from holdfast.events where tenant = %s",
                [scene.acme],
            ),
            _refused(
                connection,
                "in Bolt's scope, a function told to act on Acme refuses",
                scene.bolt,
                "select holdfast.deliver_signal(%s, %s, 'cancel', '{}', null, null, 'bob', null)",
                [scene.acme, scene.anns_run],
            ),
            _refused(
                connection,
                "it may not claim runs, as workers do",
                scene.bolt,
                "select holdfast.claim_runs(%s, 1, '{}', '{}', '{}')",
                [uuid4()],
            ),
            _refused(connection, "it may not become the owner", None, "set role holdfast_owner", []),
            _refused(connection, "nor the engine, which crosses tenants", None, "set role holdfast_engine", []),
            _refused(
                connection,
                "nor switch row security off",
                None,
                "alter table holdfast.runs disable row level security",
                [],
            ),
        ]


async def _as_absent(
    client: httpx2.AsyncClient, method: str, path: str, foreign: str, what: str, body: Any = None, who: str = "Bob "
) -> Promise:
    """The same answer, to the letter, as for something that does not exist."""
    absent = str(uuid4())
    answers = [await client.request(method, path.format(id_), json=body) for id_ in (foreign, absent)]
    same = answers[0].text.replace(foreign, absent) == answers[1].text
    kept = same and {answer.status_code for answer in answers} == {404}
    return Promise(f"{who}{what}: as if it did not exist", kept, _shown(answers[0]))


def _shown(answer: httpx2.Response) -> str:
    return f"{answer.status_code}: {answer.json().get('detail', '').partition('. ')[0]}."


def _rows(
    connection: psycopg.Connection[Any], promise: str, tenant: str | None, statement: Any, values: Sequence[Any]
) -> Promise:
    with connection.transaction():
        _scope(connection, tenant)
        count = len(connection.execute(statement, values).fetchall())
    return Promise(promise, count == 0, f"{count} rows")


def _refused(
    connection: psycopg.Connection[Any], promise: str, tenant: str | None, statement: Any, values: Sequence[Any]
) -> Promise:
    try:
        with connection.transaction():
            _scope(connection, tenant)
            connection.execute(statement, values)
    except psycopg.errors.InsufficientPrivilege as error:
        return Promise(promise, True, str(error).partition("\n")[0])
    return Promise(promise, False, "it was done")


def _scope(connection: psycopg.Connection[Any], tenant: str | None) -> None:
    if tenant is not None:
        connection.execute("select set_config('holdfast.tenant', %s, true)", [tenant])

"""The attempts of `holdfast demo tenants` that take one request: to name what is another's, and to be told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from holdfast.cli.demo.companies import OUR_PLANS, THE_SAME, ask
from holdfast.cli.demo.promises import Promise

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx2

    from holdfast.cli.demo.companies import Scene


async def by_name(scene: Scene, say: Callable[[str], None]) -> list[Promise]:
    """Everything of somebody else's that a person could name: of another company's, or of the same."""
    say("Bob tries to see Acme; Ben, of Acme too, tries to see Ann's; Olga, who manages tenants, tries to see Acme's.")
    return [
        await _as_absent(scene.bob, "GET", "/v1/runs/{}", scene.anns_runs[0], "Bob reads Ann's run"),
        await _as_absent(scene.bob, "GET", "/v1/runs/{}/events", scene.anns_runs[0], "Bob follows Ann's run"),
        await _as_absent(scene.bob, "POST", "/v1/runs/{}/cancel", scene.anns_runs[0], "Bob cancels Ann's run"),
        await _as_absent(
            scene.bob,
            "POST",
            "/v1/runs/{}/messages",
            scene.anns_runs[0],
            "Bob speaks into Ann's run",
            {"message": "hello"},
        ),
        await _as_absent(scene.bob, "GET", "/v1/sessions/{}", scene.anns_session, "Bob reads a session of Ann's"),
        await _as_absent(scene.clients["Ben"], "GET", "/v1/runs/{}", scene.anns_runs[0], "Ben reads Ann's run"),
        *[
            await _without_scope(client, what, path, scope)
            for client, what, path, scope in (
                (scene.clients["Olga"], "Olga reads Ann's run", f"/v1/runs/{scene.anns_runs[0]}", "runs:read"),
                (scene.bob, "Bob reads the audit log", "/v1/audit", "audit:read"),
                (scene.bob, "Bob lists tenants", "/v1/tenants", "tenants:read"),
            )
        ],
        await _same_key(scene),
        await _anns_key_alone(scene),
        await _errors(scene),
        await _uncached(scene),
        await _metrics(scene),
        await _first_key(scene),
    ]


async def _as_absent(
    client: httpx2.AsyncClient, method: str, path: str, foreign: str, what: str, body: Any = None
) -> Promise:
    """The same answer, to the letter, as for something that does not exist."""
    absent = str(uuid4())
    answers = [await client.request(method, path.format(id_), json=body) for id_ in (foreign, absent)]
    same = answers[0].text.replace(foreign, absent) == answers[1].text
    kept = same and {answer.status_code for answer in answers} == {404}
    return Promise(f"{what}: as if it did not exist", kept, _shown(answers[0]))


async def _without_scope(client: httpx2.AsyncClient, what: str, path: str, scope: str) -> Promise:
    answer = await client.get(path)
    kept = answer.status_code == 403 and f"'{scope}'" in answer.text  # noqa: PLR2004 - HTTP's own number
    return Promise(f"{what}: refused, naming the scope", kept, _shown(answer))


async def _same_key(scene: Scene) -> Promise:
    again = await ask(scene.bob, OUR_PLANS, session=scene.session, idempotency_key=THE_SAME)
    found = again.json().get("id")
    return Promise(
        "idempotency keys: the key and the session id that Ann used too lead Bob to what is his",
        found == scene.bobs_runs[0],
        f"{again.status_code}, {'his own run' if found == scene.bobs_runs[0] else found}",
    )


async def _anns_key_alone(scene: Scene) -> Promise:
    """Had the key been looked up among everybody's, the other input would be a conflict, which tells that it exists."""
    answers = [
        await ask(scene.bob, "What else?", idempotency_key=key) for key in (scene.anns_idempotency_key, str(uuid4()))
    ]
    codes = [answer.status_code for answer in answers]
    made = [answer.json()["id"] for answer in answers if not answer.is_error]
    scene.bobs_runs += made
    kept = codes == [200, 200] and not {*scene.anns_runs} & {*made}
    return Promise(
        "idempotency keys: one that only Ann used is as free for Bob as any", kept, f"{codes[0]}, {codes[1]}"
    )


async def _errors(scene: Scene) -> Promise:
    """All that is wrong with a credential is told the same: no error text says which tenant, key or person exists."""
    key = scene.keys["Ann"]
    wrong = key[:-1] + ("A" if key[-1] != "A" else "B")
    said: set[bytes] = set()
    for credential in (None, "x", wrong):
        headers = {"Authorization": "" if credential is None else f"Bearer {credential}"}
        answer = await scene.ann.get("/v1/runs", headers=headers)
        said.add(answer.content)
    kept = len(said) == 1 and answer.status_code == 401  # noqa: PLR2004 - HTTP's own number
    return Promise(
        "error texts: no key, nonsense, and Ann's with one letter changed are told the same", kept, _shown(answer)
    )


async def _uncached(scene: Scene) -> Promise:
    """The same path, first for Ann and then for Bob, by one process."""
    answers = [await client.get("/v1/runs?limit=200") for client in (scene.ann, scene.bob)]
    shown = [{run["id"] for run in answer.json()["items"]} for answer in answers]
    said = {answer.headers.get("cache-control") for answer in answers}
    kept = scene.anns_runs[0] in shown[0] and shown[1] == {*scene.bobs_runs} and said == {"no-store"}
    return Promise(
        "caches: Bob asks what Ann just asked, and no cache on the way may keep either's answer",
        kept,
        f"Cache-Control: {', '.join(map(str, said))}",
    )


async def _metrics(scene: Scene) -> Promise:
    answer = await scene.bob.get("/metrics")
    kept = answer.status_code == 404  # noqa: PLR2004 - HTTP's own number
    return Promise("metric labels: there are no metrics that could name a tenant", kept, _shown(answer))


async def _first_key(scene: Scene) -> Promise:
    log = (await scene.clients["admin of acme"].get("/v1/audit")).json()["items"]
    actors = {entry["actor"].partition(":")[0] for entry in log if entry["action"] == "tenant.created"}
    return Promise(
        "Acme's own log says that the platform made its first key", actors == {"platform"}, f"{len(log)} entries"
    )


def _shown(answer: httpx2.Response) -> str:
    if not answer.is_error:
        return f"{answer.status_code}, and an answer"
    return f"{answer.status_code}: {answer.json()['detail'].partition('. ')[0].rstrip('.')}."

"""Signed links: looking decides nothing, only their own page does, once; whatever opens nothing answers alike."""

import base64
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest

from holdfast.service.approval_links import make_link
from holdfast.service.services import LOCAL, utc_now
from support.link_scene import asked, link_for, link_scene, state

HOSTILE = {"to": '"><script>alert(1)</script>', "amount": "\u202e001\u200b", "note": "<img src=x onerror=alert(1)>"}


class Page(HTMLParser):
    """The elements of a page, and what its form would send."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fields: dict[str, str] = {}
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        given = dict(attrs)
        if tag == "input" and (given.get("type") != "checkbox" or "checked" in given):
            self.fields[given["name"]] = given.get("value") or ""

    def handle_data(self, data):
        self.text += data


@pytest.fixture
async def scene(api, database, client, holder):
    async with link_scene(api, database, client, holder) as found:
        yield found


async def test_looking_decides_nothing_and_the_page_decides_once(scene):
    task = await asked(scene)
    path = await link_for(scene, task, "App")
    for _ in range(3):
        shown = await scene.nobody.get(path)
        assert shown.status_code == 200
    assert await state(scene, task) == ("pending", 0)
    form = Page(shown.text).fields | {"verdict": "approved"}
    done = await scene.nobody.post(path, data=form)
    assert (done.status_code, "1 of 2 have agreed" in done.text) == (200, True)
    assert await state(scene, task) == ("pending", 1)
    invalid = await scene.nobody.get("/links/nothing")
    for used in (await scene.nobody.post(path, data=form), await scene.nobody.get(path)):
        assert (used.status_code, used.content) == (404, invalid.content)
    history = (await scene.admin.get(f"/v1/approvals/{task['id']}")).json()
    assert [one["via"] for one in history["votes"]] == [LOCAL.principal]
    log = (await scene.admin.get("/v1/audit")).json()["items"]
    assert any(entry["action"] == "link.created" and entry["target"] == task["id"] for entry in log)


async def test_a_rejection_by_link_carries_its_reason(scene):
    task = await asked(scene, "approver")
    path = await link_for(scene, task, "App")
    form = Page((await scene.nobody.get(path)).text).fields | {"verdict": "rejected", "reason": "zu viel: 10 €"}
    assert (await scene.nobody.post(path, data=form)).status_code == 200
    told = (await scene.admin.get(f"/v1/approvals/{task['id']}")).json()
    assert (told["state"], told["history"][-1]["content"]["value"]) == ("rejected", "zu viel: 10 €")


async def test_only_what_was_shown_sends_a_decision(scene):
    task = await asked(scene)
    mine, other = await link_for(scene, task, "App"), await link_for(scene, task, "Abe")
    page = Page((await scene.nobody.get(other)).text).fields["page"]
    at = page.partition(".")[0]
    for forged in (
        "",
        "x",
        page,
        f"{at}.",
        f"{at}.AAAA",
        page[1:],
        f"{int(at) + 9}.{page.partition('.')[2]}",
        "9" * 30,
    ):
        answer = await scene.nobody.post(mine, data={"page": forged, "verdict": "approved"})
        assert answer.status_code == 404
    odd = Page((await scene.nobody.get(mine)).text).fields | {"verdict": "void"}
    assert (await scene.nobody.post(mine, data=odd)).status_code == 422
    assert await state(scene, task) == ("pending", 0)


def altered(token: str) -> list[str]:
    """The token with each byte of what it says, and of its signature, changed."""
    head, tail = token.split(".")
    raw = [bytearray(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in (head, tail)]
    found = [f"{head}.", f".{tail}", head, f"{token}=", f"{token}A", token[:-1], f"{head}.{head}"]
    for part in (0, 1):
        for nth in range(len(raw[part])):
            changed = [bytes(one) for one in raw]
            changed[part] = bytes([*raw[part][:nth], raw[part][nth] ^ 1, *raw[part][nth + 1 :]])
            found.append(".".join(base64.urlsafe_b64encode(one).decode().rstrip("=") for one in changed))
    return found


async def test_altered_foreign_expired_and_outdated_links_answer_alike(scene):
    task = await asked(scene)
    invalid = await scene.nobody.get("/links/nothing")
    token = (await link_for(scene, task, "App")).removeprefix("/links/")
    links = altered(token)
    assert len(links) > 200
    ago = replace(scene.services, now=lambda: utc_now() - timedelta(days=2))
    base = "http://x"
    expired = await make_link(ago, LOCAL, UUID(task["id"]), UUID(scene.people["App"]), base_url=base)
    links.append(expired.url.removeprefix("http://x/links/"))
    # Another installation's: signed with another key.
    theirs = SimpleNamespace(derived=lambda purpose: b"k" * 32)
    foreign = await make_link(
        replace(scene.services, vault=theirs), LOCAL, UUID(task["id"]), UUID(scene.people["App"]), base_url=base
    )
    links.append(foreign.url.removeprefix("http://x/links/"))
    for link in links:
        answer = await scene.nobody.get(f"/links/{link}")
        assert (answer.status_code, answer.content) == (404, invalid.content), link
    # About what is asked no more: somebody edited it.
    edit = {"verdict": "approved", "digest": task["digest"], "args": {"order": 8}}
    edited = await scene.asking["Ben"].post(f"/v1/approvals/{task['id']}/decision", json=edit)
    assert edited.status_code == 200, edited.text
    assert (await scene.nobody.get(f"/links/{token}")).content == invalid.content


@pytest.mark.parametrize("how", ["role", "disabled", "settled"])
async def test_a_link_opens_nothing_once_its_person_may_not(scene, how):
    task = await asked(scene)
    path = await link_for(scene, task, "App")
    form = Page((await scene.nobody.get(path)).text).fields | {"verdict": "approved"}
    app = scene.people["App"]
    match how:
        case "role":
            assert (await scene.admin.delete(f"/v1/principals/{app}/roles/approver")).status_code == 200
        case "disabled":
            assert (await scene.admin.post(f"/v1/principals/{app}/disable")).status_code == 200
        case _:
            said = {"verdict": "rejected", "digest": task["digest"]}
            assert (
                await scene.asking["Abe"].post(f"/v1/approvals/{task['id']}/decision", json=said)
            ).status_code == 200
    invalid = (await scene.nobody.get("/links/nothing")).content
    assert (await scene.nobody.get(path)).content == invalid
    assert (await scene.nobody.post(path, data=form)).content == invalid


async def test_an_administrator_logs_in_as_that_very_person(scene):
    task = await asked(scene, "admin")
    path = await link_for(scene, task, "Ben")
    fields = Page((await scene.nobody.get(path)).text).fields
    assert "credential" in fields
    form = fields | {"verdict": "approved"}
    key = {name: scene.asking[name].headers["authorization"] for name in ("Ben", "Cy", "App")}
    assert (await scene.nobody.post(path, data=form)).status_code == 401
    for wrong in ("hf_nonsense", key["Cy"].removeprefix("Bearer "), key["App"].removeprefix("Bearer ")):
        assert (await scene.nobody.post(path, data=form | {"credential": wrong})).status_code == 401
    assert await state(scene, task) == ("pending", 0)
    right = form | {"credential": key["Ben"].removeprefix("Bearer ")}
    assert (await scene.nobody.post(path, data=right)).status_code == 200
    assert await state(scene, task) == ("approved", 1)


async def test_what_others_wrote_is_text_and_seen(scene):
    task = await asked(scene, args=HOSTILE)
    shown = await scene.nobody.get(await link_for(scene, task, "App"))
    page = Page(shown.text)
    assert not {"script", "img", "iframe", "link"} & set(page.tags)
    assert HOSTILE["note"] in page.text
    assert "\\u202e001\\u200b" in page.text, "what cannot be seen is written out"
    policy = shown.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert (shown.headers["cache-control"], shown.headers["x-content-type-options"]) == ("no-store", "nosniff")
    assert task["digest"] in page.text


async def test_who_may_make_links_for_whom(scene):
    task = await asked(scene)

    async def tries(who: str, target: str) -> int:
        path = f"/v1/approvals/{task['id']}/links"
        return (await scene.asking[who].post(path, json={"principal": target})).status_code

    assert await tries("App", scene.people["App"]) == 201, "for oneself"
    assert await tries("App", scene.people["Abe"]) == 403, "else one could vote for two"
    assert await tries("Ann", scene.people["App"]) == 403
    assert await tries("Ben", scene.people["App"]) == 201
    assert await tries("Ben", scene.people["Ann"]) == 422, "she is behind it"
    assert await tries("Ben", str(uuid4())) == 404
    service = await scene.admin.post("/v1/principals", json={"name": "Svc", "kind": "service", "roles": ["approver"]})
    assert await tries("Ben", service.json()["id"]) == 422


async def test_whose_link_it_is_may_not_be_had_by_the_hand_that_made_it(scene):
    """Ben makes a link for an approver, uses it himself, and then decides as Ben as well."""
    task = await asked(scene)
    path = await link_for(scene, task, "App", by=scene.asking["Ben"])
    form = Page((await scene.nobody.get(path)).text).fields | {"verdict": "approved"}
    assert (await scene.nobody.post(path, data=form)).status_code == 200
    said = {"verdict": "approved", "digest": task["digest"]}
    again = await scene.asking["Ben"].post(f"/v1/approvals/{task['id']}/decision", json=said)
    assert (again.status_code, again.json()["type"]) == (403, "/problems/may-not-decide")
    assert await state(scene, task) == ("pending", 1)
    assert (await scene.asking["Cy"].post(f"/v1/approvals/{task['id']}/decision", json=said)).status_code == 200


async def test_a_link_is_one_tenants(scene):
    task = await asked(scene)
    bolt = await scene.parties.tenant("bolt")
    for id_ in (task["id"], str(uuid4())):
        answer = await bolt.post(f"/v1/approvals/{id_}/links", json={"principal": scene.people["App"]})
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")

"""People who come with a token of their provider: over real HTTP, with real signatures."""

import time
from contextlib import asynccontextmanager

import httpx2
import pytest

from holdfast.identity.tokens import TokenVerifier
from support.api_serving import serving
from support.oidc_scene import issuer
from support.parties import gathered
from support.signing import Signer, key_set

ROLES = {"roles_claim": "groups", "roles": {"staff": "user", "leads": ["user", "approver"], "root": "platform"}}


@pytest.fixture
def signer():
    return Signer()


def token(signer, *groups, sub="ann", age_s=0.0, **more):
    now = time.time() - age_s
    said = {"iss": "https://login.acme.example", "sub": sub, "aud": "holdfast", "iat": now, "exp": now + 600}
    return signer.token(said | {"groups": [*groups], "name": "Ann"} | more)


@asynccontextmanager
async def trusting(database, tmp_path, signer, **settings):
    """An API that believes this signer, and those who ask it."""
    path = tmp_path / "keys.json"
    path.write_bytes(key_set(signer))
    async with (
        TokenVerifier([issuer(jwks_file=path, **settings)]) as tokens,
        serving(database.api_url, tokens) as api,
        gathered(api, database.api_url) as parties,
    ):
        yield parties


async def me(parties, secret):
    answer = await (await parties.using(secret)).get("/v1/me")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def status(parties, secret):
    return (await (await parties.using(secret)).get("/v1/me")).status_code


async def test_a_token_makes_a_principal_and_later_ones_change_its_roles(database, tmp_path, signer):
    async with trusting(database, tmp_path, signer, **ROLES) as parties:
        acme = await parties.tenant("acme")
        first = await me(parties, token(signer, "leads", age_s=60))
        assert first["principal"]["roles"] == ["approver", "user"]
        later = await me(parties, token(signer, "staff", age_s=30))
        assert (later["principal"]["id"], later["principal"]["roles"]) == (first["principal"]["id"], ["user"])
        stale = await me(parties, token(signer, "leads", age_s=60))
        assert stale["principal"]["roles"] == ["user"], "an older token brings nothing back"
        log = (await acme.get("/v1/audit")).json()["items"]
        assert [(entry["action"], entry["actor"]) for entry in log[:2]] == [
            ("roles.told", "issuer:https://login.acme.example"),
            ("principal.created", "issuer:https://login.acme.example"),
        ]
        await acme.post(f"/v1/principals/{first['principal']['id']}/disable")
        assert await status(parties, token(signer, "leads")) == 401, "no token lets in whom an administrator disabled"


async def test_what_kind_somebody_is_is_the_newest_tokens_word(database, tmp_path, signer):
    """Who configures later how services are told has them known as such, and no service approves."""
    settings = {"service_claim": "account_kind", **ROLES}
    async with trusting(database, tmp_path, signer, **settings) as parties:
        acme = await parties.tenant("acme")
        first = await me(parties, token(signer, "leads", age_s=60))
        assert first["principal"]["kind"] == "person"
        later = await me(parties, token(signer, "leads", age_s=30, account_kind="service"))
        assert (later["principal"]["id"], later["principal"]["kind"]) == (first["principal"]["id"], "service")
        log = (await acme.get("/v1/audit")).json()["items"]
        assert (log[0]["action"], log[0]["details"]) == ("kind.told", {"kind": "service"})
        assert (await me(parties, token(signer, "leads", age_s=45)))["principal"]["kind"] == "service"


async def test_roles_are_granted_here_where_the_issuer_says_nothing_of_them(database, tmp_path, signer):
    async with trusting(database, tmp_path, signer) as parties:
        acme = await parties.tenant("acme")
        ann = await me(parties, token(signer, age_s=60))
        assert ann["rights"] == {}
        await acme.put(f"/v1/principals/{ann['principal']['id']}/roles/user")
        assert (await me(parties, token(signer)))["principal"]["roles"] == ["user"]


async def test_two_of_one_name_stay_two(database, tmp_path, signer):
    async with trusting(database, tmp_path, signer, **ROLES) as parties:
        await parties.tenant("acme")
        one, other = await me(parties, token(signer, "staff")), await me(parties, token(signer, "staff", sub="ann2"))
        assert one["principal"]["id"] != other["principal"]["id"]
        assert one["principal"]["name"] == "Ann"
        assert other["principal"]["name"].startswith("Ann ")


async def test_no_token_makes_somebody_of_the_platform_in_a_tenant(database, tmp_path, signer):
    async with trusting(database, tmp_path, signer, **ROLES) as parties:
        await parties.tenant("acme")
        assert (await me(parties, token(signer, "root", "staff")))["principal"]["roles"] == ["user"]


async def test_a_tenant_is_believed_only_of_whom_may_speak_for_it(database, tmp_path, signer):
    settings = {"tenant": None, "tenant_claim": "org", **ROLES}
    async with trusting(database, tmp_path, signer, **settings) as parties:
        await parties.tenant("acme")
        assert await status(parties, token(signer, "staff", org="acme")) == 200
        for org in ("platform", "nowhere", ["acme"], None):
            assert await status(parties, token(signer, "root", org=org)) == 401, org


async def test_what_is_not_believed_is_told_nothing_and_logged(database, tmp_path, signer):
    async with trusting(database, tmp_path, signer, **ROLES) as parties:
        await parties.tenant("acme")
        forged = token(Signer(kid="second"), "staff")
        answer = await (await parties.using(forged)).get("/v1/me")
        async with httpx2.AsyncClient(base_url=parties.api) as stranger:
            bare = await stranger.get("/v1/me")
        assert (answer.status_code, answer.content) == (bare.status_code, bare.content) == (401, bare.content)
        for _ in range(30):
            assert await status(parties, token(signer, "staff", age_s=700)) == 401, "run out, not a guess: nobody waits"

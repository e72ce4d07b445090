"""From claims to tenant, person and roles."""

import pytest

from holdfast.domain.errors import Unauthenticated
from holdfast.domain.principal import PrincipalKind
from holdfast.domain.rights import Role

PERSON, SERVICE = PrincipalKind
BY_ORG = {"tenant": None, "tenant_claim": "org"}


async def refused(learn, said, **settings):
    with pytest.raises(Unauthenticated) as caught:
        await learn(said, **settings)
    return caught.value.reason


async def test_a_claim_names_the_tenant(learn):
    assert (await learn({"org": "acme"}, **BY_ORG)).tenant == "acme"
    assert (await learn({"org": {"name": "acme"}}, tenant=None, tenant_claim="org.name")).tenant == "acme"


async def test_a_table_gives_the_tenant_and_nothing_else_does(learn):
    table = {**BY_ORG, "tenants": {"org_17": "acme"}}
    assert (await learn({"org": "org_17"}, **table)).tenant == "acme"
    assert await refused(learn, {"org": "acme"}, **table) == "no-tenant"
    assert await refused(learn, {"org": "org_17"}, **{**BY_ORG, "tenants": {}}) == "no-tenant"


@pytest.mark.parametrize("org", [..., None, "", " acme", "acme\0", 7, True, ["acme"], {"a": 1}, "a" * 256])
async def test_what_names_no_tenant_is_refused(learn, org):
    assert await refused(learn, {"org": org}, **BY_ORG) == "no-tenant"


async def test_a_fixed_tenant_is_not_the_tokens_to_choose(learn):
    assert (await learn({"org": "other", "tenant": "other"})).tenant == "acme"


@pytest.mark.parametrize(
    ("said", "path"),
    [
        ({"groups": "staff"}, "groups"),
        ({"groups": ["x", "staff", 7, None]}, "groups"),
        ({"realm_access": {"roles": ["staff"]}}, "realm_access.roles"),
        ({"resource_access": {"my.app": {"roles": ["staff"]}}}, "resource_access.my.app.roles"),
        ({"https://acme.example/roles": ["staff"]}, "https://acme.example/roles"),
        ({"a": {"x": 1}, "a.b": {"c": "staff"}}, "a.b.c"),
    ],
    ids=["text", "list", "nested", "dots in a key", "a URL", "two ways"],
)
async def test_roles_are_found_where_providers_put_them(learn, said, path):
    found = await learn(said, roles_claim=path, roles={"staff": ["user", "approver"], "boss": "admin"})
    assert found.roles == frozenset({Role.USER, Role.APPROVER})


@pytest.mark.parametrize(
    "groups", ["", "STAFF", "admin", "platform", {"staff": 1}, [["staff"]], 7, None, ["staff,boss"]]
)
async def test_what_is_not_in_the_table_gives_nothing(learn, groups):
    found = await learn({"groups": groups, "roles": ["admin"]}, roles_claim="groups", roles={"staff": "user"})
    assert found.roles == frozenset()


async def test_without_a_table_a_token_gives_no_role(learn):
    found = await learn({"roles": ["admin", "platform"], "groups": ["admin"]})
    assert found.roles is None, "it says nothing of roles: they are granted here"


async def test_platform_comes_from_the_table_only(learn):
    every = {role.value: role.value for role in Role if role is not Role.PLATFORM}
    said = {"roles": [role.value for role in Role]}
    assert Role.PLATFORM not in (await learn(said, roles_claim="roles", roles=every)).roles
    assert Role.PLATFORM in (await learn(said, roles_claim="roles", roles={"platform": "platform"})).roles


@pytest.mark.parametrize(
    ("said", "settings", "kind"),
    [
        ({"idtyp": "app"}, {}, PERSON),
        ({"idtyp": "app"}, {"service_claim": "idtyp", "service_value": "app"}, SERVICE),
        ({"idtyp": "user"}, {"service_claim": "idtyp", "service_value": "app"}, PERSON),
        ({}, {"service_claim": "idtyp", "service_value": "app"}, PERSON),
        ({"amr": ["app"]}, {"service_claim": "amr", "service_value": "app"}, SERVICE),
        ({"client": "x"}, {"service_claim": "client"}, SERVICE),
        ({"client": ""}, {"service_claim": "client"}, PERSON),
        ({"client": False}, {"service_claim": "client"}, PERSON),
        ({}, {"service_claim": "client"}, PERSON),
    ],
)
async def test_a_service_is_told_from_a_person(learn, said, settings, kind):
    assert (await learn(said, **settings)).kind is kind


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Ann", "Ann"),
        (" Ann \n of\tAcme ", "Ann of Acme"),
        ("Ann\0", "Ann"),
        ("\u202ennA", "nnA"),
        ("\ud800Ann", "Ann"),
        ("A" * 300, "A" * 255),
        ("\0", None),
        ("", None),
        (7, None),
        (["Ann"], None),
    ],
)
async def test_a_name_is_tidied_and_never_a_reason_to_refuse(learn, said, shown):
    assert (await learn({"name": said})).name == shown


@pytest.mark.parametrize(
    ("said", "email"),
    [
        ({"email": "a@b.example"}, "a@b.example"),
        ({"email": "a@b.example", "email_verified": True}, "a@b.example"),
        ({"email": "a@b.example", "email_verified": "true"}, "a@b.example"),
        ({"email": "a@b.example", "email_verified": False}, None),
        ({"email": "a@b.example", "email_verified": "false"}, None),
        ({"email": "a@b.example", "email_verified": None}, None),
        ({"email": "a@b.example\0"}, None),
        ({"email": ["a@b.example"]}, None),
        ({}, None),
    ],
)
async def test_an_address_counts_unless_it_is_not_verified(learn, said, email):
    assert (await learn(said)).email == email


async def test_other_claims_can_be_named(learn):
    found = await learn({"upn": "a@b.example", "display": "Ann"}, name_claim="display", email_claim="upn")
    assert (found.name, found.email) == ("Ann", "a@b.example")

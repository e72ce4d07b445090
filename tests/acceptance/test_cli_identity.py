"""Tenants, people and keys from the command line, as somebody at the installation's machine has them."""

import getpass
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx2
import pytest

from holdfast.domain.rights import GIVEN, Role
from support.api_serving import serving
from support.cli import APP, Cli


@pytest.fixture
def holdfast(database, tmp_path):
    return Cli(tmp_path, database)


def test_a_key_that_ends_is_rotated_to_one_that_lives_as_long(holdfast):
    def left(key):
        return datetime.fromisoformat(key["expires_at"]) - datetime.now(UTC)

    minute, day = timedelta(minutes=1), timedelta(days=1)
    first = holdfast("keys", "create", "--ends-in", "90d", "--json").json()
    second = holdfast("keys", "rotate", first["id"], "--overlap", "1h", "--json").json()
    assert abs(left(second) - 90 * day) < minute
    assert abs(left(holdfast("keys", "rotate", second["id"], "--ends-in", "7d", "--json").json()) - 7 * day) < minute
    endless = holdfast("keys", "create", "--json").json()
    told = holdfast("keys", "rotate", endless["id"])
    assert (told.code, "which ends" in told.err) == (0, False)


async def test_from_nothing_to_a_key_that_is_let_in(holdfast, database):
    made = holdfast("tenants", "create", "acme", "--admin", "Ada", "--json").json()
    tenants = holdfast("tenants", "ls", "--json").json()["items"]
    assert [one["name"] for one in tenants] == ["acme", "default", "platform"]
    of_acme = ("--tenant", "acme")
    roles = ("--role", "user", "--role", "approver")
    ann = holdfast(*of_acme, "principals", "invite", "Ann", *roles, "--json").json()
    assert ann["roles"] == ["approver", "user"]
    narrowed = ("--scope", "runs:read", "--ends-in", "30d")
    key = holdfast(*of_acme, "keys", "create", "Ann", *narrowed, "--json").json()
    async with serving(database.api_url) as url:
        for secret, name, scopes in ((made["key"]["secret"], "Ada", len(GIVEN[Role.ADMIN])), (key["secret"], "Ann", 1)):
            async with httpx2.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {secret}"}) as client:
                me = (await client.get("/v1/me")).json()
            assert (me["principal"]["name"], len(me["rights"])) == (name, scopes)
    assert holdfast(*of_acme, "keys", "revoke", key["id"], "--json").json()["revoked_at"] is not None


def test_acting_in_a_tenant_is_told_to_it(holdfast):
    holdfast("tenants", "create", "acme")
    run, key = str(uuid4()), str(uuid4())
    for arguments in (
        ("runs", "ls", "--task", "secret"),
        ("runs", "show", run, "--full"),
        ("runs", "cancel", run, "--reason", "secret"),
        ("runs", "tail", "last"),
        ("runs", "message", run, "secret", "--key", "secret"),
        ("keys", "revoke", key),
        ("principals", "grant", "Zed", "auditor"),
        ("budget", "raise", "tenant/day/usd", "12345"),
        ("tenants", "limits", "set", "steps=12345"),
        ("tenants", "limits", "rm", "steps", "calls:refund"),
        ("halt", "--run", run, "--reason", "secret"),
        ("runs", "show", b"\xff".decode(errors="surrogateescape")),
        ("approvals", "decide", key, "--answer", "secret"),
    ):
        holdfast("--tenant", "acme", *arguments)
    log = holdfast("--tenant", "acme", "audit", "ls", "--json").json()["items"]
    broken = [entry for entry in log if entry["action"] == "break_glass"][::-1]
    assert [(entry["details"]["command"], entry["details"]["named"]) for entry in broken] == [
        ("runs ls", []),
        ("runs show", [run]),
        ("runs cancel", [run]),
        ("runs tail", ["last"]),
        ("runs message", [run]),
        ("keys revoke", [key]),
        ("principals grant", ["auditor"]),
        ("budget raise", ["tenant/day/usd"]),
        ("tenants limits set", []),
        ("tenants limits rm", ["steps", "calls:refund"]),
        ("halt", []),
        ("runs show", ["\\udcff"]),
        ("approvals decide", [key]),
        ("audit ls", []),
    ]
    assert {entry["actor"].partition(":")[0] for entry in broken} == {"os"}
    assert "secret" not in json.dumps(log)
    assert "12345" not in json.dumps([entry["details"] for entry in broken])


def test_what_is_done_as_somebody_is_told_as_done_by_who_did_it(holdfast):
    made = holdfast("tenants", "create", "acme", "--admin", "Ada", "--json").json()
    of_acme = ("--tenant", "acme")
    ada, me = made["admin"]["id"], f"os:{getpass.getuser()}"
    zed = holdfast(*of_acme, "--principal", "Ada", "principals", "invite", "Zed", "--json").json()
    for arguments in (
        ("principals", "grant", "Zed", "admin"),
        ("principals", "revoke", "Zed", "admin"),
        ("principals", "disable", "Zed"),
        ("keys", "create", "--name", "mine"),
        ("tenants", "limits", "set", "steps=5"),
    ):
        assert holdfast(*of_acme, "--principal", "Ada", *arguments).code == 0
    log = holdfast(*of_acme, "audit", "ls", "--json").json()["items"]
    done = {entry["action"] for entry in log if entry["actor"] == f"{me} as {ada}"}
    assert done == {
        "principal.created",
        "role.granted",
        "role.revoked",
        "principal.disabled",
        "key.created",
        "tenant.limits",
    }
    assert ada not in {entry["actor"] for entry in log}, "she did nothing herself"
    assert {entry["target"] for entry in log if entry["action"] == "role.granted"} == {zed["id"]}
    [line] = [one for one in holdfast(*of_acme, "audit", "ls").out.splitlines() if "role.granted" in one]
    assert f"{me} as Ada" in line


def test_nobody_acts_as_somebody_who_is_disabled(holdfast):
    holdfast("principals", "invite", "Zed", "--role", "admin")
    holdfast("principals", "disable", "Zed")
    ended = holdfast("--principal", "Zed", "runs", "ls")
    assert ended.code == 8
    assert "'Zed' is disabled, and may do nothing." in ended.err
    assert "scope" not in ended.err
    assert holdfast("--principal", "Zed", "principals", "enable", "Zed").code == 8
    assert holdfast("principals", "enable", "Zed").code == 0
    assert holdfast("--principal", "Zed", "runs", "ls").code == 0


def test_what_a_command_was_given_is_not_in_the_log(holdfast):
    holdfast("tenants", "create", "acme")
    holdfast("--tenant", "acme", "--principal", "admin", "run", APP, "echo", "my secret", "--detach")
    holdfast("--tenant", "acme", "runs", "message", "last", "my other secret")
    log = holdfast("--tenant", "acme", "audit", "ls", "--json").out
    assert '"command":"run"' in log
    assert "secret" not in log


def test_a_run_of_another_tenant_is_for_somebody_of_it(holdfast):
    holdfast("tenants", "create", "acme")
    nobody = holdfast("--tenant", "acme", "run", APP, "echo", "hi", "--detach")
    assert nobody.code == 2
    assert "--principal" in nobody.err
    run = holdfast("--tenant", "acme", "--principal", "admin", "run", APP, "echo", "hi", "--detach", "--json").json()
    assert holdfast("runs", "show", run["id"]).code == 5, "the default tenant has none of that id"
    assert holdfast("--tenant", "acme", "runs", "show", run["id"]).code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--tenant", "nowhere", "runs", "ls"], 5, "no tenant 'nowhere'"),
        (["--principal", "nobody", "runs", "ls"], 5, "no principal 'nobody'"),
        (["tenants", "create", "Acme"], 2, "small letters"),
        (["principals", "grant", "local", "king"], 2, "one of"),
        (["principals", "revoke", "local", "admin"], 6, "last administrator"),
        (["keys", "create", "--scope", "everything"], 2, "There are"),
        (["keys", "create", "--ends-in", "soon"], 2, "12h"),
        (["keys", "create", "--ends-in", "99999999d"], 2, "No calendar goes so far"),
        (["keys", "rotate", str(UUID(int=7)), "--ends-in", "999999999d"], 2, "No calendar goes so far"),
    ],
)
def test_what_does_not_fit_is_said(holdfast, arguments, code, said):
    ended = holdfast(*arguments)
    assert (ended.code, said in ended.err) == (code, True), ended.err


def test_who_may_not_is_told_which_scope_is_missing(holdfast):
    holdfast("principals", "invite", "Ann")
    ended = holdfast("--principal", "Ann", "audit", "ls")
    assert ended.code == 8
    assert "'audit:read'" in ended.err

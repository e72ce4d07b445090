"""Issuers in holdfast.toml: what is wrong is told with file and line."""

import os

import pytest

from holdfast.domain.errors import UserError
from holdfast.domain.rights import Role
from holdfast.settings import PREFIX, Settings

GOOD = """\
slots = 3

[[oidc]]
issuer = "https://login.acme.example"
audience = "holdfast"
jwks_url = "https://login.acme.example/keys"
tenant = "acme"
roles_claim = "realm_access.roles"

[oidc.roles]
admins = "admin"
staff = ["user", "approver"]

[[oidc]]
issuer = "https://b.example"
audience = ["a", "b"]
jwks_file = "keys/b.json"
tenant_claim = "org"
"""


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(project, text):
    (project / "holdfast.toml").write_text(text)
    with pytest.raises(UserError) as caught:
        Settings.load()
    return str(caught.value).replace(f"{project}/", "")


def test_issuers_are_read(project):
    (project / "holdfast.toml").write_text(GOOD)
    below = project / "below"
    below.mkdir()
    acme, other = Settings.load(cwd=below).oidc
    assert (acme.issuer, acme.audience, acme.tenant) == ("https://login.acme.example", ("holdfast",), "acme")
    assert acme.algorithms == ("RS256", "ES256", "EdDSA")
    assert acme.roles == {"admins": frozenset({Role.ADMIN}), "staff": frozenset({Role.USER, Role.APPROVER})}
    assert (other.audience, other.tenant_claim) == (("a", "b"), "org")
    assert other.jwks_file == project / "keys" / "b.json"


def test_without_a_table_there_is_no_issuer():
    settings = Settings.load()
    assert settings.oidc == ()
    assert next((line.value, line.origin) for line in settings.show() if line.name == "oidc") == ("-", "default")


def test_issuers_are_shown_each_with_its_place(project):
    (project / "holdfast.toml").write_text(GOOD)
    shown = {line.name: (line.value, line.origin) for line in Settings.load().show()}
    assert shown["oidc[0]"] == (
        "https://login.acme.example for holdfast; keys https://login.acme.example/keys; tenant acme",
        f"{project}/holdfast.toml:3",
    )
    assert shown["oidc[1]"] == (
        f"https://b.example for a, b; keys {project}/keys/b.json; tenant by org",
        f"{project}/holdfast.toml:14",
    )
    assert "oidc" not in shown


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (('"admin"', '"root"'), "11: 'oidc[0].roles.admins[0]' should be 'user', 'approver', 'operator', "),
        (('"approver"', '"root"'), "12: 'oidc[0].roles.staff[1]' should be "),
        (('["a", "b"]', "[]"), "16: 'oidc[1].audience' names none"),
        (('"holdfast"', "7"), "5: 'oidc[0].audience' "),
        (('"holdfast"', '" "'), "5: 'oidc[0].audience[0]' is empty, or holds characters that cannot be seen"),
        (('issuer = "https://b.example"\n', ""), "14: 'oidc[1].issuer' is missing."),
        (
            ("https://b.example", "https://login.acme.example"),
            "15: 'oidc[1].issuer' is 'https://login.acme.example', as",
        ),
        (("tenant =", "tenannt ="), "7: 'oidc[0].tenannt' is not a setting; did you mean 'tenant'."),
        (('tenant = "acme"\n', ""), "3: 'oidc[0]' needs exactly one of 'tenant' and 'tenant_claim'."),
        (('tenant = "acme"', 'tenant = "acme"\ntenant_claim = "x"'), "3: 'oidc[0]' needs exactly one of 'tenant' and"),
        (
            ('tenant = "acme"', 'tenant = "acme"\ntenants = {}'),
            "3: 'oidc[0]' has 'tenants', which needs 'tenant_claim'",
        ),
        (('tenant = "acme"', 'tenant = "acme"\nservice_value = "x"'), "3: 'oidc[0]' has 'service_value', which needs"),
        (('jwks_file = "keys/b.json"\n', ""), "14: 'oidc[1]' needs exactly one of 'jwks_file' and 'jwks_url'."),
        (
            ("jwks_file", 'jwks_url = "https://b.example/k"\njwks_file'),
            "14: 'oidc[1]' needs exactly one of 'jwks_file'",
        ),
        (
            ('roles_claim = "realm_access.roles"', ""),
            "3: 'oidc[0]' needs 'roles_claim' and 'roles' together, or neither.",
        ),
        (
            ("https://login.acme.example/keys", "http://login.acme.example/keys"),
            "6: 'oidc[0].jwks_url' must begin with",
        ),
        (("https://login.acme.example/keys", "http://localhost.acme.example"), "6: 'oidc[0].jwks_url' must begin with"),
        (("https://login.acme.example/keys", "login.acme.example/keys"), "6: 'oidc[0].jwks_url' is not an address."),
        (("https://login.acme.example/keys", "file:///etc/passwd"), "6: 'oidc[0].jwks_url' is not an address."),
        (("https://login.acme.example/keys", "https://h:p/keys"), "6: 'oidc[0].jwks_url' "),
        (('tenant = "acme"', 'tenant = "acme"\nleeway_s = 900'), "8: 'oidc[0].leeway_s' should be less than"),
        (
            ('tenant = "acme"', 'tenant = "acme"\nalgorithms = ["none"]'),
            "8: 'oidc[0].algorithms[0]' should be 'RS256',",
        ),
        (('tenant = "acme"', 'tenant = "acme"\nalgorithms = ["HS256"]'), "8: 'oidc[0].algorithms[0]' should be"),
        (('tenant = "acme"', 'tenant = "acme"\nalgorithms = []'), "8: 'oidc[0].algorithms' names none"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(project, change, told):
    assert change[0] in GOOD
    assert refusal(project, GOOD.replace(*change, 1)).startswith(f"holdfast.toml:{told}")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "[::1]"])
def test_on_this_machine_keys_may_come_unencrypted(project, host):
    (project / "holdfast.toml").write_text(GOOD.replace("https://login.acme.example/keys", f"http://{host}/keys"))
    assert Settings.load().oidc[0].jwks_url == f"http://{host}/keys"


def test_a_password_in_an_address_is_refused_and_not_repeated(project):
    told = refusal(project, GOOD.replace("https://login.acme.example/keys", "https://ann:hunter2@login.acme.example/k"))
    assert "may hold neither a user nor a fragment" in told
    assert "hunter2" not in told


def test_one_bracket_too_few_is_told(project):
    text = GOOD.partition("[oidc.roles]")[0].replace("[[oidc]]", "[oidc]")
    assert (
        refusal(project, text)
        == "holdfast.toml:3: 'oidc' is one of a list of tables: write [[oidc]], with two brackets."
    )


def test_a_variable_is_refused(project, monkeypatch):
    monkeypatch.setenv("HOLDFAST_OIDC", "[]")
    assert refusal(project, "").startswith("HOLDFAST_OIDC is not read")

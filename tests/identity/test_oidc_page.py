"""docs/identity-oidc.md says what is so."""

import re
from pathlib import Path

from holdfast.domain.principal import PrincipalKind
from holdfast.domain.rights import Role
from holdfast.identity.compact import MAX_TOKEN_BYTES
from holdfast.identity.issuers import IssuerSettings
from holdfast.identity.reasons import Reason
from holdfast.identity.tokens import TokenVerifier
from holdfast.settings import Settings
from support.oidc_scene import NOW_S, claims
from support.signing import Signer, key_set

PAGE = (Path(__file__).parents[2] / "docs" / "identity-oidc.md").read_text()
(EXAMPLE,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def rows(heading):
    """The cells of the section's table, each without its marks."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return [[re.findall(r"[\w.-]+", cell.replace(",", "")) for cell in cells[:2]] for cells in lines]


async def test_the_example_works(tmp_path, clock):
    signer = Signer()
    (tmp_path / "holdfast.toml").write_text(EXAMPLE)
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "partners.json").write_bytes(key_set(signer))

    async def provider(url):
        assert url == "https://login.acme.example/realms/acme/protocol/openid-connect/certs"
        return key_set(signer)

    verifier = TokenVerifier(Settings.load(cwd=tmp_path).oidc, now=clock, clock=clock, fetch=provider)
    assert await verifier.faults() == {}
    lead = claims(
        iss="https://login.acme.example/realms/acme",
        realm_access={"roles": ["agents-leads", "offline_access"]},
        account_kind="service",
    )
    found = await verifier.verify(signer.token(lead))
    assert (found.tenant, found.kind) == ("acme", PrincipalKind.SERVICE)
    assert found.roles == frozenset({Role.USER, Role.APPROVER})
    partner = claims(iss="https://partners.example", org_id="org_23", exp=NOW_S + 60)
    assert (await verifier.verify(signer.token(partner))).tenant == "south"


def test_every_reason_is_explained():
    assert [word for (word,), _ in rows("What is refused")] == [reason.value for reason in Reason]
    assert f"more than {MAX_TOKEN_BYTES // 1024} KiB" in PAGE


def test_every_setting_is_listed_with_its_default():
    fields = IssuerSettings.model_fields
    names = [name for names, _ in rows("Configure") for name in names if name != "or"]
    assert sorted(names) == sorted(fields)
    for names, defaults in rows("Configure"):
        if defaults and names != ["algorithms"]:
            assert defaults == [f"{fields[name].default}".removesuffix(".0") for name in names]
    assert ["algorithms", *fields["algorithms"].default] in [[*names, *said] for names, said in rows("Configure")]

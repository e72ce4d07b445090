"""What a tenant may have at most, set by several at once."""

from holdfast.domain.ids import PLATFORM_TENANT
from holdfast.domain.principal import Who
from holdfast.domain.rights import Role, rights_of
from holdfast.service import manage_tenants as use
from holdfast.service.identity_views import Quotas

OPERATOR = Who(PLATFORM_TENANT, "test", rights_of([Role.PLATFORM]))


async def test_who_changes_one_quota_undoes_no_other_that_somebody_sets_meanwhile(services, monkeypatch):
    await use.create_tenant(services, OPERATOR, "acme")
    await use.set_quotas(services, OPERATOR, "acme", Quotas(principals=1, bytes=7))
    look, others = use.get_tenant, [Quotas(runs=5)]

    async def look_while_another_sets(*given):
        seen = await look(*given)
        while others:
            await use.change_quotas(services, OPERATOR, "acme", others.pop())
        return seen

    monkeypatch.setattr(use, "get_tenant", look_while_another_sets)
    changed = await use.change_quotas(services, OPERATOR, "acme", Quotas(principals=6), drop=["bytes"])
    assert changed.quotas == Quotas(principals=6, runs=5)
    told = await use.get_tenant(services, OPERATOR, "acme")
    assert told.quotas == changed.quotas

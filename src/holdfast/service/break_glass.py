"""Acting in a tenant by holding the database, as whoever works on the installation's machine can.

Nothing prevents that: who has the database and the wrapping key can read and write everything. So it is done in the
open: the tenant's own audit log says that it happened, and who did it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from holdfast.domain.errors import NotFound, PrincipalDisabled
from holdfast.domain.ids import DEFAULT_TENANT, PLATFORM_TENANT
from holdfast.domain.principal import Who
from holdfast.domain.rights import Role, rights_of
from holdfast.service.manage_principals import find_principal
from holdfast.service.services import LOCAL, Services
from holdfast.store import audit, tenants


async def act_as(
    services: Services, tenant: str, principal: str | None, *, by: str, what: str, named: Sequence[str] = ()
) -> Who:
    """Somebody of a tenant, or its administrator in all but name. The tenant is told.

    Args:
        services: what this process has.
        tenant: its name.
        principal: the name of the principal to act as, with its rights; None with all of them, as nobody of theirs.
        by: who does it, for the audit log: of this, and of what they do to people, keys and the tenant.
        what: what for, for the audit log: the command.
        named: the ids that the command was given, and what else it named but people, for the audit log.

    Raises:
        NotFound: there is no such tenant or principal.
        PrincipalDisabled: the principal may do nothing.
    """
    id_ = await tenants.find_tenant(services.db, tenant)
    if id_ is None:
        raise NotFound(f"There is no tenant '{tenant}'. `holdfast tenants ls` lists them.")
    who = await _who(services, id_, principal, by)
    if who is not LOCAL:
        details = {"command": what, "named": list(named)}
        await audit.note(services.db, id_, actor=by, action="break_glass", target=who.principal, details=details)
    return who


async def _who(services: Services, tenant: UUID, principal: str | None, by: str) -> Who:
    if principal is not None:
        found = (await find_principal(services, tenant, principal)).principal()
        if found.disabled:
            raise PrincipalDisabled(
                f"'{principal}' is disabled, and may do nothing. `holdfast principals enable {principal}`, without "
                "--principal, lets them act again."
            )
        return replace(Who.of(found), through=by)
    if tenant == DEFAULT_TENANT:
        return LOCAL
    return Who(tenant, by, rights_of([Role.ADMIN, Role.PLATFORM] if tenant == PLATFORM_TENANT else [Role.ADMIN]))

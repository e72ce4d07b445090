"""Tenants, managed by the platform."""

from __future__ import annotations

import re
from collections.abc import Sequence
from uuid import UUID

from holdfast.domain.errors import InvalidInput, NameTaken, NotFound, TenantActive
from holdfast.domain.ids import DEFAULT_TENANT, PLATFORM_TENANT
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.identity.api_keys import ApiKey
from holdfast.service.content import check_text
from holdfast.service.idempotency import keyed, made_before
from holdfast.service.identity_views import (
    DeletedTenantView,
    NewKeyView,
    NewTenantView,
    Quotas,
    TenantPage,
    TenantView,
)
from holdfast.service.manage_keys import key_view
from holdfast.service.manage_principals import existing_principal, principal_view, read_name
from holdfast.service.pages import PAGE, cut
from holdfast.service.services import Services
from holdfast.store import keys, tenants
from holdfast.store.hints import QUEUED

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)


async def create_tenant(
    services: Services, who: Who, name: str, *, admin: str = "admin", idempotency_key: str | None = None
) -> NewTenantView:
    """Make a tenant with its first administrator, whose key is in the answer and nowhere else.

    Whoever made that key could use it. So the tenant's own audit log begins by naming them. With an idempotency key,
    asking again with the same request answers with the tenant as it is now and nothing of what is in it: neither the
    administrator nor the key.

    Raises:
        NameTaken: another tenant has this name.
        InvalidInput: a name does not fit.
        IdempotencyConflict: the key was used with another request.
        NotFound: the tenant that the first request made was deleted.
    """
    who.reach(Scope.TENANTS_WRITE)
    if not _NAME.fullmatch(name):
        raise InvalidInput("A tenant's name has 1 to 63 small letters, digits and hyphens, and begins with a letter.")
    admin = read_name(admin)
    asked = await keyed(services, who, "create_tenant", idempotency_key, {"name": name, "admin": admin})
    if (first := await made_before(services, PLATFORM_TENANT, asked)) is not None:
        return await _made_before(services, first)
    id_ = services.new_id()
    key = ApiKey.generate(id_)
    founder = tenants.Founder(
        id=services.new_id(), name=admin, key=services.new_id(), key_name="first", digest=key.digest
    )
    outcome = await tenants.found_tenant(
        services.db, id_, name=name, founder=founder, by=platform_actor(who), idempotency=asked
    )
    if outcome == "taken":
        raise NameTaken(f"There is a tenant '{name}'. Choose another name.")
    if outcome == "asked_before":  # at this very moment, or by an attempt of ours whose answer was lost
        first = await made_before(services, PLATFORM_TENANT, asked)
        if first is not None and first != id_:
            return await _made_before(services, first)
    return await _new(services, id_, founder, key)


async def _new(services: Services, id_: UUID, founder: tenants.Founder, key: ApiKey) -> NewTenantView:
    found = await tenants.get_tenant(services.db, id_)
    assert found is not None, "it was made with its first administrator"
    admin = principal_view(await existing_principal(services, id_, founder.id))
    [row] = await keys.list_keys(services.db, id_, id=founder.key, limit=1)
    return NewTenantView(
        **_view(found).model_dump(), admin=admin, key=NewKeyView(**key_view(row).model_dump(), secret=key.text)
    )


async def _made_before(services: Services, tenant: UUID) -> NewTenantView:
    found = await tenants.get_tenant(services.db, tenant)
    if found is None:
        raise NotFound("The tenant that the first request with this idempotency key made was deleted. Use a new key.")
    return NewTenantView(**_view(found).model_dump(), admin=None, key=None)


async def get_tenant(services: Services, who: Who, name: str) -> TenantView:
    """One tenant by name.

    Raises:
        NotFound: there is none.
    """
    who.reach(Scope.TENANTS_READ)
    found = await tenants.get_tenant(services.db, await existing_tenant(services, name))
    if found is None:
        raise _no_tenant(name)
    return _view(found)


async def get_own_tenant(services: Services, who: Who) -> TenantView:
    """The tenant of whoever asks."""
    who.reach(Scope.TENANT_READ)
    found = await tenants.get_tenant(services.db, who.tenant)
    assert found is not None, "who asks has a tenant"
    return _view(found)


async def list_tenants(services: Services, who: Who, *, after: str | None = None, limit: int = PAGE) -> TenantPage:
    """Tenants by name; `after` is the `next` of the page before."""
    who.reach(Scope.TENANTS_READ)
    rows = await tenants.list_tenants(services.db, after=after, limit=limit + 1)
    page, more = cut(rows, limit, lambda row: row.name)
    return TenantPage(items=[_view(row) for row in page], next=more)


async def suspend_tenant(services: Services, who: Who, name: str, *, reason: str) -> TenantView:
    """Stop a tenant: it starts nothing new, what is queued parks now, what runs at its next effect.

    Raises:
        NotFound: there is none, or it is being deleted.
        InvalidInput: no reason is given, or it is the platform's own.
    """
    if not check_text(reason, what="reason").strip():
        raise InvalidInput("Say why: the tenant reads it in its audit log.")
    return await _set_suspended(services, who, name, suspended=True, reason=reason)


async def resume_tenant(services: Services, who: Who, name: str) -> TenantView:
    """Let a suspended tenant go on, and what was parked with it.

    Raises:
        NotFound: there is none, or it is being deleted.
    """
    return await _set_suspended(services, who, name, suspended=False, reason="")


async def set_quotas(services: Services, who: Who, name: str, quotas: Quotas) -> TenantView:
    """Set all that a tenant may have at most: what is left out has no limit. What it has already stays.

    Raises:
        NotFound: there is none.
    """
    who.reach(Scope.TENANTS_WRITE)
    id_ = await existing_tenant(services, name)
    await tenants.set_quotas(services.db, id_, quotas.model_dump(), by=platform_actor(who))
    return await get_tenant(services, who, name)


async def change_quotas(
    services: Services, who: Who, name: str, put: Quotas, *, drop: Sequence[str] = ()
) -> TenantView:
    """Set those quotas of `put` that are not None and take away those of `drop`; the others stay.

    Raises:
        NotFound: there is no such tenant.
        InvalidInput: nothing is to be changed, or a quota to be taken away is not there.
    """
    who.reach(Scope.TENANTS_WRITE)
    given = put.model_dump(exclude_none=True)
    if not given and not drop:
        raise InvalidInput(
            f"Say what is to be set: --principals, --runs or --bytes. `holdfast tenants quotas show {name[:63]}` shows "
            "what is in force."
        )
    before = (await get_tenant(services, who, name)).quotas.model_dump(exclude_none=True)
    for quota in drop:
        if quota not in before:
            raise InvalidInput(
                f"The tenant has no quota '{quota[:63]}'. It has: {', '.join(sorted(before)) or 'none'}."
            )
    id_ = await existing_tenant(services, name)
    await tenants.set_quotas(services.db, id_, given, only=[*given, *drop], by=platform_actor(who))
    return await get_tenant(services, who, name)


async def delete_tenant(services: Services, who: Who, name: str) -> DeletedTenantView:
    """Delete a suspended tenant for good: every row it has, the keys of its content among them.

    Interrupted, it goes on when asked again. What stays is a note in the platform's log: how many rows of which table,
    and a digest of where all journals ended, by which an export can be shown to have been complete.

    Raises:
        NotFound: there is none.
        TenantActive: it has to be suspended first.
        InvalidInput: it is the one that commands without a tenant act in.
    """
    who.reach(Scope.TENANTS_WRITE)
    id_ = await existing_tenant(services, name)
    if id_ == DEFAULT_TENANT:
        raise InvalidInput(
            f"Tenant '{name}' is where commands act that name no tenant, so it cannot be deleted. Suspend it, if "
            "nothing is to happen there any more."
        )
    if await tenants.doom_tenant(services.db, id_, by=platform_actor(who)) == "active":
        raise TenantActive(f"Tenant '{name}' is active. Suspend it first, and export what is to be kept.")
    await tenants.keep_evidence(services.db, id_)
    await tenants.delete_rows(services.db, id_)
    evidence = await tenants.bury_tenant(services.db, id_, by=platform_actor(who))
    if evidence is None:
        raise _no_tenant(name)
    return DeletedTenantView.model_validate_json(evidence)


async def _set_suspended(services: Services, who: Who, name: str, *, suspended: bool, reason: str) -> TenantView:
    who.reach(Scope.TENANTS_WRITE)
    id_ = await existing_tenant(services, name)
    if id_ == PLATFORM_TENANT:
        raise InvalidInput("The platform's own tenant cannot be suspended: nobody could let it go on.")
    change = await tenants.suspend_tenant(services.db, id_, suspended=suspended, reason=reason, by=platform_actor(who))
    if change == "absent":
        raise _no_tenant(name)
    services.hints.notify(QUEUED)
    return await get_tenant(services, who, name)


async def existing_tenant(services: Services, name: str) -> UUID:
    """The id of the tenant of a name.

    Raises:
        NotFound: there is none.
    """
    id_ = await tenants.find_tenant(services.db, name)
    if id_ is None:
        raise _no_tenant(name)
    return id_


def _no_tenant(name: str) -> NotFound:
    return NotFound(f"There is no tenant '{name[:63]}'. `GET /v1/tenants` or `holdfast tenants ls` lists them.")


def platform_actor(who: Who) -> str:
    """How a tenant's log calls somebody of the platform."""
    return f"platform:{who.actor}"


def _view(row: tenants.TenantRow) -> TenantView:
    quotas = Quotas(principals=row.max_principals, runs=row.max_runs, bytes=row.max_bytes)
    return TenantView(id=row.id, name=row.name, state=row.state, created_at=row.created_at, quotas=quotas)

"""Who may do what, in one place: roles, the scopes they give, and how far each reaches.

A *scope* names a kind of request, as every route declares it. A *role* gives scopes, each with a *reach*: the
principal's own sessions and runs, or all of the tenant's. A credential can narrow what its principal may,
never widen it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum, StrEnum


class Role(StrEnum):
    """What a principal is in its tenant."""

    USER = "user"
    """Starts runs, and sees and steers their own."""
    APPROVER = "approver"
    """Sees every run and decides what waits for people."""
    OPERATOR = "operator"
    """Sees every run and steers it."""
    SERVICE = "service"
    """Starts runs for itself or on behalf of principals, with their rights, and sees those."""
    AUDITOR = "auditor"
    """Sees everything and changes nothing."""
    ADMIN = "admin"
    """Everything in the tenant, its people and keys included."""
    PLATFORM = "platform"
    """Manages tenants, and sees no tenant's content. Only in the platform's own tenant."""


class Scope(StrEnum):
    """What a route asks for."""

    TASKS_READ = "tasks:read"
    RUNS_START = "runs:start"
    RUNS_DELEGATED = "runs:delegated"
    """To start runs on behalf of another principal, with that principal's rights."""
    RUNS_READ = "runs:read"
    RUNS_CONTROL = "runs:control"
    APPROVALS_READ = "approvals:read"
    APPROVALS_DECIDE = "approvals:decide"
    SESSIONS_READ = "sessions:read"
    SESSIONS_WRITE = "sessions:write"
    PRINCIPALS_READ = "principals:read"
    PRINCIPALS_WRITE = "principals:write"
    KEYS_READ = "keys:read"
    KEYS_WRITE = "keys:write"
    AUDIT_READ = "audit:read"
    COSTS_READ = "costs:read"
    BUDGETS_READ = "budgets:read"
    BUDGETS_WRITE = "budgets:write"
    """To set, raise and end budgets, and settle what was estimated: what may be spent is an administrator's to say."""
    HALTS_READ = "halts:read"
    HALTS_WRITE = "halts:write"
    TENANT_READ = "tenant:read"
    TENANT_WRITE = "tenant:write"
    TENANTS_READ = "tenants:read"
    TENANTS_WRITE = "tenants:write"


class Reach(IntEnum):
    """How far a scope goes."""

    OWN = 1
    TENANT = 2


Rights = Mapping[Scope, Reach]

_PLATFORM = frozenset({Scope.TENANTS_READ, Scope.TENANTS_WRITE})
_OWN_KEYS = {Scope.KEYS_READ: Reach.OWN, Scope.KEYS_WRITE: Reach.OWN}
_READS = frozenset(
    {
        Scope.TASKS_READ,
        Scope.RUNS_READ,
        Scope.APPROVALS_READ,
        Scope.SESSIONS_READ,
        Scope.HALTS_READ,
        Scope.COSTS_READ,
        Scope.BUDGETS_READ,
    }
)
_OWN_HALTS = {Scope.HALTS_READ: Reach.OWN, Scope.HALTS_WRITE: Reach.OWN}

GIVEN: Mapping[Role, Rights] = {
    Role.USER: _OWN_KEYS
    | _OWN_HALTS
    | {
        Scope.TASKS_READ: Reach.TENANT,
        Scope.RUNS_START: Reach.OWN,
        Scope.RUNS_READ: Reach.OWN,
        Scope.RUNS_CONTROL: Reach.OWN,
        Scope.COSTS_READ: Reach.OWN,
        Scope.APPROVALS_READ: Reach.OWN,
        Scope.APPROVALS_DECIDE: Reach.OWN,
        Scope.SESSIONS_READ: Reach.OWN,
        Scope.SESSIONS_WRITE: Reach.OWN,
    },
    Role.SERVICE: _OWN_KEYS
    | _OWN_HALTS
    | {
        Scope.TASKS_READ: Reach.TENANT,
        Scope.RUNS_START: Reach.OWN,
        Scope.RUNS_DELEGATED: Reach.TENANT,
        Scope.RUNS_READ: Reach.OWN,
        Scope.RUNS_CONTROL: Reach.OWN,
        Scope.COSTS_READ: Reach.OWN,
        Scope.APPROVALS_READ: Reach.OWN,
        Scope.SESSIONS_READ: Reach.OWN,
        Scope.SESSIONS_WRITE: Reach.OWN,
    },
    Role.APPROVER: _OWN_KEYS | dict.fromkeys({*_READS, Scope.APPROVALS_DECIDE}, Reach.TENANT),
    Role.OPERATOR: _OWN_KEYS | dict.fromkeys({*_READS, Scope.RUNS_CONTROL, Scope.HALTS_WRITE}, Reach.TENANT),
    Role.AUDITOR: dict.fromkeys(
        {*_READS, Scope.PRINCIPALS_READ, Scope.KEYS_READ, Scope.AUDIT_READ, Scope.TENANT_READ}, Reach.TENANT
    ),
    Role.ADMIN: dict.fromkeys(frozenset(Scope) - _PLATFORM, Reach.TENANT),
    Role.PLATFORM: _OWN_KEYS | dict.fromkeys({*_PLATFORM, Scope.HALTS_READ, Scope.HALTS_WRITE}, Reach.TENANT),
}
"""What each role gives. This table is the whole rule; docs/identity.md prints it."""


def rights_of(roles: Iterable[Role], scopes: Iterable[Scope] | None = None) -> Rights:
    """What these roles give together, the farther reach winning.

    Args:
        roles: the roles held.
        scopes: what the credential is narrowed to; None where it is not.
    """
    found: dict[Scope, Reach] = {}
    for role in roles:
        for scope, reach in GIVEN[role].items():
            found[scope] = max(reach, found.get(scope, reach))
    if scopes is None:
        return found
    allowed = frozenset(scopes)
    return {scope: reach for scope, reach in found.items() if scope in allowed}


def may_join_others(rights: Rights) -> bool:
    """Whether they may go on with sessions of others, where a task shares: those who may read and write each anyway."""
    return all(rights.get(scope) is Reach.TENANT for scope in (Scope.SESSIONS_READ, Scope.SESSIONS_WRITE))

"""The oracle: who may do what, written from what the documentation promises and not from the code that keeps it.

Rights come from the table in docs/identity.md. Beside it there are two rules. What is another tenant's does not
exist. Of one's own tenant, a scope that reaches one's own only lets nothing else exist.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

TABLE = Path(__file__).parents[2] / "docs" / "identity.md"
PLATFORM = {"tenants:read": "tenant", "tenants:write": "tenant", "keys:read": "own", "keys:write": "own",
            "halts:read": "tenant", "halts:write": "tenant"}  # fmt: skip


def _promised() -> dict[str, dict[str, str]]:
    rows = [[cell.strip(" `") for cell in line.strip("|\n").split("|")] for line in TABLE.read_text().splitlines()
            if re.match(r"\| (scope|`)", line)]  # fmt: skip
    roles = rows[0][1:]
    found: dict[str, dict[str, str]] = {role: {} for role in roles}
    for scope, *reaches in rows[1:]:
        for role, reach in zip(roles, reaches, strict=True):
            if reach:
                found[role][scope] = reach
    return {**found, "platform": PLATFORM}


PROMISED = _promised()
"""Role, scope, how far."""


@dataclass(eq=False)
class Person:
    """Somebody of a tenant, and the mark that everything they write carries."""

    tenant: str
    id: str
    name: str
    roles: set[str]
    core: bool = True
    """Whether what they may stays as it is: others are given and lose roles on the way."""
    disabled: bool = False

    @property
    def mark(self) -> str:
        return f"{mark_of(self.tenant)}-{self.name.lower()}-"


def mark_of(tenant: str) -> str:
    """What everything written in a tenant carries. No id, digest or cursor can come to hold it by chance."""
    return f"TAINT{tenant.upper()}"


@dataclass(eq=False)
class Key:
    """A credential. Without an owner it is a stranger's."""

    owner: Person | None
    secret: str | None
    id: str = ""
    scopes: frozenset[str] | None = None
    ended: bool = False
    why: str = ""

    @property
    def accepted(self) -> bool:
        return self.owner is not None and not self.ended and not self.owner.disabled

    @property
    def rights(self) -> dict[str, str]:
        """What it lets do, and how far."""
        found: dict[str, str] = {}
        if self.owner is None:
            return found
        for role in self.owner.roles:
            for scope, reach in PROMISED[role].items():
                found[scope] = "tenant" if "tenant" in (reach, found.get(scope)) else reach
        return {scope: reach for scope, reach in found.items() if self.scopes is None or scope in self.scopes}


@dataclass(eq=False)
class Thing:
    """Something with an id. `owner` is None where only the tenant is known."""

    kind: str
    id: str
    tenant: str
    owner: Person | None = None
    more: dict[str, str] = field(default_factory=dict)


def sees(key: Key, scope: str, thing: Thing | None) -> bool:
    """Whether a thing exists for who asks, by this scope. None is what exists for nobody."""
    if thing is None or key.owner is None or thing.tenant != key.owner.tenant:
        return False
    return key.rights.get(scope) == "tenant" or thing.owner is key.owner


def verdict(key: Key, scope: str | None, thing: Thing | str | None = "") -> int:
    """What the answer has to be: 401, 403, 404, or 200 for whatever one who may is told. "" is where no id is named."""
    if not key.accepted:
        return 401
    if scope is None:
        return 200
    if scope not in key.rights:
        return 403
    return 200 if isinstance(thing, str) or sees(key, scope, thing) else 404

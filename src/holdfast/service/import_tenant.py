"""A tenant from an export. It is suspended at first: what it is a copy of may be running elsewhere."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from holdfast.domain.errors import InvalidInput, NameTaken
from holdfast.domain.limits import read_stored
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service.export_tenant import FORMAT, VERSION
from holdfast.service.identity_views import TenantView
from holdfast.service.manage_tenants import get_tenant, platform_actor
from holdfast.service.services import Services
from holdfast.store import export
from holdfast.store.vault import WrappingKey

_BATCH_BYTES = 1 << 20
_OBJECT = TypeAdapter(dict[str, Any])


async def import_tenant(services: Services, who: Who, lines: Iterable[bytes], key: WrappingKey) -> TenantView:
    """Bring a tenant in, under its own id and name.

    Args:
        services: what this process has.
        who: the one who asks, of the platform.
        lines: as `export_tenant` gave them. They are read once, in order, and checked to the end.
        key: the export key.

    Raises:
        NameTaken: there is a tenant of this id or name. One of which an import broke off can be deleted.
        InvalidInput: this is no export, of another version, incomplete, or was changed.
        KeyUnavailable: the key is another.
    """
    who.reach(Scope.TENANTS_WRITE)
    digest, reading = hashlib.sha256(), iter(lines)
    head = _head(next(reading, b""), key)
    digest.update(head.line)
    by = platform_actor(who)
    made = await export.begin_import(
        services.db,
        head.id,
        name=head.name,
        created_at=head.created_at,
        time_zone=head.time_zone,
        ceilings=head.ceilings,
        by=by,
    )
    if made == "taken":
        raise NameTaken(
            f"There is a tenant '{head.name}' or of id {head.id} here. If an import of it broke off, delete it and "
            "import again."
        )
    if made == "no_zone":
        raise InvalidInput(
            f"The tenant's days begin in the time zone '{head.time_zone}', which PostgreSQL does not know here. Update "
            "its time zones, or export the tenant again with another zone."
        )
    batch, rows = _Batch(services, head.id), Counter[str]()
    end: dict[str, Any] | None = None
    for line in reading:
        found = _json(line)
        if "end" in found:
            end = found["end"]
            break
        digest.update(line)
        table, row = found["table"], found["row"]
        if table == "subject_keys" and row["wrapped"] is not None:
            wrapped = bytes.fromhex(row["wrapped"].removeprefix("\\x"))
            taken, kek = services.vault.taken_over(head.id, row["subject"], wrapped, key)
            row |= {"wrapped": f"\\x{taken.hex()}", "kek": kek}
        rows[table] += 1
        await batch.add(table, row, len(line))
    await batch.flush()
    if end is None or end["sha256"] != digest.hexdigest() or end["rows"] != dict(rows):
        raise InvalidInput(
            "The export is incomplete or was changed: its last line does not fit those before it. What was imported is "
            f"kept from everybody; `holdfast tenants delete {head.name}` removes it."
        )
    await export.end_import(services.db, head.id, by=by)
    return await get_tenant(services, who, head.name)


class _Head:
    def __init__(self, line: bytes, tenant: dict[str, Any]) -> None:
        self.line = line
        self.id, self.name = UUID(tenant["id"]), str(tenant["name"])
        self.created_at = datetime.fromisoformat(tenant["created_at"])
        self.time_zone = str(tenant.get("time_zone", "UTC"))
        try:
            self.ceilings = read_stored(tenant.get("ceilings", {}))
        except ValueError as error:
            raise InvalidInput(f"The tenant's limits cannot be kept here: {error}") from None


class _Batch:
    """Rows of one table on their way."""

    def __init__(self, services: Services, tenant: UUID) -> None:
        self._services, self._tenant = services, tenant
        self._table, self._rows, self._bytes = "", list[object](), 0

    async def add(self, table: str, row: object, size: int) -> None:
        if table != self._table or self._bytes > _BATCH_BYTES:
            await self.flush()
        self._table = table
        self._rows.append(row)
        self._bytes += size

    async def flush(self) -> None:
        if self._rows:
            await export.import_rows(self._services.db, self._tenant, self._table, self._rows)
        self._rows, self._bytes = [], 0


def _head(line: bytes, key: WrappingKey) -> _Head:
    head = _json(line)
    if head.get("format") != FORMAT or head.get("version") != VERSION:
        raise InvalidInput("This is no export of a tenant, or one of another version: its first line says neither.")
    if head["key"] != key.id:
        raise InvalidInput(f"The export was made with the export key {head['key']}, and this is {key.id}.")
    return _Head(line, head["tenant"])


def _json(line: bytes) -> dict[str, Any]:
    try:
        return _OBJECT.validate_json(line)
    except ValidationError:
        raise InvalidInput("The export is damaged: a line of it is not a JSON object.") from None

"""A tenant from an export. It is suspended at first: what it is a copy of may be running elsewhere."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from holdfast.domain.errors import InvalidInput, NameTaken
from holdfast.domain.limits import read_stored
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service.check_journals import broken_journal
from holdfast.service.export_tenant import FORMAT, VERSION
from holdfast.service.identity_views import TenantView
from holdfast.service.manage_tenants import get_tenant, platform_actor
from holdfast.service.services import Services
from holdfast.store import export
from holdfast.store.vault import WrappingKey

_BATCH_BYTES = 1 << 20
_WHAT_TO_DO = "Import the export as it was written, or export the tenant again."
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
        InvalidInput: this is no export, of another version, incomplete, or was changed; a line of it that cannot be is
            named, and so is a run whose journal does not verify.
        KeyUnavailable: the key is another.
        DatabaseUnavailable: the database went away.
    """
    who.reach(Scope.TENANTS_WRITE)
    reading = _Reading(lines)
    try:
        head = _head(next(reading, None), key)
        await _begin(services, who, head)
    except _Damaged as damaged:
        raise InvalidInput(f"{damaged} Nothing was imported. {_WHAT_TO_DO}") from damaged
    try:
        rows = await _import_rows(services, head, reading, key)
        if broken := await broken_journal(services, head.id, events=rows["events"]):
            raise _Damaged(f"The export was changed: {broken}.")
    except _Damaged as damaged:
        raise InvalidInput(
            f"{damaged} What was imported is kept from everybody; `holdfast tenants delete {head.name}` removes it. "
            f"{_WHAT_TO_DO}"
        ) from damaged
    await export.end_import(services.db, head.id, by=platform_actor(who))
    return await get_tenant(services, who, head.name)


class _Damaged(Exception):
    """What is wrong with the export, as a sentence."""

    @classmethod
    def at(cls, line: int, why: str) -> _Damaged:
        return cls(f"Line {line} of the export is damaged: {why}.")


class _Line(NamedTuple):
    number: int
    found: dict[str, Any]
    size: int

    def damaged(self, why: str) -> _Damaged:
        return _Damaged.at(self.number, why)


class _Reading(Iterator[_Line]):
    """The lines, numbered as in an editor, and the digest of those before the latest."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = enumerate(lines, 1)
        self._digest, self._latest = hashlib.sha256(), b""

    def __next__(self) -> _Line:
        number, line = next(self._lines)
        self._digest.update(self._latest)
        self._latest = line
        try:
            return _Line(number, _OBJECT.validate_json(line), len(line))
        except ValidationError:
            raise _Damaged.at(number, "it is not a JSON object") from None

    def sha256(self) -> str:
        return self._digest.hexdigest()


class _Head:
    """Whose export it is. Raises KeyError, TypeError and ValueError for what is none."""

    def __init__(self, tenant: dict[str, Any]) -> None:
        self.id, self.name = UUID(tenant["id"]), str(tenant["name"])
        self.created_at = datetime.fromisoformat(tenant["created_at"])
        if self.created_at.tzinfo is None:
            raise ValueError("A time has a zone.")
        self.time_zone = str(tenant.get("time_zone", "UTC"))
        try:
            self.ceilings = read_stored(tenant.get("ceilings", {}))
        except ValueError as error:
            raise InvalidInput(f"The tenant's limits cannot be kept here: {error}") from None


def _head(line: _Line | None, key: WrappingKey) -> _Head:
    found = {} if line is None else line.found
    if found.get("format") != FORMAT or found.get("version") != VERSION:
        raise InvalidInput("This is no export of a tenant, or one of another version: its first line says neither.")
    if found.get("key") != key.id:
        raise InvalidInput(f"The export was made with the export key {found.get('key')}, and this is {key.id}.")
    try:
        return _Head(found["tenant"])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _Damaged.at(1, "it does not say which tenant this is, and since when") from None


async def _begin(services: Services, who: Who, head: _Head) -> None:
    try:
        made = await export.begin_import(
            services.db,
            head.id,
            name=head.name,
            created_at=head.created_at,
            time_zone=head.time_zone,
            ceilings=head.ceilings,
            by=platform_actor(who),
        )
    except export.RowsRefused as error:
        raise _Damaged.at(1, f"there can be no such tenant: {error}") from error
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


async def _import_rows(services: Services, head: _Head, reading: _Reading, key: WrappingKey) -> Counter[str]:
    """Import all rows. Answers how many of which table."""
    batch, rows = _Batch(services, head.id), Counter[str]()
    for line in reading:
        if "end" in line.found:
            await batch.flush()
            if line.found["end"] == {"rows": dict(rows), "sha256": reading.sha256()}:
                return rows
            break
        table, row = _row_of(line, head.id)
        if table == "subject_keys":
            row |= _taken_over(services, head.id, line, row, key)
        rows[table] += 1
        await batch.add(table, row, line)
    else:
        await batch.flush()
    raise _Damaged("The export is incomplete or was changed: its last line does not fit those before it.")


def _row_of(line: _Line, tenant: UUID) -> tuple[str, dict[str, Any]]:
    table, row = line.found.get("table"), line.found.get("row")
    if not isinstance(table, str):
        raise line.damaged("it does not say of which `table` it is")
    if not isinstance(row, dict):
        raise line.damaged("it has no `row`")
    if row.get("tenant") != str(tenant):  # pyright: ignore[reportUnknownMemberType]
        raise line.damaged("its row is not of this tenant")
    return table, row  # pyright: ignore[reportUnknownVariableType]


def _taken_over(services: Services, tenant: UUID, line: _Line, row: dict[str, Any], key: WrappingKey) -> dict[str, Any]:
    """A subject's key as it is stored here; one that was destroyed stays so."""
    subject, wrapped = row.get("subject"), row.get("wrapped")
    if wrapped is None:
        return {}
    try:
        sealed = bytes.fromhex(wrapped.removeprefix("\\x"))
    except (AttributeError, ValueError):
        raise line.damaged("what it has as `wrapped` is no key") from None
    if not isinstance(subject, str):
        raise line.damaged("it does not say whose key it is")
    taken, kek = services.vault.taken_over(tenant, subject, sealed, key)
    return {"wrapped": f"\\x{taken.hex()}", "kek": kek}


class _Batch:
    """Rows of one table on their way, with their lines' numbers."""

    def __init__(self, services: Services, tenant: UUID) -> None:
        self._services, self._tenant = services, tenant
        self._table, self._rows, self._bytes = "", list[tuple[int, object]](), 0

    async def add(self, table: str, row: object, line: _Line) -> None:
        if table != self._table or self._bytes > _BATCH_BYTES:
            await self.flush()
        self._table = table
        self._rows.append((line.number, row))
        self._bytes += line.size

    async def flush(self) -> None:
        if self._rows:
            await self._insert(self._rows)
        self._rows, self._bytes = [], 0

    async def _insert(self, rows: Sequence[tuple[int, object]]) -> None:
        """Insert them. Where they are refused, by halves, which finds the line that is to blame."""
        try:
            await export.import_rows(self._services.db, self._tenant, self._table, [row for _, row in rows])
        except export.RowsRefused as error:
            if len(rows) == 1:
                why = f"it is no row of table {self._table!r}, or one that is there already: {error}"
                raise _Damaged.at(rows[0][0], why) from error
            middle = len(rows) // 2
            await self._insert(rows[:middle])
            await self._insert(rows[middle:])

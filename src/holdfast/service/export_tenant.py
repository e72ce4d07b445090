"""A tenant as JSON Lines: everything it has, for another installation or for keeping.

The first line is a head, each following one a row, the last says how many rows of which table there were and the
SHA-256 of all lines before it. Content stays sealed. The keys of its subjects are wrapped under an export key that
travels apart from the file: the file without it tells nobody what was said.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import orjson

from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service.services import Services
from holdfast.service.standing import Standing
from holdfast.store import audit
from holdfast.store.export import export_rows
from holdfast.store.vault import WrappingKey

FORMAT = "holdfast-tenant"
VERSION = 1


async def export_tenant(services: Services, who: Who | Standing, key: WrappingKey) -> AsyncGenerator[bytes, None]:
    """The lines of the tenant of whoever asks, of one moment, each with its line feed.

    Once the first is there, the snapshot is. What is refused after it is refused to somebody who lost their rights
    meanwhile, which is looked at before each line. One that is not read to
    its end has to be closed: until then it keeps others of the tenant from being begun.

    Args:
        services: what this process has.
        who: the one who asks; by `Standing`, if the lines may be refused after all.
        key: the export key.

    Raises:
        Unauthenticated: their credential has ended meanwhile.
        MissingScope: they may not, or not any more.
        ExportUnderWay: one of their tenant is under way in this process.
        ExportsBusy: too many of others are.
        DatabaseUnavailable: the database cannot be reached, or went away meanwhile.
        KeyUnavailable: content was sealed under another wrapping key than this process has.
    """
    standing = who if isinstance(who, Standing) else Standing(who)
    who = standing.who
    who.reach(Scope.TENANT_WRITE)
    with services.exports.of(who.tenant):
        details = {"key": key.id}
        await audit.note(
            services.db,
            who.tenant,
            actor=who.actor,
            action="tenant.exported",
            target=str(who.tenant),
            details=details,
        )
        digest, rows = hashlib.sha256(), Counter[str]()
        async with aclosing(export_rows(services.db, who.tenant)) as found:
            async for table, text in found:
                if await standing.changed():
                    standing.who.reach(Scope.TENANT_WRITE)
                row = orjson.loads(text)
                if table == "tenants":
                    made = {"format": FORMAT, "version": VERSION, "at": services.now(), "key": key.id, "tenant": row}
                else:
                    made = {"table": table, "row": _handed_over(services, who, table, row, key)}
                    rows[table] += 1
                line = orjson.dumps(made) + b"\n"
                digest.update(line)
                yield line
        yield orjson.dumps({"end": {"rows": dict(rows), "sha256": digest.hexdigest()}}) + b"\n"


def _handed_over(services: Services, who: Who, table: str, row: dict[str, Any], key: WrappingKey) -> dict[str, Any]:
    """The row; a key of a subject in it wrapped under the export key."""
    if table != "subject_keys" or row["wrapped"] is None:
        return row
    wrapped = bytes.fromhex(row["wrapped"].removeprefix("\\x"))
    handed = services.vault.handed_over(who.tenant, row["subject"], wrapped, row["kek"], key)
    return row | {"wrapped": f"\\x{handed.hex()}", "kek": key.id}

"""A tenant as JSON Lines: everything it has, for another installation or for keeping.

The first line is a head, each following one a row, the last says how many rows of which table there were and the
SHA-256 of all lines before it. Content stays sealed. The keys of its subjects are wrapped under an export key that
travels apart from the file: the file without it tells nobody what was said.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncGenerator

import orjson

from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service.services import Services
from holdfast.store import audit
from holdfast.store.export import export_rows
from holdfast.store.vault import WrappingKey

FORMAT = "holdfast-tenant"
VERSION = 1


async def export_tenant(services: Services, who: Who, key: WrappingKey) -> AsyncGenerator[bytes, None]:
    """The lines of the tenant of whoever asks, of one moment, each with its line feed.

    Args:
        services: what this process has.
        who: the one who asks.
        key: the export key.

    Raises:
        MissingScope: they may not.
        KeyUnavailable: content was sealed under another wrapping key than this process has.
    """
    who.reach(Scope.TENANT_WRITE)
    details = {"key": key.id}
    await audit.note(
        services.db, who.tenant, actor=who.principal, action="tenant.exported", target=str(who.tenant), details=details
    )
    digest, rows = hashlib.sha256(), Counter[str]()

    def line(value: object) -> bytes:
        made = orjson.dumps(value) + b"\n"
        digest.update(made)
        return made

    async for table, text in export_rows(services.db, who.tenant):
        row = orjson.loads(text)
        if table == "tenants":
            head = {"format": FORMAT, "version": VERSION, "at": services.now(), "key": key.id, "tenant": row}
            yield line(head)
            continue
        if table == "subject_keys" and row["wrapped"] is not None:
            wrapped = bytes.fromhex(row["wrapped"].removeprefix("\\x"))
            handed = services.vault.handed_over(who.tenant, row["subject"], wrapped, row["kek"], key)
            row |= {"wrapped": f"\\x{handed.hex()}", "kek": key.id}
        rows[table] += 1
        yield line({"table": table, "row": row})
    yield orjson.dumps({"end": {"rows": dict(rows), "sha256": digest.hexdigest()}}) + b"\n"

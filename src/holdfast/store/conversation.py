"""Reads the conversation of a session from the journal of the run that holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import orjson

from holdfast.domain.conversation import TELLING, apart_of, conversation
from holdfast.domain.stored import load

if TYPE_CHECKING:
    from holdfast.store.reader import RunReader
    from holdfast.store.vault import SubjectKey


async def read_conversation(reader: RunReader, tenant: UUID, run: UUID, key: SubjectKey) -> list[str] | None:
    """Every message of the conversation as this run left it, by reference. None: retention dropped the run.

    Raises:
        ContentMissing, ContentDamaged: as `RunReader.content_of`.
    """
    journal = await reader.journal(tenant, run)
    if not journal:
        return None
    events = [load(stored.type, stored.body) for stored in journal if stored.type in TELLING]
    long = [ref for event in events for ref in apart_of(event)]
    plain = await reader.content_of(tenant, run, long, key)
    return conversation(run, events, {ref: orjson.loads(body) for ref, body in plain.items()})

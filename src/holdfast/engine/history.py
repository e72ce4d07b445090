"""The messages a run starts from: those of an earlier run of its session, by reference."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from pydantic_ai.messages import ModelMessage

from holdfast.domain import events as ev
from holdfast.domain.errors import HistoryGone
from holdfast.domain.stored import load
from holdfast.engine.codec import load_message, parse
from holdfast.store.reader import ContentMissing

if TYPE_CHECKING:
    from holdfast.engine.gear import Gear
    from holdfast.engine.recorder import Recorder
    from holdfast.store.vault import SubjectKey


async def session_history(
    gear: Gear, recorder: Recorder, accepted: ev.RunAccepted, key: SubjectKey | None
) -> list[ModelMessage] | None:
    """The message history that a run starts with; None: it is the first of its session, or has none.

    Raises:
        HistoryGone: retention dropped a part of it.
    """
    if accepted.history_of is None or key is None:
        return None
    tenant, run = recorder.claimed.tenant, recorder.claimed.run
    refs = await _final_messages(gear, tenant, accepted.session, accepted.history_of, key)
    try:
        plain = await gear.reader.content_of(tenant, run, refs, key)
    except ContentMissing:
        # Content that is missing though its run is there is damage, and an operator's to repair.
        await _check_whole(gear, tenant, accepted.session, refs)
        raise
    log = recorder.log("")
    messages = list[ModelMessage]()
    for ref in refs:
        message = load_message(plain[ref])
        recorder.know_message(ref, message, plain[ref])
        log.know(message, ref)
        messages.append(message)
    return messages


async def _final_messages(gear: Gear, tenant: UUID, session: UUID | None, run: UUID, key: SubjectKey) -> list[str]:
    """The references of the messages that a run ended with, written so that another run can use them."""
    journal = await gear.reader.journal(tenant, run)
    if not journal:
        # An agent that began with an empty history would go on as if nothing had been said.
        raise HistoryGone.of(session, run)
    refs: list[str] = []
    for stored in journal:
        if stored.type not in _LISTS:
            continue
        event = load(stored.type, stored.body)
        match event:
            case ev.ModelRequested(scope="", messages=delta) | ev.ModelResponded(scope="", history=delta):
                pass
            case ev.RunSucceeded(history=delta):
                pass
            case _:
                continue
        add = delta.add
        if delta.more is not None:
            add = parse((await gear.reader.content_of(tenant, run, [delta.more], key))[delta.more])
        refs[delta.keep :] = add
    return [ref if "/" in ref else f"{run}/{ref}" for ref in refs]


async def _check_whole(gear: Gear, tenant: UUID, session: UUID | None, refs: list[str]) -> None:
    for owner in {UUID(ref.partition("/")[0]) for ref in refs}:
        if not await gear.reader.journal(tenant, owner, limit=1):
            raise HistoryGone.of(session, owner)


_LISTS = {ev.ModelRequested.type, ev.ModelResponded.type, ev.RunSucceeded.type}

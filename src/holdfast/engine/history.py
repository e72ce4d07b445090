"""The messages a run starts from: those of an earlier run of its session, by reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic_ai.messages import ModelMessage

from holdfast.domain import events as ev
from holdfast.engine.codec import load_message, parse

if TYPE_CHECKING:
    from uuid import UUID

    from holdfast.engine.gear import Gear
    from holdfast.engine.recorder import Recorder
    from holdfast.store.vault import SubjectKey


async def session_history(
    gear: Gear, recorder: Recorder, accepted: ev.RunAccepted, key: SubjectKey | None
) -> list[ModelMessage] | None:
    """The message history that a run starts with; None: it is the first of its session, or has none."""
    if accepted.history_of is None or key is None:
        return None
    refs = await final_messages(gear, recorder.claimed.tenant, accepted.history_of, key)
    plain = await gear.reader.content_of(recorder.claimed.tenant, recorder.claimed.run, refs, key)
    log = recorder.log("")
    messages = list[ModelMessage]()
    for ref in refs:
        message = load_message(plain[ref])
        recorder.know_message(ref, message, plain[ref])
        log.know(message, ref)
        messages.append(message)
    return messages


async def final_messages(gear: Gear, tenant: UUID, run: UUID, key: SubjectKey) -> list[str]:
    """The references of the messages that a run ended with, written so that another run can use them."""
    refs: list[str] = []
    for stored in await gear.reader.journal(tenant, run):
        if stored.type not in _LISTS:
            continue
        event = ev.load(stored.type, stored.body)
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


_LISTS = {ev.ModelRequested.type, ev.ModelResponded.type, ev.RunSucceeded.type}

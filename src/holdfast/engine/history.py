"""The messages a run starts from: those of an earlier run of its session, by reference, without what was invalidated.

They enter once. What a run was given stands in its journal from then on, so that whoever carries it on gives it the
same, whatever is invalidated or lifted meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic_ai.messages import ModelMessage

from holdfast.domain import events as ev
from holdfast.domain.conversation import added, apart_of, given, withheld
from holdfast.domain.errors import HistoryGone
from holdfast.engine.codec import dump_json, dump_message, load_message, parse
from holdfast.engine.withholding import withhold
from holdfast.store.conversation import read_conversation
from holdfast.store.reader import ContentMissing
from holdfast.store.sessions import InvalidationRow, list_invalidations

if TYPE_CHECKING:
    from holdfast.engine.gear import Gear
    from holdfast.engine.recorder import Recorder
    from holdfast.store.vault import SubjectKey

WITHHELD_MOST = 100
"""More than these are written apart from the event: it has a limit."""


async def session_history(
    gear: Gear, recorder: Recorder, accepted: ev.RunAccepted, key: SubjectKey | None
) -> list[ModelMessage] | None:
    """The message history that a run starts with; None: it is the first of its session, or has none.

    Raises:
        HistoryGone: retention dropped a part of it.
    """
    if accepted.history_of is None or accepted.session is None or key is None:
        return None
    tenant, entered = recorder.claimed.tenant, recorder.replay.history
    if entered is not None and entered.count:
        apart = {ref: parse(recorder.content(ref)) for ref in apart_of(entered)}
        refs = given(added(entered.whole, apart), withheld(entered, apart))
        return await _known(gear, recorder, accepted, refs, key)
    refs = await read_conversation(gear.reader, tenant, accepted.history_of, key)
    if refs is None:
        # An agent that began with an empty history would go on as if nothing had been said.
        raise HistoryGone.of(accepted.session, accepted.history_of)
    messages = await _known(gear, recorder, accepted, refs, key)
    if entered is not None:
        return messages
    rows = await list_invalidations(gear.db, tenant, accepted.session, in_force=True)
    return _enter(recorder, accepted.history_of, refs, messages, _reasons(rows), key)


async def _known(
    gear: Gear, recorder: Recorder, accepted: ev.RunAccepted, refs: Sequence[str], key: SubjectKey
) -> list[ModelMessage]:
    """The messages of these references. The recorder knows them from here on: none is written again."""
    tenant, run = recorder.claimed.tenant, recorder.claimed.run
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


def _enter(
    recorder: Recorder,
    of: UUID,
    refs: list[str],
    messages: list[ModelMessage],
    reasons: Mapping[str, InvalidationRow],
    key: SubjectKey,
) -> list[ModelMessage]:
    """Write down what enters, and what is withheld and why, before anything is made of it."""
    withdrawn = {place for place, ref in enumerate(refs) if ref in reasons}
    left = withhold(messages, withdrawn) if withdrawn else messages
    gone = list[ev.Withheld]()
    why: InvalidationRow | None = None
    for ref, before, after in zip(refs, messages, left, strict=True):
        # What a tool returned goes with the call: for the reason for which the call went, right before it.
        why = reasons.get(ref, why)
        if after is before:
            continue
        assert why is not None
        stand_in = None if after is None else recorder.seal(dump_message(after))
        if after is not None and stand_in is not None:
            recorder.know_message(stand_in, after, dump_message(after))
            recorder.log("").know(after, stand_in)
        reason = recorder.seal(key.open(why.reason_digest, why.reason))
        gone.append(ev.Withheld(message=ref, stand_in=stand_in, invalidation=why.id, reason=reason))
    recorder.hold(_entered(recorder, of, refs, gone))
    return [message for message in left if message is not None]


def _entered(recorder: Recorder, of: UUID, refs: list[str], gone: list[ev.Withheld]) -> ev.HistoryEntered:
    if not gone:
        return ev.HistoryEntered(of=of)
    whole = ev.Messages(add=refs)
    if len(gone) <= WITHHELD_MOST:
        return ev.HistoryEntered(of=of, count=len(gone), withheld=gone, whole=whole)
    return ev.HistoryEntered(of=of, count=len(gone), more=recorder.seal(dump_json(gone)), whole=whole)


def _reasons(rows: Sequence[InvalidationRow]) -> dict[str, InvalidationRow]:
    """The first invalidation of each message."""
    return {ref: row for row in reversed(rows) for ref in row.messages}


async def _check_whole(gear: Gear, tenant: UUID, session: UUID | None, refs: Sequence[str]) -> None:
    for owner in {UUID(ref.partition("/")[0]) for ref in refs if "/" in ref}:
        if not await gear.reader.journal(tenant, owner, limit=1):
            raise HistoryGone.of(session, owner)

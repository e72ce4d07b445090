"""Sums that calls are decided on: read for the verdict, added to in the commit of the intent, taken back if need be."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from holdfast.domain.errors import OperatorError
from holdfast.domain.events import Outcome
from holdfast.engine.errors import CallRefused
from holdfast.guards.policy import Unfit
from holdfast.guards.tally import Tally
from holdfast.store.journal import Released, Tallied
from holdfast.store.tallies import Seen, Sum, read_tallies

if TYPE_CHECKING:
    from holdfast.engine.call import ToolCall
    from holdfast.engine.recorder import Recorder


async def tallied(
    recorder: Recorder, call: ToolCall, names: Collection[str], now: datetime
) -> Sequence[tuple[Sum, Seen]]:
    """These sums as they are. `now` is local.

    Raises:
        Interrupt: the database is away.
    """
    if not names:
        return ()
    declared = recorder.gear.governor.tallies
    sums = [_sum(recorder, declared.get(name) or Tally(name), now) for name in sorted(names)]
    claimed = recorder.claimed
    try:
        seen = await read_tallies(recorder.gear.db, claimed.tenant, claimed.run, call.key, sums)
    except OperatorError as error:
        raise recorder.stopped_by(error) from error
    return [(one, seen[one.name]) for one in sums]


def to_add(call: ToolCall) -> list[Tallied]:
    """What the call's intent adds, and on which sums it was decided: also those that it only looked at."""
    return [
        Tallied(
            key=call.key,
            name=one.name,
            owner=one.owner,
            since=one.since,
            amount=call.attempt.added.get(one.name, 0),
            seen=seen.seen,
        )
        for one, seen in call.attempt.sums
    ]


def written_by(recorder: Recorder, call: ToolCall, values: Mapping[str, Any]) -> tuple[str, dict[str, int]]:
    """To what system a call writes, and what it adds to the amounts that are limited; for these alone.

    The system is said in any case: a limit on it may come from the tenant, while the run goes on.

    Raises:
        CallRefused: one of these is no amount.
    """
    limiting = recorder.limiting
    written = recorder.task.written.get(call.tool)
    if written is None:
        return "", {}
    if limiting is None or not any(f"amount:{name}" in limiting.ceilings for name in written.tallies):
        return written.system, {}
    try:
        amounts = written.amounts(values)
    except Unfit as unfit:
        place = ".".join(unfit.place) or "an argument"
        raise CallRefused(
            f"Refused: {place} is no amount that can be counted towards the limits: {unfit.why}."
        ) from None
    return written.system, {name: units for name, units in amounts.items() if f"amount:{name}" in limiting.ceilings}


def to_release(call: ToolCall, outcome: Outcome) -> list[Released]:
    """What is taken back: what the tool turned down, and what never happened and is not to happen now."""
    turned_down = outcome == "retry" and bool(call.attempt.added)
    never_done = call.attempt.undone and not call.attempt.announced
    return [Released(key=call.key)] if turned_down or never_done else []


def _sum(recorder: Recorder, tally: Tally, now: datetime) -> Sum:
    claimed = recorder.claimed
    owner = {
        "principal": claimed.principal,
        "session": str(claimed.session or claimed.run),
        "run": str(claimed.run),
        "tenant": "",
    }[tally.per]
    return Sum(tally.name, owner, tally.since(now))

"""Outcomes that are known here and could not be committed: told to whoever holds the run next, by its inbox.

A worker that lost a run, or that let it go because the database was away, may know how an effect ended. Without its
word the next holder has to put that effect in doubt. The report is sealed before the run is let go, so that nothing
plain is kept, and is delivered in the background: once the database is back, or never, if the process ends first.
That a call was announced and never entered is worth reporting too: it may be run without asking anybody.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from holdfast.domain import errors
from holdfast.domain import events as ev
from holdfast.engine.codec import parse
from holdfast.store.signals import deliver_signal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from uuid import UUID

    from holdfast.domain.ids import Ref
    from holdfast.engine.call import ToolCall
    from holdfast.engine.replay import Replay, ToolEntry
    from holdfast.store.claims import Claimed
    from holdfast.store.pool import Database
    from holdfast.store.vault import SubjectKey

LATE = "late report of the worker that lost the run"
"""Who says so."""

MOST_REPORTS = 1000
MOST_BYTES = 64 * 1024 * 1024
"""Of reports that wait: beyond it the oldest are given up."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0

log = structlog.get_logger("holdfast.engine")


@dataclass(slots=True, kw_only=True, eq=False)
class Known:
    """How a call ended, as long as that is not known to be committed."""

    key: str
    """The call's idempotency key."""
    call: str
    attempt: int
    approved: bool = False
    plain: bytes
    """The result, as content."""
    result: Ref
    outcome: ev.Outcome = "value"
    usage: ev.Usage | None = None
    counted: bool | None = None
    enqueued: Ref | None = None
    emitted: Ref | None = None
    cost: ev.Cost | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is known of one call, sealed."""

    tenant: UUID
    run: UUID
    worker: UUID
    key: str
    dedupe: str
    body: str
    digest: bytes | None = None
    content: bytes | None = None

    @property
    def size(self) -> int:
        """Bytes of content."""
        return 0 if self.content is None else len(self.content)


def sealed(known: Known, claimed: Claimed, key: SubjectKey, content: Callable[[str], bytes]) -> Report:
    """The report of an outcome. `content` opens what the outcome names."""
    body = {
        "key": known.key,
        "call": known.call,
        "attempt": known.attempt,
        "approved": known.approved,
        "outcome": known.outcome,
        "counted": known.counted,
        "usage": None if known.usage is None else asdict(known.usage),
        "cost": None if known.cost is None else asdict(known.cost),
    }
    # Texts inside a text: what is sealed again by the holder must be the same, byte for byte.
    plain = {
        "result": known.plain.decode(),
        "enqueued": None if known.enqueued is None else content(known.enqueued).decode(),
        "emitted": None if known.emitted is None else content(known.emitted).decode(),
    }
    found = key.seal(orjson.dumps(plain))
    return Report(
        tenant=claimed.tenant,
        run=claimed.run,
        worker=claimed.worker,
        key=known.key,
        dedupe=f"late:{known.key}:{known.attempt}:{known.outcome}",
        body=orjson.dumps(body).decode(),
        digest=found.digest,
        content=found.body,
    )


def never_begun(call: ToolCall, claimed: Claimed, upto: int) -> Report:
    """The report that a call was announced and not entered. `upto` is the last event known to be committed here.

    What lies between the claim and that event was written by this holder, and by nobody else.
    """
    body = {
        "key": call.key,
        "call": call.call,
        "outcome": "not_begun",
        "worker": claimed.worker,
        "after": claimed.seq,
        "upto": upto,
    }
    return Report(
        tenant=claimed.tenant,
        run=claimed.run,
        worker=claimed.worker,
        key=call.key,
        dedupe=f"late:{call.key}:not_begun:{claimed.worker}:{upto}",
        body=orjson.dumps(body).decode(),
    )


def folded(
    raw_body: bytes, plain: bytes | None, replay: Replay, seal: Callable[[bytes], Ref]
) -> ev.EffectResolved | None:
    """What a report means to the holder of the run. None: nothing that it does not know already."""
    body = parse(raw_body)
    call = replay.tool_of_key(body["key"])
    if call is None or call.finished is not None:
        return None
    if body["outcome"] == "not_begun":
        return _not_begun(body, call)
    if plain is None:
        return None
    if call.started is not None and call.started.approved != body["approved"]:
        return None
    if body["outcome"] != "value" and call.attempts > body["attempt"]:
        # That an effect happened stays true. That an attempt came to nothing says nothing of the one after it.
        return None
    content = parse(plain)

    def sealed_again(text: str | None) -> Ref | None:
        return None if text is None else seal(text.encode())

    return ev.EffectResolved(
        approval=None if call.in_doubt is None else call.in_doubt.approval,
        call=body["call"],
        key=body["key"],
        resolution="done",
        by=LATE,
        outcome=body["outcome"],
        result=sealed_again(content["result"]),
        usage=None if body["usage"] is None else ev.Usage(**body["usage"]),
        counted=body["counted"],
        cost=None if body.get("cost") is None else ev.Cost(**body["cost"]),
        enqueued=sealed_again(content["enqueued"]),
        emitted=sealed_again(content["emitted"]),
    )


def _not_begun(body: dict[str, Any], call: ToolEntry) -> ev.EffectResolved | None:
    # The very attempt that the reporter announced, and no other: by number two attempts may be the same, where one was
    # never committed. The worker tells the one from the other should the database have been rewound in between.
    mine = str(call.announced_by) == body["worker"] and body["after"] < call.intent <= body["upto"]
    if call.resolved is not None or not mine:
        return None
    return ev.EffectResolved(
        approval=None if call.in_doubt is None else call.in_doubt.approval,
        call=body["call"],
        key=body["key"],
        resolution="not_done",
        by=LATE,
        intent=call.intent,
    )


class LateReports:
    """Delivers reports for as long as the process lives. One for all executions of a worker."""

    def __init__(self, *, most: int = MOST_REPORTS, most_bytes: int = MOST_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._waiting: deque[Report] = deque()
        self._bytes = 0
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def tell(self, db: Database, reports: Iterable[Report]) -> None:
        """Deliver these when it can be done."""
        for report in reports:
            self._waiting.append(report)
            self._bytes += report.size
            while len(self._waiting) > self._most or (self._bytes > self._most_bytes and len(self._waiting) > 1):
                self._lost(self._next(), "too many wait")
        if self._waiting and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._deliver(db), name="holdfast.late_reports")

    async def settled(self, within_s: float) -> None:
        """Return when all is delivered, or after so long."""
        if self._task is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await asyncio.wait({self._task})

    async def aclose(self, within_s: float = 1.0) -> None:
        """Deliver what can be delivered so quickly; the rest is lost with the process."""
        await self.settled(within_s)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        while self._waiting:
            self._lost(self._next(), "the process ends")

    async def _deliver(self, db: Database) -> None:
        pause_s = _FIRST_PAUSE_S
        while self._waiting:
            report = self._waiting[0]
            try:
                said = await deliver_signal(
                    db,
                    tenant=report.tenant,
                    run=report.run,
                    kind="late_outcome",
                    body=report.body,
                    content=report.content,
                    digest=report.digest,
                    by=f"worker {report.worker}",
                    dedupe=report.dedupe,
                )
            except errors.DatabaseUnavailable:
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                continue
            except Exception as error:  # noqa: BLE001 - one that cannot be delivered must not keep the others
                self._lost(report, str(error))
            else:
                if said.outcome in {"finished", "absent"}:
                    self._lost(report, f"the run is {said.outcome}")
                else:
                    log.info("late_outcome_told", run=str(report.run), key=report.key)
            pause_s = _FIRST_PAUSE_S
            if self._waiting and self._waiting[0] is report:
                self._next()

    def _next(self) -> Report:
        report = self._waiting.popleft()
        self._bytes -= report.size
        return report

    def _lost(self, report: Report, why: str) -> None:
        log.warning("late_outcome_lost", run=str(report.run), key=report.key, error=why)

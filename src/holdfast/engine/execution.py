"""One claimed run, carried from its journal to its end, or to where it must wait.

Load the journal and fold the inbox ▸ build dependencies ▸ run the agent: replayed until the journal ends, then
live ▸ commit the end. Parking and finishing are refused while the inbox holds more: then it is folded in and the
run goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog

from holdfast.domain import errors
from holdfast.domain import events as ev
from holdfast.domain.repeats import Repeats
from holdfast.domain.state import RunState, WaitingOn
from holdfast.engine import ending, opening
from holdfast.engine.acting import Acting
from holdfast.engine.budgeting import Budgeting
from holdfast.engine.codec import dump_json
from holdfast.engine.ended import Ended as Ended  # noqa: PLC0414 - an execution's answer, for whoever carries one
from holdfast.engine.flight import StepInFlight, Times
from holdfast.engine.gear import Unending
from holdfast.engine.halting import held_back
from holdfast.engine.inbox import Inbox
from holdfast.engine.interrupt import (
    Away,
    Cancelling,
    Diverged,
    Fail,
    Halted,
    HandOver,
    Interrupt,
    LongRoad,
    Lost,
    OtherLimits,
    Park,
    interrupt_in,
)
from holdfast.engine.late import never_begun, sealed
from holdfast.engine.limiting import Limited, limiting
from holdfast.engine.looping import Looped
from holdfast.engine.recorder import Recorder
from holdfast.engine.replay import Replay
from holdfast.engine.trouble import Trouble, check_success, failed, finished, put, waiting
from holdfast.engine.turns import turns
from holdfast.store.journal import ApprovalRow, Finish
from holdfast.store.journal import Park as ParkRow
from holdfast.store.reader import opened
from holdfast.task import Task

if TYPE_CHECKING:
    from pydantic_ai.run import AgentRunResult

    from holdfast.engine.gear import Gear, Lease
    from holdfast.store.claims import Claimed
    from holdfast.store.vault import SubjectKey

log = structlog.get_logger("holdfast.engine")
_UNENDING = Unending()

_TELL_S = 1.0
"""How long a run is kept for its late reports to be delivered. They go on without it."""


class _Again(Exception):
    """The inbox changed what the run waits for: read the journal again and go on."""


class Execution:
    """Carries one claimed run. Made by the worker; its methods are called from the event loop's thread."""

    def __init__(self, task: Task, claimed: Claimed, gear: Gear, lease: Lease = _UNENDING) -> None:
        self._task = task
        self._claimed = claimed
        self._gear = gear
        self._lease = lease
        self._recorder: Recorder | None = None
        self._key: SubjectKey | None = None
        self._agent: asyncio.Task[AgentRunResult[Any]] | None = None
        self._stop: Interrupt | None = None
        self._inbox = Inbox(gear.db, claimed)
        self._since = gear.monotonic()
        self._acting = Acting(gear.db, claimed, task, gear.monotonic)
        self.times: dict[tuple[str, str], Times] = {}
        """When tools and models were last called, by what they are and their names. Read from any thread."""
        self._short = True
        """Whether the short road may be tried: the first time only."""

    # --- what the worker may say -------------------------------------------------------------------------------

    @property
    def steps(self) -> list[StepInFlight]:
        """What is under way."""
        return [] if self._recorder is None else self._recorder.flight.steps

    def notice(self) -> None:
        """The inbox holds something new."""
        self._inbox.notice()

    def lose(self, why: str) -> None:
        """The lease is gone: stop at once, append nothing more."""
        self._interrupt(Lost(why))

    def leave(self) -> None:
        """Start no further step, and finish the one under way; `drain` follows."""
        if self._recorder is not None:
            self._recorder.leaving = True

    def drain(self) -> None:
        """Hand over at the next point where no effect would be cut off that may not run again."""
        self.leave()
        if self._recorder is None or not self._recorder.flight.uninterruptible:
            self._interrupt(HandOver())

    def halt(self, out_of_grace: Container[UUID]) -> None:
        """Halts are in force: cancel what they cover and may be; where their grace is over, whatever can be."""
        if (recorder := self._recorder) is not None:
            recorder.flight.halt(held_back(recorder.covered, self._lease.halts.in_force, out_of_grace))

    def _interrupt(self, why: Interrupt) -> None:
        if self._stop is None or isinstance(why, Lost):
            self._stop = why
        if self._recorder is not None:
            self._recorder.stop = self._stop
        if self._agent is not None:
            self._agent.cancel()

    # --- the way of a run --------------------------------------------------------------------------------------

    async def run(self) -> Ended:
        """Carry the run on. Whatever happens is in the journal when this returns; nothing of the user's is raised.

        Raises:
            OperatorError: the database or the keys are away. The run is as it was, and may be carried on by anyone.
        """
        try:
            return await self._to_its_end()
        finally:
            if self._recorder is not None:
                self._gear.writer.forget(self._recorder.journal)
                self._recorder.forget()

    async def _to_its_end(self) -> Ended:
        while True:
            try:
                return await self._carry()
            except _Again:
                self._short = False
            except (Lost, errors.RunLost):
                await self._report_late()
                return Ended.LOST
            except HandOver:
                return Ended.HANDED_OVER
            except Away as away:
                await self._report_late()
                raise away.error from None
            except errors.OperatorError:
                await self._report_late()
                raise

    async def _carry(self) -> Ended:  # noqa: C901, PLR0911 - one return for each way a run can end here
        recorder = await self._open()
        if (ended := await self._before_all(recorder)) is not None:
            return ended
        try:
            result, output = await self._worked(recorder)
        except Limited as limited:
            return await self._troubled(recorder, Trouble.of_limit(limited.reached))
        except Looped as looped:
            return await self._troubled(recorder, Trouble.of_loop(looped.loop))
        except Park as park:
            return await self._park(recorder, park)
        except Diverged as diverged:
            return await self._diverged(recorder, diverged)
        except Fail as failed:
            return await self._failed(recorder, failed.error, str(failed), "")
        except (Cancelling, LongRoad, OtherLimits):
            raise _Again from None
        except (HandOver, Lost):
            await self._settle_held(recorder)
            raise
        except errors.OperatorError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the agent raises ends the run with its cause and place
            return await self._troubled(recorder, Trouble.of_error(self._task, error))
        return await self._succeeded(recorder, result, output)

    async def _before_all(self, recorder: Recorder) -> Ended | None:
        """What ends the execution before the agent is run."""
        if recorder.replay.cancel is not None:
            return await self._cancelled(recorder)
        if (older := opening.written_by_newer(recorder.replay.library)) is not None:
            return await self._park(recorder, Park(WaitingOn.CODE, older))
        return await self._decided(recorder)

    async def _worked(self, recorder: Recorder) -> tuple[AgentRunResult[Any], bytes]:
        """What the agent made of its task."""
        await self._acting.enter()
        recorder.check_limits()
        result, output = await self._drive(recorder)
        if recorder.limiting is not None:
            recorder.limiting.check_output(len(output))
        await check_success(self._task, result.output)
        return result, output

    async def _open(self) -> Recorder:
        """Read the journal, fold the inbox in, and take up the pen."""
        claimed, gear = self._claimed, self._gear
        key = self._key = await gear.vault.subject(claimed.tenant, claimed.subject)
        held = self._recorder.journal if self._recorder is not None else None
        if held is not None:
            await held.flush()
        if held is None and claimed.journal is not None:
            recorded = opened(claimed.journal, key)
        else:
            recorded = await gear.reader.recorded(claimed.tenant, claimed.run, key)
        events = list(opening.loaded(recorded.events))
        facts = [event for _, event in events]
        replay = Replay.of(events)
        journal = held or gear.writer.open(claimed, key, known=recorded.content, feature=replay.feature)
        content: dict[str, bytes] = {**recorded.content}
        first: list[ev.AnyEvent] = [] if held is not None else [opening.claimed_by(claimed)]
        limits = limiting(self._task, self._acting.ceilings, gear, recorded.events, facts, claimed.epoch, self._since)
        budgeting = Budgeting(claimed.tenant, replay.feature, gear.writer.bounding, facts)
        repeats = Repeats.of(self._task.loops, facts)
        recorder = Recorder(
            self._task,
            claimed,
            gear,
            journal,
            replay,
            content,
            first,
            self._lease,
            self._acting,
            budgeting,
            repeats,
            limits,
        )
        recorder.stop = self._stop
        recorder.flight.times = self.times
        previous, self._recorder = self._recorder, recorder
        if previous is not None:
            recorder.leaving = previous.leaving
        if journal.inbox_seq > journal.folded_seq or held is not None:
            await self._inbox.fold(recorder, key)
        recorder.news = False
        return recorder

    async def _drive(self, recorder: Recorder) -> tuple[AgentRunResult[Any], bytes]:
        """Run the agent to its end, in a task of its own so that it can be interrupted."""
        assert self._key is not None
        watching = self._inbox.watch(recorder, self._key, self._interrupt)
        watch = asyncio.create_task(watching, name=f"inbox {self._claimed.run}")
        working = turns(recorder, self._key, self._acting, short=self._short)
        self._agent = asyncio.create_task(working, name=f"run {self._claimed.run}")
        if self._stop is not None:
            self._agent.cancel()
        try:
            result = await self._agent
        except asyncio.CancelledError:
            if self._stop is None:
                raise
            raise self._stop from None
        except (Exception, BaseExceptionGroup) as error:
            interrupt = self._stop or recorder.stop or interrupt_in(error)
            if interrupt is None:
                raise
            raise interrupt from None
        finally:
            self._agent = None
            await _ended(watch)
        if isinstance(recorder.stop, Lost | Away):
            raise recorder.stop
        if recorder.interrupted is not None:
            raise recorder.interrupted
        return result, dump_json(result.output)

    # --- the ends ----------------------------------------------------------------------------------------------

    async def _succeeded(self, recorder: Recorder, result: AgentRunResult[Any], output: bytes) -> Ended:
        if recorder.behind or recorder.replay.messages_after(recorder.heard):
            raise _Again
        succeeded = ev.RunSucceeded(
            output=recorder.seal(output),
            history=recorder.log("").delta(result.all_messages()),
            usage=ending.usage_of(result),
        )
        return await self._finish(recorder, RunState.SUCCEEDED, succeeded)

    async def _troubled(self, recorder: Recorder, trouble: Trouble) -> Ended:
        """It cannot go on by itself: people are asked, where they are to be, or it fails."""
        if not trouble.is_for_people(self._task):
            return await self._failed(recorder, trouble.error, trouble.message, trouble.place)
        park, fact, row = put(recorder, trouble, await self._journal(recorder))
        return await self._wait(recorder, park, fact, rows=[row])

    async def _decided(self, recorder: Recorder) -> Ended | None:
        """What people said of a run in trouble; None where it goes on."""
        entry = recorder.replay.trouble
        if entry is None or (entry.decided is not None and entry.decided.way == "go_on"):
            return None
        if entry.decided is None:
            return await self._wait(recorder, waiting(entry.escalated))
        facts, tasks = ending.left_in_doubt(recorder, recorder.replay, "was ended by a person")
        if entry.decided.way == "fail_run":
            return await self._finish(recorder, RunState.FAILED, *facts, failed(recorder, entry), tasks=tasks)
        try:
            succeeded = finished(recorder, entry, await self._journal(recorder))
        except errors.InvalidInput as error:
            return await self._troubled(recorder, Trouble.of_output(entry, str(error)))
        return await self._finish(recorder, RunState.SUCCEEDED, *facts, succeeded, tasks=tasks)

    async def _journal(self, recorder: Recorder) -> list[ev.AnyEvent]:
        """All that happened, what is held back included."""
        await recorder.journal.flush()
        stored = await self._gear.reader.journal(self._claimed.tenant, self._claimed.run)
        return [event for _, event in opening.loaded(stored)]

    async def _failed(self, recorder: Recorder, error: str, message: str, place: str) -> Ended:
        replay = Replay.of(enumerate(await self._journal(recorder), 1))
        facts, tasks = ending.left_in_doubt(recorder, replay, "failed")
        failed = ev.RunFailed(
            error=error, message=recorder.seal_text(message), place=place, unanswered=replay.unanswered
        )
        return await self._finish(recorder, RunState.FAILED, *facts, failed, tasks=tasks)

    async def _park(self, recorder: Recorder, park: Park) -> Ended:
        if isinstance(park, Halted):
            recorder.stop = park
            if recorder.entering.not_begun:
                # By way of the inbox, as a worker that lost the run would: folded in before the run parks.
                await self._tell(recorder)
        return await self._wait(recorder, park)

    async def _diverged(self, recorder: Recorder, diverged: Diverged) -> Ended:
        fact = ev.RunDiverged(
            place=diverged.place,
            recorded=recorder.seal(dump_json(diverged.recorded)),
            found=recorder.seal(dump_json(diverged.found)),
        )
        why = f"the code diverged from the journal at {diverged.place}"
        return await self._wait(recorder, Park(WaitingOn.CODE, why), fact)

    async def _cancelled(self, recorder: Recorder) -> Ended:
        assert recorder.replay.cancel is not None
        facts, tasks = ending.left_in_doubt(recorder, recorder.replay, "was cancelled")
        cancelled = ev.RunCancelled(by=recorder.replay.cancel.by, unanswered=recorder.replay.unanswered)
        return await self._finish(recorder, RunState.CANCELLED, *facts, cancelled, tasks=tasks)

    async def _finish(
        self, recorder: Recorder, state: RunState, *facts: ev.AnyEvent, tasks: Sequence[ApprovalRow] = ()
    ) -> Ended:
        try:
            await recorder.end(*facts, finish=Finish(state), rows=tasks)
        except errors.SignalsPending:
            raise _Again from None
        self._gear.hints.notify(f"r:{self._claimed.run}")
        return Ended.FINISHED

    async def _wait(
        self, recorder: Recorder, park: Park, *facts: ev.AnyEvent, rows: Sequence[ApprovalRow] = ()
    ) -> Ended:
        if recorder.behind or recorder.news:
            # It may be what the run was going to wait for, folded in after the agent had looked.
            raise _Again
        unsure = isinstance(park, Halted)
        parked = ending.parked(park)
        try:
            await recorder.end(
                *facts, parked, park=ParkRow(park.waiting_on, park.wake_at, unsure, park.names), rows=rows
            )
        except errors.SignalsPending:
            raise _Again from None
        self._gear.hints.notify(f"r:{self._claimed.run}")
        return Ended.PARKED

    async def _report_late(self) -> None:
        """Whoever holds the run now may be asking people about an effect whose outcome is known here."""
        if self._recorder is None or self._key is None:
            return
        recorder = self._recorder
        if not isinstance(recorder.stop, Lost):
            # No look lets anything pass from here on, not even in a thread that comes to it much later.
            recorder.stop = Lost("the run was let go")
        await self._tell(recorder)

    async def _tell(self, recorder: Recorder) -> None:
        """Put into the inbox what is known here and not committed."""
        claimed, key = self._claimed, self._key
        assert key is not None
        known, recorder.unconfirmed = recorder.unconfirmed, []
        reports = [sealed(one, claimed, key, recorder.content) for one in known]
        reports += [never_begun(call, claimed, recorder.journal.seq) for call in recorder.entering.not_begun]
        if reports:
            self._gear.late.tell(self._gear.db, reports)
            await self._gear.late.settled(within_s=_TELL_S)

    async def _settle_held(self, recorder: Recorder) -> None:
        """What is known is written before the run is let go; a lost run writes nothing."""
        if not isinstance(self._stop, Lost):
            try:
                await recorder.journal.flush()
            except errors.HoldfastError as error:
                log.warning("held_facts_lost", run=str(self._claimed.run), error=str(error))
                await self._report_late()


async def _ended(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

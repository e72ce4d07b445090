"""The pen of one execution: what it reads from the journal and how it writes to it.

Everything the capabilities know about the run is here. Facts may be held back for a moment and ride with the next
intent; an intent returns only when it is committed, and with it every fact before it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_ai.messages import ModelMessage

from holdfast.domain import errors
from holdfast.domain import events as ev
from holdfast.domain.halts import Covered, covering, names_of
from holdfast.domain.ids import Ref
from holdfast.domain.state import WaitingOn
from holdfast.engine.codec import load_message, parse
from holdfast.engine.entering import Entering
from holdfast.engine.flight import Flight
from holdfast.engine.halting import halted_by
from holdfast.engine.inner import Inner
from holdfast.engine.interrupt import Away, Cancelling, Diverged, Halted, HandOver, Interrupt, Lost, OtherLimits, Park
from holdfast.engine.messages import MessageLog
from holdfast.engine.replay import Replay
from holdfast.store.halts import is_held_back

if TYPE_CHECKING:
    from holdfast.domain.repeats import Repeats
    from holdfast.domain.spent import Counted, Intent
    from holdfast.engine.acting import Acting
    from holdfast.engine.budgeting import Budgeting
    from holdfast.engine.gear import Gear, Lease
    from holdfast.engine.late import Known
    from holdfast.engine.limiting import Limiting
    from holdfast.store.claims import Claimed
    from holdfast.store.journal import Finish, Row, RunJournal
    from holdfast.store.journal import Park as ParkRow
    from holdfast.task import Task


class Recorder:
    """Reads and writes the journal of one claimed run."""

    def __init__(
        self,
        task: Task,
        claimed: Claimed,
        gear: Gear,
        journal: RunJournal,
        replay: Replay,
        content: Mapping[str, bytes],
        opening: Sequence[ev.AnyEvent],
        lease: Lease,
        acting: Acting,
        budgeting: Budgeting,
        repeats: Repeats,
        limiting: Limiting | None = None,
    ) -> None:
        self.task = task
        self.acting = acting
        self._tenants = acting.ceilings
        """The tenant's limits that `limiting` was made with."""
        self.budgeting = budgeting
        self.limiting = limiting
        """None where nothing of the run is limited."""
        self.repeats = repeats
        self.claimed = claimed
        self.gear = gear
        self.journal = journal
        self.replay = replay
        self.flight = Flight()
        self.entering = Entering(self.look)
        self.leaving = False
        self._begun = 0
        """Intents of this execution."""
        self.stop: Interrupt | None = None
        """Why the agent was told to stop: nothing is started any more, whatever user code makes of the message."""
        self._content = dict(content)
        self._opening = list(opening)
        self._lease = lease
        self._logs: dict[str, MessageLog] = {}
        self._messages: dict[str, ModelMessage] = {}
        self._fold_to = journal.folded_seq
        self.unconfirmed: list[Known] = []
        """Outcomes of calls that are known and not yet committed."""
        self.closed: dict[str, Interrupt] = {}
        """Why no run whose scope begins so may go on: the call it belongs to was left, it may not have noticed."""
        self.interrupted: Interrupt | None = None
        """What stopped the agent first. A hook that recovers from errors must not make an end of it."""
        self.enqueued = set[str]()
        """Messages enqueued by calls, that are part of a recorded outcome."""
        self.inner = Inner()
        """Requests of sub-agents, by the counters that hold them."""
        self.heard = 0
        """Journal position of the last message that the agent was given."""
        self.behind = False
        """Signals are being folded in: should that be cut off, the journal holds what `replay` does not."""
        self.news = False
        """Signals were folded in while the agent worked, which it may have passed by."""

    def interrupted_by(self, interrupt: Interrupt) -> None:
        """Remember an interrupt that leaves the engine for the framework."""
        self.interrupted = self.interrupted or interrupt

    def forget(self) -> None:
        """Let go of what was read: timers that were cancelled keep the context of a run for minutes."""
        self.flight.close()
        self.replay = Replay()
        for kept in (self._content, self._logs, self._messages):
            kept.clear()
        self.unconfirmed = []
        self.inner.leave()

    # --- reading -----------------------------------------------------------------------------------------------

    def content(self, ref: str) -> bytes:
        """The plain bytes that `ref` names."""
        return self._content[ref]

    def text(self, ref: str) -> str:
        """Content that was written by `seal_text`."""
        return parse(self.content(ref))

    def message(self, ref: str) -> ModelMessage:
        """The message that `ref` names: one object, however often it is asked for.

        Raises:
            Diverged: this code cannot read it. No error of a kind that the agent's own code might catch, and go on.
        """
        found = self._messages.get(ref)
        if found is None:
            content = self.content(ref)
            try:
                found = self._messages[ref] = load_message(content)
            except ValidationError as error:
                raise Diverged("a recorded message", {"recorded": parse(content)}, {"unreadable": str(error)}) from None
        return found

    def know_message(self, ref: str, message: ModelMessage, plain: bytes) -> None:
        """A message of an earlier run of the session."""
        self._content[ref] = plain
        self._messages[ref] = message

    def whole(self, delta: ev.Messages) -> ev.Messages:
        """A message list with all its references in place: a long one keeps them as content."""
        if delta.more is None:
            return delta
        return ev.Messages(keep=delta.keep, add=parse(self.content(delta.more)))

    def log(self, scope: str) -> MessageLog:
        """The message lists of a scope."""
        found = self._logs.get(scope)
        if found is None:
            found = self._logs[scope] = MessageLog(self.seal)
        return found

    def take_messages(self, upto: int | None = None) -> list[Any]:
        """Messages that people sent and that the agent was not given yet: user content, oldest first."""
        taken = [found for found in self.replay.messages_after(self.heard) if upto is None or found[0] <= upto]
        if taken:
            self.heard = taken[-1][0]
        return [parse(self.content(message.message)) for _, message in taken]

    # --- writing -----------------------------------------------------------------------------------------------

    def seal(self, plain: bytes) -> Ref:
        """Name content; it is stored with the next append unless the run has it already."""
        return self.journal.seal(plain)

    def know(self, ref: str, plain: bytes) -> None:
        """Content that came another way than by the journal's blobs, such as with a signal."""
        self._content[ref] = plain

    def seal_text(self, text: str) -> Ref:
        """Name a text."""
        return self.seal(json.dumps(text).encode("ascii"))

    def open_with(self, fact: ev.AnyEvent) -> None:
        """Let a fact ride with the first thing that is written from here on: it costs no commit."""
        self._opening.append(fact)

    def hold(self, *facts: ev.AnyEvent, rows: Sequence[Row] = ()) -> None:
        """Write facts that may wait a moment for the next intent.

        Raises:
            Interrupt: what was held before could not be written.
        """
        rows = [*self._left_behind(), *self._seen(facts, rows)]
        try:
            self.journal.hold(*self._opened(facts), rows=rows)
        except errors.HoldfastError as error:
            raise self.stopped_by(error) from error

    def know_outcome(self, known: Known) -> None:
        """How a call ended is known from here on, whatever becomes of the run."""
        self.unconfirmed = [*self.unconfirmed, known]

    async def record(self, *facts: ev.AnyEvent, rows: Sequence[Row] = ()) -> int:
        """Write facts; return the number of the last one when they are committed."""
        return await self._append(*facts, rows=self._seen(facts, rows))

    def _seen(self, facts: Sequence[ev.AnyEvent], rows: Sequence[Row]) -> Sequence[Row]:
        """Count facts that are about to be written. Returns the rows that go with them, what they settle included."""
        if self.limiting is not None:
            self.limiting.saw(facts)
        self.repeats.saw(facts)
        return [*rows, *settled] if (settled := self.budgeting.rows_for(facts)) else rows

    async def intend(self, intent: Intent, rows: Sequence[Row] = ()) -> int:
        """Announce what is about to be done; return its sequence number when it is committed.

        Raises:
            TalliesMoved: a sum among `rows` is another by now: nothing is announced.
            BoundWanted, OverBudget: a budget is to know what it may use, or has no room for that.
            Limited: it would exceed a limit of the run's.
            Interrupt: the run may not go on here.
        """
        if self.limiting is None:
            return await self._intend(intent, rows)
        counted = self._counted(intent)
        try:
            return await self._intend(intent, rows)
        except BaseException:
            self.limiting.take_back(intent, counted)
            raise

    async def ask(self, asked: ev.QuestionAsked, rows: Sequence[Row]) -> None:
        """Put a call before whoever is to give its result; committed when this returns.

        Raises:
            BoundWanted, TalliesMoved, Limited, Interrupt: as `intend`, of a call that is handed out.
        """
        # Known before it is committed: the reply may be lost, and the answer be there before the writer has found out.
        self.replay.know_question(asked)
        try:
            if isinstance(asked, ev.CallHandedOut):
                await self.intend(asked, rows)
                self.repeats.saw([asked])
            else:
                await self.record(asked, rows=rows)
        except (errors.HoldfastError, Interrupt) as refused:
            # Cancelled, or lost on the way, it may have been committed all the same.
            if not isinstance(refused, Lost | Away):
                self.replay.forget_question(asked)
            raise

    def _counted(self, intent: Intent) -> Counted:
        assert self.limiting is not None
        try:
            return self.limiting.begin(intent)
        except Interrupt as interrupt:
            self.interrupted_by(interrupt)
            raise

    async def _intend(self, intent: Intent, rows: Sequence[Row]) -> int:
        try:
            self._may_start(intent)
            self.gear.probe("intent.before")
            if self.acting.outdated:
                await self._look_again(intent)
            while True:
                try:
                    seq = await self._append(intent, rows=rows)
                    break
                except errors.RightsChanged:
                    await self._look_again(intent)
        except Interrupt as interrupt:
            self.interrupted_by(interrupt)
            raise
        self.gear.probe("intent.after")
        self._begun += 1
        if self._lease.halts.doubtful and not isinstance(intent, ev.CallHandedOut):  # whose commit is its dispatch
            await self._lease.halts.confirmed()
        return seq

    @property
    def begun(self) -> int:
        """How many model requests and tool calls the run has begun."""
        return self.replay.begun + self._begun

    async def _look_again(self, intent: Intent) -> None:
        try:
            await self.acting.renew()
        except errors.OperatorError as error:
            raise self.stopped_by(error) from error
        self.check_limits()
        self._may_start(intent)

    def check_limits(self) -> None:
        """Stop a run that counts under limits of its tenant which have changed.

        What is counted, what a request may use and what of a call is written depend on which limits there are: it is
        simplest to begin again from the journal, as a claim would, and it happens as rarely as people change them.

        Raises:
            OtherLimits: they have.
        """
        if self.acting.ceilings != self._tenants:
            raise OtherLimits

    def look(self, what: str, name: str) -> None:
        """The last thing before anything of the user's is entered or sent: is the run still held here?

        Between the commit of an intent and this, the lease may have been lost, or the process have been stopped until
        it ran out: others may have the run by now. Or a halt may have come. Takes a fifth of a microsecond; may be
        called from any thread.

        Args:
            what: `tool` or `model`.
            name: of which; both are empty where nothing is entered yet.

        Raises:
            Lost: it is not, as far as can be known here.
            Halted: it is, and a halt covers what is about to be entered.
        """
        if self.stop is not None and isinstance(self.stop, Lost | Halted):
            raise self.stop
        if self._lease.expired:
            # For good: a lease that is renewed after all must not let anything pass.
            self.stop = Lost("the lease had run out before what was announced could begin")
            raise self.stop
        if what and (self._lease.halts.in_force or self._lease.halts.doubtful):
            self._look_at_halts(what, name)

    def _look_at_halts(self, what: str, name: str) -> None:
        if self._lease.halts.doubtful:
            self.stop = Lost("which halts are in force could not be confirmed for a second")
            raise self.stop
        halt = covering(self._lease.halts.in_force, self.covered, what, name)
        if halt is not None:
            raise halted_by(halt, what, name)

    async def ask_halts(self, tool: str) -> None:
        """For what no intent announces, as asking a probe: ask whether it is held back.

        Raises:
            Park: it is.
        """
        claimed = self.claimed
        try:
            held_back = await is_held_back(self.gear.db, claimed.tenant, claimed.run, names_of("tool", tool))
        except errors.OperatorError as error:
            raise self.stopped_by(error) from error
        if held_back:
            raise Park(WaitingOn.HALT, f"A halt covers run {claimed.run}: nothing new is started.")

    @property
    def covered(self) -> Covered:
        """What of the run halts are about."""
        claimed = self.claimed
        return Covered(claimed.tenant, claimed.run, claimed.task, claimed.session, claimed.principal)

    def _may_start(self, intent: Intent) -> None:
        if self.stop is not None:
            raise self.stop
        self.look("", "")
        for scopes, why in self.closed.items():
            if intent.scope.startswith(scopes):
                raise why
        if self.leaving:
            raise HandOver

    async def fold(self, events: Sequence[ev.AnyEvent], to: int, closes: Sequence[Row] = ()) -> int:
        """Write what signals mean, up to signal `to`; return the number of the last event when committed."""
        self._fold_to = max(self._fold_to, to)
        if not events:
            return self.journal.seq
        return await self._append(*events, rows=self._seen(events, closes))

    async def end(
        self,
        *facts: ev.AnyEvent,
        park: ParkRow | None = None,
        finish: Finish | None = None,
        rows: Sequence[Row] = (),
    ) -> None:
        """Write the last facts of this execution.

        Raises:
            SignalsPending: the inbox holds more; fold it in and try again.
        """
        left, opened = self._left_behind(), self._opened(facts)
        # A rewound log is answered for only now: what was unfinished has been put in doubt, or the run ends.
        await self.journal.append(
            *opened,
            park=park,
            finish=finish,
            rows=[*left, *rows, *self.budgeting.rows_for(facts)],
            fold_to=self._fold_to,
            rewound=self.claimed.rewound,
        )

    def _left_behind(self) -> Sequence[Row]:
        return self.budgeting.left_behind() if self._opening else ()

    def _opened(self, events: Sequence[ev.AnyEvent]) -> Sequence[ev.AnyEvent]:
        # What opens an epoch rides with the first thing the epoch writes: a claim alone costs no commit.
        if not self._opening:
            return events
        opened = [*self._opening, *events]
        self._opening.clear()
        return opened

    async def _append(self, *events: ev.AnyEvent, rows: Sequence[Row] = ()) -> int:
        before = self.unconfirmed
        try:
            if left := self._left_behind():
                rows = [*left, *rows]
            seq = await self.journal.append(*self._opened(events), rows=rows, fold_to=self._fold_to)
        except errors.HoldfastError as error:
            raise self.stopped_by(error) from error
        # Everything held before this append was committed with it; another one may have been under way meanwhile.
        if before:
            self.unconfirmed = [known for known in self.unconfirmed if known not in before]
        return seq

    def stopped_by(self, error: errors.HoldfastError) -> BaseException:
        """What an append that failed means to the agent."""
        match error:
            case errors.RunLost():
                return Lost(str(error))
            case errors.RunCancelling():
                return Cancelling(str(error))
            case errors.RunHalted():
                return Park(WaitingOn.HALT, str(error))
            case errors.OperatorError():
                # What was to be written is missing: nothing may be begun on it, though the database be back at once.
                self.stop = self.stop or Away(error)
                return Away(error)
            case _:
                return error

    def key_of(self, scope: str, step: int, call: str) -> str:
        """The idempotency key of a call: the same in every attempt, on every machine."""
        return f"{self.claimed.run}/{scope}{step}/{call}"

"""The journal of one held run, as its holder writes it.

States: *idle* (nothing due), *ready* (waiting for a lane), *flying* (a member of it was sent, or waits out a
busy row). One member of a run flies at a time; what is appended meanwhile becomes the next one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from holdfast.domain.errors import (
    AppendRejected,
    DatabaseUnavailable,
    RunInterrupted,
    RunLost,
    SignalsPending,
    TooLarge,
)
from holdfast.domain.events import AnyEvent
from holdfast.domain.ids import Ref
from holdfast.store.hashing import chain_prefix
from holdfast.store.journal.intake import add_rows, make_item
from holdfast.store.journal.member import Item, Member
from holdfast.store.journal.refusals import REFUSED, refusal
from holdfast.store.journal.rows import Finish, Park, Row, storable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from holdfast.store.claims import Claimed
    from holdfast.store.journal.statement import Answer
    from holdfast.store.journal.writer import JournalWriter
    from holdfast.store.vault import SubjectKey

BLOB_BYTES = 16 * 1024 * 1024
"""The largest piece of content of a run."""

_BUSY_FIRST_S, _BUSY_MOST_S = 0.002, 0.1


class RunJournal:
    """Appends to one run's journal while this process holds it. Made by `JournalWriter.open`."""

    def __init__(
        self, writer: JournalWriter, claim: Claimed, key: SubjectKey, known: Iterable[Ref], feature: str
    ) -> None:
        self.tenant, self.run, self.worker, self.epoch = claim.tenant, claim.run, claim.worker, claim.epoch
        self.tenant_bytes, self.run_bytes, self.worker_bytes = claim.tenant.bytes, claim.run.bytes, claim.worker.bytes
        self.feature = storable(feature).encode()
        """As the ledger has it."""
        self.seq: int = claim.seq
        """The last event known to be committed."""
        self.head: bytes = claim.head
        self.inbox_seq: int = claim.inbox_seq
        """The last signal known to be delivered."""
        self.folded_seq: int = claim.folded_seq
        self.cancelling = claim.cancelling
        """Whether cancellation was asked for, as far as the last answer said."""
        self.lost: RunInterrupted | None = None
        """Why nothing more can be appended by this holder."""
        self.prefix = chain_prefix(claim.tenant, claim.run)
        self._writer = writer
        self._key = key
        self._known = set(known)
        self._staged: list[tuple[bytes, bytes]] = []
        self._staged_bytes = 0
        self._pending: deque[Item] = deque()
        self._take_only = 0
        self._one_by_one = 0
        self._flying: Member | None = None
        self._busy_s = _BUSY_FIRST_S
        self._idle = True
        self._due = False
        self._failure: Exception | None = None

    def seal(self, plain: bytes) -> Ref:
        """Name content, and stage it for the next append unless this run has it already.

        Raises:
            TooLarge: it is longer than 16 MiB.
        """
        if len(plain) > BLOB_BYTES:
            raise TooLarge(
                f"A piece of content of run {self.run} has {len(plain)} bytes; the limit is {BLOB_BYTES}. "
                "Return a reference to where it is kept instead of the content itself."
            )
        digest = self._key.digest(plain)
        ref = Ref(digest.hex())
        if ref not in self._known:
            self._stage(ref, digest, self._key.encrypt(digest, plain))
        return ref

    def stage(self, digest: bytes, body: bytes) -> Ref:
        """Stage content that is sealed already, as that of a signal is, under this run's subject's key."""
        ref = Ref(digest.hex())
        if ref not in self._known:
            self._stage(ref, digest, body)
        return ref

    async def append(
        self,
        *events: AnyEvent,
        rows: Iterable[Row] = (),
        park: Park | None = None,
        finish: Finish | None = None,
        fold_to: int | None = None,
        rewound: bool = False,
    ) -> int:
        """Commit these events, in this order, after all that was held or appended before.

        Returns, once committed, the sequence of the last of them. `fold_to` is the last signal that they fold
        in. `rewound` says that they deal with a rewound log.

        Raises:
            RunLost: fenced. Nothing was committed and nothing will be.
            RunHalted, RunCancelling, RightsChanged, TalliesMoved, BoundWanted, OverBudget: the intents among the events
                were refused; the facts are committed.
            SignalsPending: the run may not park or finish yet; nothing of this call was committed.
            AppendRejected: an event cannot be stored, or the database refused this run's rows.
            TooLarge: an event is too long.
            DatabaseUnavailable: no answer within the writer's deadline. It may have been committed; the fence
                knows.
        """
        self._refuse_if_stopped()
        item = self._item(events, rows, park or finish, fold_to)
        item.rewound = rewound
        if self._writer.is_full(item.size):
            await self._wait_for_room(item)
        else:
            self._writer.bill(item.size)
        return await self._push(item)

    def hold(
        self,
        *events: AnyEvent,
        rows: Iterable[Row] = (),
        fold_to: int | None = None,
    ) -> None:
        """Queue facts for this run's next append, or for a commit of their own when that does not come soon.

        What goes wrong with them is raised by the next `append` or `flush`.
        """
        self._refuse_if_stopped()
        item = self._item(events, rows, None, fold_to)
        if item.has_intent():
            raise ValueError("An intent cannot be held: it is to be committed before what it announces. Append it.")
        self._writer.bill(item.size)
        self._pending.append(item)
        if not self._due:
            self._writer.holds(self)

    async def flush(self) -> None:
        """Return once all that was held or appended before is committed.

        Raises:
            RunInterrupted: as `append`, for what was held.
        """
        self._refuse_if_stopped()
        if self._pending or not self._idle:
            await self._push(Item([], 0))
        if self._failure is not None:
            self._refuse_if_stopped()

    # What the lanes call.

    def take(self, max_bytes: int) -> Member | None:
        """The next member, or None when there is nothing to send after all."""
        if self._flying is not None:
            self._flying.is_open = True
            return self._flying
        self._writer.holds_no_more(self)
        pending, items, size, has_entries = self._pending, list[Item](), 0, False
        for _ in range(1 if self._one_by_one else self._take_only or len(pending)):
            if items and size >= max_bytes:
                break
            item = pending.popleft()
            items.append(item)
            size += item.size
            has_entries = has_entries or bool(item.entries)
            if item.next is not None:
                break
        self._take_only = 0
        self._one_by_one = max(0, self._one_by_one - 1)
        self._due = bool(pending)
        if not has_entries:
            self._commit(items, self.seq)
            self._rest()
            return None
        blobs, self._staged = self._staged, []
        self._flying = Member(self, items, blobs, size)
        if items[-1].names or self._writer.naming.is_so(self.tenant):
            self._flying.name()
        return self._flying

    def appended(self, member: Member) -> None:
        """The member that flew is committed, and the inbox holds nothing that it has not folded in."""
        self.inbox_seq = max(self.inbox_seq, member.folded_seq)
        self.cancelling = False
        self._flying = None
        self._appended(member)

    def answered(self, member: Member, answer: Answer) -> None:
        """Act on what the database said of the member that flew."""
        if answer.inbox_seq is not None:
            self.inbox_seq = max(self.inbox_seq, answer.inbox_seq)
            self.cancelling = bool(answer.cancelling)
        if answer.outcome == "busy":
            self._wait_for_row()
            return
        if answer.outcome == "unnamed":
            self._writer.naming.note(self.tenant)
            member.name()
            self._writer.ready(self)
            return
        self._flying = None
        match answer.outcome:
            case "appended":
                self._appended(member)
            case "halted" | "over_budget" | "unpriced" as refused if self._by_itself(member, refused):
                pass
            case refused if refused in REFUSED:
                if refused == "unbounded":
                    self._writer.bounding.note(self.tenant)
                self._without_intents(member, refusal(answer, self.run))
            case "signalled":
                self._without_end(member)
            case _:
                self._flying = member
                self.lose(
                    RunLost(
                        self.run,
                        f"Run {self.run} is no longer held at epoch {self.epoch} and sequence {member.seq}: "
                        "another worker took it, or it ended. Drop it.",
                    )
                )

    def send_again(self) -> None:
        """The reply was lost, and the member is not in the journal, at least not yet."""
        self._writer.ready(self)

    def reject(self, member: Member, cause: Exception) -> None:
        """The database refused the member by itself."""
        error = AppendRejected(self.run, f"The database refused what run {self.run} appended: {cause}")
        error.__cause__ = cause
        self._flying = None
        if self._pending:
            self._staged[:0] = member.blobs
        else:
            self._known -= {Ref(digest.hex()) for digest, _ in member.blobs}
        self._fail(member.items, error)
        self._rest()

    def give_up(self, error: DatabaseUnavailable) -> None:
        """The database did not come back in time: all that waits for it is told."""
        self._staged[:0] = self._flying.blobs if self._flying else []
        self._fail_all(error)

    def lose(self, error: RunInterrupted) -> None:
        """Nothing more can be appended: all that waits is told, and whoever comes later."""
        self.lost = self.lost or error
        self._staged.clear()
        self._fail_all(self.lost)

    def make_due(self) -> None:
        """Send what is held now."""
        self._writer.holds_no_more(self)
        self._due = bool(self._pending)
        if self._idle and self._due:
            self._stir()

    def _appended(self, member: Member) -> None:
        self.seq, self.head, self.folded_seq = member.new_seq, member.new_head, member.folded_seq
        self._busy_s = _BUSY_FIRST_S
        if member.items[-1].next is not None:
            self.lost = RunLost(self.run, f"Run {self.run} was parked or ended by this holder, which let it go.")
        self._commit(member.items, member.seq)
        if self.lost is not None:
            self.lose(self.lost)
        else:
            self._rest()

    def _without_intents(self, member: Member, error: RunInterrupted) -> None:
        for item in member.items:
            if item.has_intent():
                item.drop_intents(error)
        empty = [item for item in member.items if item.refused is error and not item.entries]
        self._requeue(member, [item for item in member.items if item not in empty])
        self._fail(empty, error)
        self._rest()

    def _by_itself(self, member: Member, refused: str) -> bool:
        # A halt may be of one tool, a budget have room for one: what was announced in the moment is asked for again,
        # each by itself.
        if (refused == "halted" and not member.named) or sum(item.has_intent() for item in member.items) == 1:
            return False
        self._requeue(member, member.items)
        self._one_by_one = len(member.items)
        self._rest()
        return True

    def _without_end(self, member: Member) -> None:
        # The end comes last in its member. Its own events, as a RunSucceeded, must not be committed now.
        *kept, ending = member.items
        self._requeue(member, kept)
        error = SignalsPending(
            self.run,
            f"Run {self.run} has signals up to {self.inbox_seq} not folded in. Fold them in first.",
        )
        error.inbox_seq = self.inbox_seq
        self._fail([ending], error)
        self._rest()

    def _requeue(self, member: Member, kept: list[Item]) -> None:
        # These go first and alone: what joined meanwhile may hold an intent, and would have them refused again.
        self._staged[:0] = member.blobs
        self._pending.extendleft(reversed(kept))
        self._take_only = len(kept)
        self._due = self._due or bool(kept)

    def _wait_for_row(self) -> None:
        wait_s = self._busy_s * (0.5 + self._writer.random())
        self._busy_s = min(2 * self._busy_s, _BUSY_MOST_S)
        asyncio.get_running_loop().call_later(wait_s, self._writer.ready, self)

    def _rest(self) -> None:
        if self._idle:
            return
        if self._pending and self._due:
            self._writer.ready(self)
            return
        self._idle = True
        self._writer.rested()
        if self._pending:
            self._writer.holds(self)

    def _commit(self, items: Iterable[Item], seq: int) -> None:
        for item in items:
            seq += len(item.entries)
            self._writer.release(item.size)
            item.settle(seq)

    def _fail_all(self, error: Exception) -> None:
        waiting = [*(self._flying.items if self._flying else ()), *self._pending]
        self._pending.clear()
        self._flying = None
        self._writer.holds_no_more(self)
        self._fail(waiting, error)
        self._rest()

    def _fail(self, items: Iterable[Item], error: Exception) -> None:
        for item in items:
            self._writer.release(item.size)
            if not item.fail(error):
                self._failure = error

    def _item(
        self,
        events: tuple[AnyEvent, ...],
        rows: Iterable[Row],
        next_: Park | Finish | None,
        fold_to: int | None,
    ) -> Item:
        item = make_item(self.run, events, self._writer.clock(), self.seal)
        if rows or next_:
            add_rows(self.run, item, rows, next_)
        item.fold_to = fold_to or 0
        item.size += self._staged_bytes
        self._staged_bytes = 0
        return item

    def _stage(self, ref: Ref, digest: bytes, body: bytes) -> None:
        self._known.add(ref)
        self._staged.append((digest, body))
        self._staged_bytes += len(body)

    def _push(self, item: Item) -> asyncio.Future[int]:
        future = item.future = asyncio.get_running_loop().create_future()
        self._pending.append(item)
        self._due = True
        if self._idle:
            self._stir()
        return future

    def _stir(self) -> None:
        self._idle = False
        self._writer.stirred()
        self._writer.ready(self)

    async def _wait_for_room(self, item: Item) -> None:
        await self._writer.room(item.size)
        try:
            self._refuse_if_stopped()
        except BaseException:
            self._writer.release(item.size)
            raise

    def _refuse_if_stopped(self) -> None:
        if self.lost is not None:
            raise self.lost
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        self._writer.refuse_if_closed(self.run)

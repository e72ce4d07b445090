"""One connection that sends batches, and what happens when a batch fails.

A batch that the database refuses as a whole is cut in halves until only the culprit fails. When the
connection goes away under a batch, nobody knows whether it was committed: *commit sent, reply lost*. The lane
reconnects and reads. The member's last hash at its place in the journal means committed. Otherwise the very
same member is sent again: the old statement may still be running, but the fence lets only one of the two
through. If ours is then fenced, the old one may have won, so the journal is read once more before the answer
is believed.

Between the two the world may change: a halt may refuse the second sending and be lifted before the first
is executed after all. Then the fence refuses this holder's next append, and it drops the run: never two versions.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from psycopg.errors import LockNotAvailable

from holdfast.store.errors import is_connection_lost, is_retryable
from holdfast.store.journal.fate import read_fates
from holdfast.store.journal.statement import Answer, answers, parameters
from holdfast.store.wire import Wire

if TYPE_CHECKING:
    from holdfast.store.connection import Connection
    from holdfast.store.journal.member import Member
    from holdfast.store.journal.writer import JournalWriter
    from holdfast.store.pool import Database

_RETRIES = 5
_RECONNECT_FIRST_S, _RECONNECT_MOST_S = 0.02, 1.0


class Lane:
    """One connection of the writer's."""

    def __init__(self, writer: JournalWriter, db: Database) -> None:
        self._writer, self._db = writer, db
        self._connection: Connection | None = None
        self._wire: Wire | None = None

    async def connect(self) -> Wire:
        """Connect afresh.

        Raises:
            Exception: the database cannot be reached.
        """
        await self.disconnect()
        connection = self._connection = await self._db.connect()
        wire = self._wire = Wire(connection, "append", prepared=self._db.prepared)
        self._writer.down_since = None
        return wire

    async def disconnect(self) -> None:
        """Drop the connection, if there is one."""
        connection, self._connection = self._connection, None
        if self._wire is not None:
            self._wire.close()
            self._wire = None
        if connection is not None:
            with suppress(Exception):
                await connection.close()

    async def run(self) -> None:
        """Send batches until cancelled."""
        while True:
            batch = await self._writer.next_batch()
            try:
                await self._deliver(batch)
            except Exception as error:  # noqa: BLE001 whatever it is, no caller may hang
                for member in batch:
                    if member.is_open:
                        member.journal.reject(member, error)
            finally:
                self._writer.delivered(batch)

    async def _deliver(self, batch: list[Member]) -> None:
        retries = 0
        while True:
            try:
                answers = await self._send(batch)
            except Exception as error:  # noqa: BLE001 encoding errors and bugs too are one member's fault, not all's
                if is_connection_lost(error) or self._is_down():
                    await self._recover(batch, error)
                    return
                if is_retryable(error) and retries < _RETRIES:
                    retries += 1
                    await asyncio.sleep(0.002 * 2**retries * self._writer.random())
                    continue
                await self._refused(batch, error)
                return
            await self._settle(batch, answers)
            return

    async def _send(self, batch: list[Member]) -> list[Answer]:
        wire = self._wire
        if wire is None:
            async with asyncio.timeout(self._writer.deadline_s):
                wire = await self.connect()
        patient = self._writer.begin_waiting(batch)
        try:
            return await self._execute(wire, parameters(batch, patient=patient))
        except LockNotAvailable:
            if not patient:
                raise
            return [Answer(number, "busy", None, None) for number in range(1, len(batch) + 1)]
        finally:
            if patient:
                self._writer.end_waiting()

    async def _execute(self, wire: Wire, arguments: list[bytes | None]) -> list[Answer]:
        probe = self._writer.probe
        if probe is not None:
            probe("append.before_send")
        watch = asyncio.get_running_loop().call_later(self._writer.deadline_s, self._cut)
        try:
            rows = await wire.execute(arguments)
        finally:
            watch.cancel()
        if probe is not None:
            probe("append.after_commit")
        return answers(rows)

    async def _settle(self, batch: list[Member], answers: list[Answer]) -> None:
        doubtful: list[Member] = []
        said = {answer.idx: answer for answer in answers}
        line = self._writer.line_of(batch)
        if line is not None:
            in_vain = len(said) == len(batch) and all(answer.outcome == "busy" for answer in answers)
            line.answered(in_vain=in_vain)
            if in_vain:
                self._writer.all_busy(line, batch)
                return
        for number, member in enumerate(batch, 1):
            answer = said.get(number)
            if answer is not None and answer.outcome == "fenced" and member.lost_at is not None:
                doubtful.append(member)
                continue
            if answer is None:
                member.journal.appended(member)
            else:
                member.journal.answered(member, answer)
            member.is_open = False
        if doubtful:
            await self._recover(doubtful, None)

    async def _refused(self, batch: list[Member], error: Exception) -> None:
        if len(batch) == 1:
            batch[0].is_open = False
            batch[0].journal.reject(batch[0], error)
            return
        middle = len(batch) // 2
        await self._deliver(batch[:middle])
        await self._deliver(batch[middle:])

    async def _recover(self, batch: list[Member], error: Exception | None) -> None:
        """Reconnect where the connection went away, and find out what became of the batch."""
        pause_s = _RECONNECT_FIRST_S
        while True:
            if error is not None:
                if self._writer.outage_s() >= self._writer.deadline_s:
                    self._give_up(batch, error)
                    return
                for member in batch:
                    member.lost_at = member.lost_at or asyncio.get_running_loop().time()
                await self.disconnect()
            left_s = max(self._writer.deadline_s - self._writer.outage_s(), 0.1) if error else self._writer.deadline_s
            try:
                async with asyncio.timeout(left_s):
                    wire = self._wire or await self.connect()
                    assert self._connection is not None
                    with wire.aside():
                        fates = await read_fates(self._connection, batch)
            except Exception as failure:  # noqa: BLE001 until the deadline, whatever keeps the database from answering
                error = failure
                await asyncio.sleep(pause_s * (0.5 + self._writer.random()))
                pause_s = min(2 * pause_s, _RECONNECT_MOST_S)
                continue
            self._conclude(batch, fates, fenced=error is None)
            return

    def _conclude(self, batch: list[Member], fates: list[Answer], *, fenced: bool) -> None:
        for fate in fates:
            member = batch[fate.idx - 1]
            member.is_open = False
            if fate.outcome == "absent" and not fenced:
                self._send_again(member)
            else:
                member.journal.answered(member, fate)

    def _send_again(self, member: Member) -> None:
        # Bounded, for what kills its connection each time: a batch too large for the server's memory.
        lost_s = asyncio.get_running_loop().time() - (member.lost_at or 0)
        if lost_s > self._writer.deadline_s:
            self._give_up([member], ConnectionError(f"the connection was lost again and again in {lost_s:.0f} s"))
        else:
            member.journal.send_again()

    def _give_up(self, batch: list[Member], cause: Exception) -> None:
        error = self._writer.unavailable(cause)
        for member in batch:
            member.is_open = False
            member.journal.give_up(error)

    def _is_down(self) -> bool:
        return self._connection is None or self._connection.closed

    def _cut(self) -> None:
        # A server that never answers: ending the socket turns the wait into a lost connection.
        if self._connection is not None:
            self._connection.cut()

"""The judge of the approval kills finds each fault it is there for: a campaign that finds nothing has looked."""

import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bank_judge import Count
from bank_kills import Kills, ended
from bank_people import ADMINS, Absence
from bank_plot import Payment, Plot, Run
from bank_policy import TERMS

from holdfast.store.hashing import StoredEvent

PLOT = Plot(
    "t",
    "patient",
    together=True,
    payments=[Payment("t-0", "refund", "450.00", "agree", ""), Payment("t-1", "wire", "3000.00", "agree", "")],
    is_cancelled=False,
)


@dataclass
class Judged:
    """A run in order, to be spoilt."""

    kills: Kills
    run: Run
    row: dict[str, Any]
    journal: list[StoredEvent]

    async def faults(self, *, without: str = "") -> str:
        """What is found, where the journal lacks events of this type."""
        judge = self.kills.judge
        judge.count, judge.used = Count(), defaultdict(set)
        judge.onlooker.forget(self.run.id)
        judge.onlooker.look([self.run.id])
        await judge.look(self.run, self.row, [event for event in self.journal if event.type != without])
        return "\n".join(judge.count.wrong)

    @contextmanager
    def rows(self, sql: str) -> Iterator[None]:
        """Another thing in the database, for a while."""
        self.kills.connection.execute("begin")
        self.kills.connection.execute(sql)
        yield
        self.kills.connection.execute("rollback")

    @contextmanager
    def books(self) -> Iterator[None]:
        """Whatever is entered into the bank's books is taken out again."""
        honest = self.kills.folder / "honest"
        shutil.copy(self.kills.folder / "bank", honest)
        yield
        shutil.copy(honest, self.kills.folder / "bank")


async def judged(kills: Kills) -> Judged:
    run = await kills.start(PLOT)
    await kills.end_in_peace()
    [(row, journal)] = ended(kills.connection, [run.id])
    found = Judged(kills, run, row, journal)
    assert await found.faults() == ""
    assert kills.judge.count.effects == 2
    return found


async def test_the_judge_finds_what_is_not_as_it_has_to_be(kills: Kills):
    found = await judged(kills)
    await in_the_books(found, kills)
    await in_the_tasks(found, kills)
    await in_who_agreed(found, kills)


async def in_the_books(found: Judged, kills: Kills):
    bank, run = kills.bank, str(found.run.id)
    of = {payment.tool: payment for payment in bank.payments_of(run)}
    with found.books():
        bank.pay(of["refund"], run=run, attempt=2, pid=0)
        assert "came 2 times, announced 1 times" in await found.faults()
    with found.books():
        bank.pay(replace(of["refund"], amount="9.00"), run=run, attempt=2, pid=0)
        assert "announced as [{'order': 't-0', 'amount': '450.00'}]" in await found.faults()
    with found.books():
        bank.pay(of["wire"], run=run, attempt=2, pid=0)
        assert "t-1 is paid 2 times" in await found.faults()
    with found.books():
        bank.forget(of["refund"])
        assert "the model heard of" in await found.faults()


async def in_the_tasks(found: Judged, kills: Kills):
    with found.rows("update holdfast.approvals set key = 'another'"):
        assert "is used for" in await found.faults()
        assert kills.judge.count.reused == 2
    with found.rows("update holdfast.approvals set voters = '{somebody}'"):
        assert "by the task" in await found.faults()
    with found.rows("delete from holdfast.approval_votes"):
        assert "votes: " in await found.faults()
    with found.rows("delete from holdfast.approvals"):
        assert "lost: rows or events {UUID" in await found.faults()
        assert kills.judge.count.lost == 2
    with found.rows("update holdfast.approvals set state = 'pending'"):
        assert "asked for ever {UUID" in await found.faults()


async def in_who_agreed(found: Judged, kills: Kills):
    honest, before = kills.judge.terms, datetime(2000, 1, 1, tzinfo=found.row["created_at"].tzinfo)
    kills.judge.terms = dict.fromkeys(honest, TERMS["strict"])
    assert "has to" in await found.faults()
    kills.judge.terms = dict.fromkeys(honest, TERMS["closed"])
    assert "is begun though policy denies it" in await found.faults()
    kills.judge.terms = honest
    kills.people.absences.extend(Absence(kills.people.known[name].principal, before) for name in ADMINS)
    assert "had lost the role" in await found.faults()
    kills.people.absences.clear()
    assert "nobody agreed to it" in await found.faults(without="approval_decided")
    assert "are not there any more" in await found.faults(without="run_claimed")

"""The append path: every fact of every run goes through here, and nowhere else.

`JournalWriter` commits for all runs that a process holds, many runs in one statement. `RunJournal` is one
run's end of it: `seal` content, `append` events and wait, or `hold` facts that may ride along.

How one append goes: `run.py` checks and queues it as an *item*; a free lane (`lane.py`) takes, from each run
with something due, all its items as one *member* (`member.py`, where sequence and hash are assigned); the
batch is one call of `holdfast.append` (`statement.py`, `append.sql`); each member's outcome goes back to its
run, which resolves, retries or drops what waited.
"""

from holdfast.store.journal.rows import (
    ApprovalClosed,
    ApprovalRow,
    Finish,
    Park,
    Released,
    Row,
    Spending,
    Tallied,
    TaskRow,
    Use,
)
from holdfast.store.journal.run import RunJournal
from holdfast.store.journal.writer import JournalWriter

__all__ = [
    "ApprovalClosed",
    "ApprovalRow",
    "Finish",
    "JournalWriter",
    "Park",
    "Released",
    "Row",
    "RunJournal",
    "Spending",
    "Tallied",
    "TaskRow",
    "Use",
]

"""What the tables should hold, as plain values.

Time is counted in half hours since the seed began. A `wake_at` of n is a quarter of an hour after the n-th, so that
the milliseconds that really pass decide nothing.
"""

from dataclasses import dataclass, field
from uuid import UUID

FINAL = frozenset({"succeeded", "failed", "cancelled"})
LEASE = 3
"""Half hours that a lease lasts."""


NAMED = ("tool", "model")
"""Scopes of halts that hold back intents by name, and not runs."""


@dataclass
class Run:
    """A row of `runs`, its journal and its inbox."""

    tenant: UUID
    id: UUID
    task: str
    version: str
    priority: int
    session: UUID | None
    head: bytes
    queued_at: int
    state: str = "queued"
    waiting_on: str | None = None
    wake_at: int | None = None
    worker: UUID | None = None
    epoch: int = 0
    seq: int = 1
    inbox: int = 0
    folded: int = 0
    cancelling: bool = False
    claims: int = 0
    rewound: bool = False
    unserved: bool = False
    stale: bool = False
    counts: tuple[int, ...] = (0, 0, 0, 0, 0)
    started: bool = False
    events: list[tuple[int, str, str]] = field(default_factory=list[tuple[int, str, str]])
    blobs: set[str] = field(default_factory=set[str])
    signals: list[tuple[str, str | None]] = field(default_factory=list[tuple[str, str | None]])

    @property
    def ended(self) -> bool:
        """Whether it has a final state."""
        return self.state in FINAL

    def let_go(self, state: str, why: str | None = None) -> None:
        """No worker any more."""
        self.state, self.waiting_on, self.worker = state, why, None


@dataclass
class Halt:
    """A row of `halts`."""

    id: UUID
    tenant: UUID
    scope: str
    key: str
    authority: int
    expires_at: int | None
    lifted_by: str | None = None

    @property
    def is_own(self) -> bool:
        """Whether somebody who halts what is theirs has it for themselves. All of these are one person's."""
        return self.authority == 1 and self.scope != "user"

    def names(self, name: str) -> bool:
        """Whether it holds back what has this name; a model's may be halted with its provider's before it."""
        what, _, part = name.partition(":")
        return what == self.scope and (self.key == part or (what == "model" and self.key.endswith(f":{part}")))

    def concerns(self, run: Run) -> bool:
        """Whether it may hold this run back."""
        if self.scope == "everything":
            return True
        own = {"run": str(run.id), "session": str(run.session), "user": "me", "task": run.task}
        return self.tenant == run.tenant and self.key == own.get(self.scope, self.key)


@dataclass
class Worker:
    """A row of `workers`."""

    id: UUID
    serves: dict[str, list[str]]
    lease_until: int


@dataclass
class Task:
    """A row of `approvals`."""

    tenant: UUID
    id: UUID
    run: UUID
    kind: str
    digest: str
    state: str = "pending"
    by: str | None = None


@dataclass
class Writer:
    """What the holder of a run believes. Writers are kept when they are fenced: those are the zombies."""

    tenant: UUID
    run: UUID
    worker: UUID
    epoch: int
    seq: int
    head: bytes
    folded: int


@dataclass(frozen=True)
class Event:
    """A row of `events`."""

    seq: int
    type: str
    body: str
    hash: bytes


@dataclass(frozen=True)
class Member:
    """One run's part of a batch."""

    tenant: UUID
    run: UUID
    worker: UUID
    epoch: int
    seq: int
    head: bytes
    events: tuple[Event, ...]
    folded: int
    flags: int
    increments: tuple[int, ...]
    blobs: tuple[bytes, ...] = ()
    next: str | None = None
    waiting_on: str | None = None
    wake_at: int | None = None
    unsure: bool = False
    names: tuple[str, ...] | None = None
    tasks: tuple[tuple[UUID, str, str], ...] = ()
    """Human tasks asked: (id, kind, digest)."""

"""What the model of the claim-and-fence protocol consists of: values only. `docs/internals/protocol.md` is its prose.

A journal is a tuple of entries. The chain of hashes makes a head stand for all that is before it, so the model
compares journals where the database compares sequence and head. Each entry carries the grant (the claim) of its
writer: the preimage holds the writer's clock and content, so two writers never make the same hash.

Names that start with `ghost_` are what the model remembers in order to judge; no rule reads them.
"""

from typing import Any, NamedTuple

Entry = tuple[Any, ...]
Journal = tuple[Entry, ...]
Signal = tuple[Any, ...]

NOBODY = -1


class Run(NamedTuple):
    """A row of `runs` with its journal, inbox and human tasks, and what the world has seen of its effects."""

    state: str = "queued"
    worker: int = NOBODY
    epoch: int = 0
    journal: Journal = ()
    signals: tuple[Signal, ...] = ()
    inbox_seq: int = 0
    folded: int = 0
    cancelling: bool = False
    claims: int = 0
    why: str = ""
    tasks: tuple[tuple[str, int, str], ...] = ()
    """Human tasks: (kind, step, state)."""
    ghost_grant: int = NOBODY
    """The grant that may append now, whatever the row says."""
    ghost_grants: int = 0
    ghost_done: tuple[int, ...] = ()
    """How often each step's effect was performed."""
    ghost_permits: tuple[int, ...] = ()
    """How often a person said of each step that its effect was not done."""


class Member(NamedTuple):
    """One run's next entries, as sent: what the fence compares, and what is to change."""

    worker: int
    epoch: int
    expected: Journal
    entries: Journal
    folded: int
    intent: bool = False
    next: str = ""
    why: str = ""
    task: tuple[str, int] | None = None
    ghost_grant: int = NOBODY


class Message(NamedTuple):
    """A member on its way. `orphan`: nobody waits for its answer. `stage` and `seen`: how far its statements are."""

    slot: int
    run: int
    member: Member
    orphan: bool = False
    stage: int = 0
    seen: bool = False


class Hold(NamedTuple):
    """What a worker knows of a run that it believes it holds."""

    worker: int
    epoch: int
    grant: int
    journal: Journal
    base: int
    """Entries that were there when it claimed."""
    folded: int
    phase: str = "idle"
    """idle | waiting (for an answer) | unknown (the reply was lost) | performing | late (fenced, knows an outcome)"""
    member: Member | None = None
    doubted: bool = False
    """The member's reply was lost once, so a `fenced` is read again before it is believed."""
    known: int = -1
    """A step whose effect this worker performed and whose outcome is not committed yet."""
    must_fold: bool = False
    facts_only: bool = False
    blocked: bool = False
    ghost_did: tuple[int, ...] = ()
    """Steps that this grant performed."""


class Worker(NamedTuple):
    """A worker process. After it lost its lease it goes on under a new id."""

    id: int
    up: bool
    holds: tuple[Hold | None, ...]


class World(NamedTuple):
    """Everything. The budgets say how much misfortune is left."""

    runs: tuple[Run, ...]
    workers: tuple[Worker, ...]
    live: frozenset[int]
    """Ids whose lease has not expired."""
    net: frozenset[Message]
    halt: str = "none"
    """none | locked (the halt holds the lock and has not committed) | acknowledged"""
    budget: tuple[int, ...] = ()
    """In the order of `scope.MISFORTUNES`."""


FINAL = frozenset({"succeeded", "failed", "cancelled"})

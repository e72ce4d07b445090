"""What one exploration is about: how many of each, which misfortunes, and which rule is broken on purpose."""

from dataclasses import dataclass, field, replace

from formal.state import NOBODY, Run, Worker, World

MISFORTUNES = ("crash", "expire", "lose", "delay", "release", "wake", "halt", "lift", "lose_claim")
"""A worker dies · a lease of a living worker expires · a reply is lost after the commit · a connection is lost
before the commit, and the statement runs later or never · a hand-over · a wake-up for nothing · a halt · its end ·
the reply to a claim is lost."""


@dataclass(frozen=True, eq=False)
class Scope:
    """A small world to explore whole."""

    name: str
    program: tuple[str, ...]
    """Steps in order: `idempotent`, `once`; with `?` at the end, a person must approve first."""
    workers: int = 2
    runs: int = 1
    budget: dict[str, int] = field(default_factory=dict[str, int])
    at_most: int = 3
    """Misfortunes in all. The long campaign allows more."""
    signals: tuple[str, ...] = ()
    """What others may send, each once: `message`, `cancel`."""
    merge: bool = False
    """Whether an outcome may wait for the next intent and commit with it."""
    staged: bool = False
    """Whether the statements inside an append are explored one by one."""
    quarantine_at: int = 99
    broken: str = ""

    def allowing(self, at_most: int) -> "Scope":
        """The same with more misfortunes in all."""
        return replace(self, at_most=at_most)

    def without(self, rule: str) -> "Scope":
        """The same with one rule broken."""
        return replace(self, broken=rule)

    @property
    def start_budget(self) -> tuple[int, ...]:
        """Of each misfortune, how often it may happen."""
        return tuple(self.budget.get(name, 0) for name in MISFORTUNES)

    def start(self) -> World:
        """The world in which the exploration begins: every run has been accepted."""
        zeros = (0,) * len(self.program)
        return World(
            runs=(Run(journal=(("accepted",),), ghost_done=zeros, ghost_permits=zeros),) * self.runs,
            workers=tuple(Worker(slot, True, (None,) * self.runs) for slot in range(self.workers)),
            live=frozenset(range(self.workers)),
            net=frozenset(),
            budget=self.start_budget,
        )


def nobody(run: Run) -> Run:
    """The run without a holder."""
    return run._replace(worker=NOBODY, ghost_grant=NOBODY)


FENCE = Scope(
    "fence: crash, expiry, hand-over, lost replies",
    ("idempotent",),
    budget={"crash": 1, "expire": 1, "lose": 1, "delay": 1, "release": 1},
)
CLAIMS = Scope(
    "claims: two runs, three workers",
    (),
    workers=3,
    runs=2,
    budget={"crash": 1, "expire": 1, "delay": 1, "lose_claim": 1},
    at_most=2,
)
INBOX = Scope(
    "inbox: signals against parking and finishing",
    ("idempotent?",),
    budget={"expire": 1, "lose": 1, "wake": 1},
    at_most=1,
    signals=("message",),
)
CANCEL = Scope(
    "cancel: intents refused, facts kept",
    ("idempotent", "once"),
    budget={"crash": 1, "expire": 1, "delay": 1},
    at_most=1,
    signals=("cancel",),
    merge=True,
)
HALT = Scope(
    "halt: lock, snapshot, intent",
    ("idempotent", "idempotent"),
    budget={"halt": 1, "lift": 1, "delay": 1},
    merge=True,
    staged=True,
)
DOUBT = Scope(
    "doubt: a once effect, a zombie, a late outcome, a person",
    ("once",),
    budget={"crash": 1, "expire": 1, "delay": 1},
)
SLOW = Scope(
    "slow: the statements of an append one by one",
    ("idempotent",),
    budget={"expire": 1, "delay": 1, "release": 1},
    at_most=2,
    staged=True,
)
QUARANTINE = Scope(
    "quarantine: a run that kills its workers",
    ("idempotent",),
    budget={"crash": 3, "release": 1},
    quarantine_at=3,
)
ALL = (FENCE, CLAIMS, INBOX, CANCEL, HALT, DOUBT, SLOW, QUARANTINE)
LARGE = (
    FENCE.allowing(5),
    CLAIMS.allowing(4),
    INBOX.allowing(3),
    CANCEL.allowing(3),
    replace(DOUBT, budget={"crash": 1, "expire": 2, "delay": 1, "lose": 1}, at_most=4),
    SLOW.allowing(3),
    replace(
        FENCE,
        name="two steps: fence, with a once effect",
        program=("idempotent", "once"),
        at_most=4,
    ),
)
"""For the long campaign: minutes, and some gigabytes."""

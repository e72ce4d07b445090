"""A run as a whole: how it begins, who holds it, what it is told, how it waits and ends."""

from __future__ import annotations

from dataclasses import field
from typing import ClassVar
from uuid import UUID

from holdfast.domain.events.base import Event, Messages, Usage, fact
from holdfast.domain.ids import Ref
from holdfast.domain.state import WaitingOn


@fact
class RunAccepted(Event):
    """The run was asked for and is queued. Always the first event."""

    type: ClassVar[str] = "run_accepted"
    task: str
    task_version: str
    subject: str
    principal: str
    """Whom it is for: it does what they may."""
    input: Ref
    requested_by: str | None = None
    """Who asked for it on their behalf, if another."""
    session: UUID | None = None
    history_of: UUID | None = None
    """The earlier run of the session whose messages this one starts from."""
    parent: UUID | None = None
    priority: int = 0
    labels: dict[str, str] = field(default_factory=dict[str, str])
    limits: dict[str, int] = field(default_factory=dict[str, int])
    """Ceilings that came with the request: they apply beside the task's, and the lowest rules."""


@fact
class RunClaimed(Event):
    """A worker took the run: the first event of each epoch."""

    type: ClassVar[str] = "run_claimed"
    epoch: int
    worker: UUID
    holdfast: str
    pydantic_ai: str
    rewound: bool = False
    """The database was rewound by a failover since the run was last held: what is unfinished is in doubt."""


@fact
class Withheld:
    """A message of the session that the run was not given as it was, since people had invalidated it."""

    message: str
    """`<run>/<digest>`."""
    stand_in: Ref | None = None
    """What the run was given in its place, where the rest would not have been a conversation without."""
    invalidation: UUID
    reason: Ref


@fact
class HistoryEntered(Event):
    """The messages of the session entered the run: from here on they are what they were at this moment."""

    type: ClassVar[str] = "history_entered"
    of: UUID
    """The earlier run whose messages they are."""
    count: int = 0
    """How many of them were withheld."""
    withheld: list[Withheld] = field(default_factory=list[Withheld])
    more: Ref | None = None
    """Where they are too many for an event: content that holds them as a JSON array, instead of `withheld`."""
    whole: Messages = field(default_factory=Messages)
    """All messages before any was withheld; empty where none was."""


@fact
class MessageReceived(Event):
    """Somebody sent the running agent a message."""

    type: ClassVar[str] = "message_received"
    message: Ref
    by: str


@fact
class CancelRequested(Event):
    """Somebody asked to stop."""

    type: ClassVar[str] = "cancel_requested"
    by: str
    reason: Ref | None = None


@fact
class Noted(Event):
    """A value an agent's own code pinned so that replay sees it again: a durable operation, an MCP tool list."""

    type: ClassVar[str] = "noted"
    scope: str
    key: str
    value: Ref


@fact
class RunParked(Event):
    """The run waits, as rows only."""

    type: ClassVar[str] = "run_parked"
    waiting_on: WaitingOn
    why: str = ""
    wake_at: str | None = None
    """When it is taken up again by itself, by the database's clock."""
    budget: str = ""
    """Which budget has no room."""
    owner: str = ""
    """Whose window of it that is."""


@fact
class RunDiverged(Event):
    """The code no longer does what the journal says it did: both sides, and where."""

    type: ClassVar[str] = "run_diverged"
    place: str
    recorded: Ref
    found: Ref


@fact
class RunSucceeded(Event):
    """The run ended with output inside its contract."""

    type: ClassVar[str] = "run_succeeded"
    output: Ref
    history: Messages
    usage: Usage
    by: str = ""
    """Who gave the output, where it was not the agent."""
    unanswered: list[str] = field(default_factory=list[str])
    """Models that were asked and of which nothing came back: each request may be on the bill."""


@fact
class RunFailed(Event):
    """The run ended without output: the cause, and the place where it arose."""

    type: ClassVar[str] = "run_failed"
    error: str
    message: Ref
    place: str = ""
    usage: Usage | None = None
    unanswered: list[str] = field(default_factory=list[str])
    """Models that were asked and of which nothing came back: each request may be on the bill."""


@fact
class RunCancelled(Event):
    """The run was stopped. Effects in doubt outlive it as human tasks."""

    type: ClassVar[str] = "run_cancelled"
    by: str = ""
    usage: Usage | None = None
    unanswered: list[str] = field(default_factory=list[str])
    """Models that were asked and of which nothing came back: each request may be on the bill."""

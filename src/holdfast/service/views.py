"""What use cases answer with. These are the shapes of the HTTP interface and of `--json`."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from holdfast.domain.state import RunState, WaitingOn
from holdfast.service.approval_shapes import ApprovalView
from holdfast.service.base_views import ContentView, View
from holdfast.service.budget_views import BudgetWaitView
from holdfast.service.cost_views import CostView


class ErrorView(View):
    """Why a run failed."""

    error: str
    """The kind of error."""
    message: ContentView
    place: str = ""
    """Where in the run it arose."""


class UsageView(View):
    """What a run used so far."""

    steps: int
    model_requests: int
    tool_calls: int
    input_tokens: int
    output_tokens: int


class RunView(View):
    """One run."""

    id: UUID
    task: str
    task_version: str
    state: RunState
    waiting_on: WaitingOn | None = None
    """What a parked run waits for."""
    why: str | None = None
    """The same in words, where the run said so itself. None in lists."""
    budget: BudgetWaitView | None = None
    """Where it waits for a budget: which, and how that stands now. None in lists."""
    wake_at: datetime | None = None
    session: UUID | None = None
    principal: str
    """Whom it is for: it does what they may."""
    requested_by: str | None = None
    """Who asked for it on their behalf, if another."""
    parent: UUID | None = None
    priority: int = 0
    labels: dict[str, str] | None = None
    """None in lists."""
    cancelling: bool = False
    """Cancellation was asked for and the run has not ended yet."""
    seq: int
    """The last event of its journal."""
    usage: UsageView
    cost: CostView | None = None
    """None in lists."""
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    updated_at: datetime
    output: ContentView | None = None
    """Of a run that succeeded. None in lists."""
    error: ErrorView | None = None
    """Of a run that failed. None in lists."""


class RunPage(View):
    """Some runs, newest first."""

    items: list[RunView]
    next: str | None = None
    """The cursor of the page after this one; None on the last."""


class PathView(View):
    """To whom a task's runs go when they cannot go on by themselves."""

    to: str
    on: list[str]
    """`failure`, `limit`, `loop`, `doubt`."""
    expires_s: float | None = None
    then: list[tuple[float, str]] = Field(default_factory=list[tuple[float, str]])
    """Whom they go to after so many seconds."""


class TaskView(View):
    """A task that runs can be started of, and its boundary."""

    name: str
    version: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None = None
    """None where it cannot be said beforehand."""
    roles: list[str] = Field(default_factory=list[str])
    """Whom it is for; empty: whoever may start runs."""
    limits: dict[str, int] = Field(default_factory=dict[str, int])
    """The most that a run may do. Times are in seconds, amounts in ten-thousandths."""
    on_limit: Literal["park", "fail"] = "park"
    loops: dict[str, int] = Field(default_factory=dict[str, int])
    """How often a run may repeat itself, by kind, before its model is told and it stops."""
    repeats: list[str] = Field(default_factory=list[str])
    """Tools that may be called again and again."""
    terminal: list[str] = Field(default_factory=list[str])
    """Errors after which a run fails at once."""
    checks_success: bool = False
    """Whether the task has a say in what counts as success, beyond the form of the output."""
    escalation: PathView | None = None
    """Null: a run that fails fails; an administrator may raise a limit."""


class EventView(View):
    """One fact in a run's journal."""

    id: str
    """The place in the stream behind this event: send it as `Last-Event-ID` or `after`."""
    seq: int
    type: str
    at: datetime
    data: dict[str, Any]
    """The event's own fields. Content is named by digest here and shown in `content`."""
    content: dict[str, ContentView] = Field(default_factory=dict[str, ContentView])
    """Content by the field of `data` that names it."""


class EventPage(View):
    """Some durable events, in order."""

    items: list[EventView]
    next: str
    """Send it as `after` to get the events behind these."""
    ended: bool
    """Whether the last of these is the run's last."""


class DeltaView(View):
    """Text of a model response as it is generated, or as it was."""

    id: str
    seq: int
    """The event that asked for the response."""
    attempt: int
    part: int
    kind: Literal["text", "thinking", "tool_call"]
    start: int
    """Where `text` begins in the part, in characters."""
    text: str


class VoidView(View):
    """The text of this attempt that was shown is not part of the run: the attempt was given up."""

    id: str
    seq: int
    attempt: int


StreamItem = EventView | DeltaView | VoidView


class LimitView(View):
    """A limit of a run's, and where the run stands. Times are in seconds, amounts in ten-thousandths."""

    name: str
    most: int
    stood: int | None
    """None where that is not counted from the journal: times, and what is bounded for each step by itself."""
    set_by: Literal["run", "tenant"] = "run"
    """`run`: its task, its request, or who raised it. `tenant`: the tenant's is lower. Of a run that has not ended."""


StepKind = Literal[
    "accepted",
    "model",
    "tool",
    "output",
    "approval",
    "question",
    "denied",
    "loop",
    "in_doubt",
    "escalation",
    "message",
    "wait",
    "change",
    "end",
]


class StepView(View):
    """One thing that happened in a run, as a person would tell it."""

    seq: int
    kind: StepKind
    scope: str = ""
    step: int | None = None
    title: str
    outcome: str = ""
    """Empty while it is going on."""
    at: datetime
    ended_at: datetime | None = None
    duration_ms: int | None = None
    attempts: int = 1
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal | None = None
    """What it cost, as far as that is known. None where it cost nothing that is known of."""
    unpriced: list[str] = Field(default_factory=list[str])
    """What of it has no known price."""
    priced_by: str = ""
    """Where the price stands."""
    why: str = ""
    """What it waited for, or why it ended so."""
    content: dict[str, ContentView] = Field(default_factory=dict[str, ContentView])


class StoryView(View):
    """A run and every step of it."""

    run: RunView
    asked_by: str
    """The name of the principal it runs for."""
    steps: list[StepView]
    waiting: list[ApprovalView]
    """What people have to decide for it to go on."""
    limits: list[LimitView] = Field(default_factory=list[LimitView])
    """What it may do at most, and has done."""

"""The closed union of facts that a run's journal holds.

An event's body holds references, never personal content: a `Ref` names content that is stored apart,
encrypted under its subject's key, so that erasing the key erases the content while the chain of hashes
over the bodies still verifies. Names of tasks, tools and models, call ids, sizes, times and counts are
not content.

`stored.py` is the only way between an event and its stored form.

Message lists are written as deltas against the list before them in the same scope: the first `keep`
messages stay, `add` follows. A run of a hundred requests therefore names each message once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias, TypeVar, dataclass_transform
from uuid import UUID

from holdfast.domain.ids import Ref
from holdfast.domain.recovery import Recovery
from holdfast.domain.state import WaitingOn

T = TypeVar("T")


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
def fact(cls: type[T]) -> type[T]:
    """A class of values that do not change. The type checker holds to that, the interpreter is not asked to.

    Four are made and written for each step: frozen, each takes twice as long to make, and with slots orjson
    takes three times as long to write it.
    """
    return dataclass(kw_only=True)(cls)


@fact
class Usage:
    """Tokens of one model request, or of all that a tool call did inside. Zero where not reported."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    requests: int = 0
    tool_calls: int = 0
    details: dict[str, int] = field(default_factory=dict[str, int])


@fact
class Messages:
    """A message list as a delta: keep the first `keep` of the list before it, then add these.

    A reference into another run, as session history has it, is written `<run id>/<digest>`.
    """

    keep: int = 0
    add: list[str] = field(default_factory=list[str])
    more: Ref | None = None
    """Where the list is too long for an event: content that holds it as a JSON array, instead of `add`."""


@fact
class Event:
    """What every event has in common."""

    type: ClassVar[str]
    version: ClassVar[int] = 1


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
class ModelRequested(Event):
    """Intent: a request is about to be sent to a model."""

    type: ClassVar[str] = "model_requested"
    scope: str
    """Empty for the run's own agent, the outer call's key for a sub-agent."""
    step: int
    attempt: int
    model: str
    messages: Messages
    instructions: Ref | None = None
    tools: Ref | None = None
    output: str = ""
    """Digest of the output schema."""
    settings: Ref | None = None
    streamed: bool = False


@fact
class FailedAttempt:
    """A model that was tried within a request, and why another had to answer."""

    model: str
    provider: str = ""
    outcome: Literal["error", "rejected"]
    error: str = ""
    """The type of the error. Its message is content: of the response, or of the failure."""
    latency_ms: int = 0
    usage: Usage | None = None
    """Of an answer that was rejected: it was paid for."""


@fact
class ModelResponded(Event):
    """A model request was answered, and what the agent goes on with."""

    type: ClassVar[str] = "model_responded"
    scope: str
    step: int
    attempt: int
    response: Ref
    history: Messages
    """The run's message history, response excluded, as hooks left it."""
    model: str
    provider: str = ""
    finish_reason: str = ""
    usage: Usage
    latency_ms: int
    calls: list[str] = field(default_factory=list[str])
    """Ids of the tool calls in the response, in order."""
    retry: Ref | None = None
    """A hook or validator rejected the response with this message."""
    raw: Ref | None = None
    """What the model said, where hooks changed it."""
    heard: int = 0
    """Journal position of the last message from people that the history holds."""
    failed: list[FailedAttempt] = field(default_factory=list[FailedAttempt])
    """Models that were tried before the one that answered, as a fallback model does."""


@fact
class ModelFailed(Event):
    """A model request failed for good at this step, or until `retry_at`."""

    type: ClassVar[str] = "model_failed"
    scope: str
    step: int
    attempt: int
    error: str
    message: Ref
    status: int | None = None
    latency_ms: int = 0
    will_retry: bool = False
    failed: list[FailedAttempt] = field(default_factory=list[FailedAttempt])
    """Each model that was tried, where it was a fallback model that failed."""


@fact
class ToolStarted(Event):
    """Intent: a tool is about to be called with exactly these arguments."""

    type: ClassVar[str] = "tool_started"
    scope: str
    step: int
    call: str
    tool: str
    recovery: Recovery
    key: str
    """The idempotency key, the same at every attempt."""
    args: Ref
    schema: str
    attempt: int = 1
    approved: bool = False
    """Whether a person approved this very call."""


Outcome: TypeAlias = Literal["value", "retry", "failed", "error", "deferred"]
"""How a call ended: by a value, by asking the model to try again, by telling it of a failure, by an error that fails
the run, or by waiting for somebody."""


@fact
class ToolFinished(Event):
    """A tool call came to an end, and how."""

    type: ClassVar[str] = "tool_finished"
    scope: str
    step: int
    call: str
    tool: str
    outcome: Outcome
    result: Ref | None = None
    model_args: Ref
    """The validated arguments before any hook changed them: replay compares these."""
    schema: str = ""
    approved: bool = False
    usage: Usage | None = None
    """What nested runs inside the call used."""
    latency_ms: int = 0
    resolved_by: str | None = None
    """Who or what said how an effect in doubt ended."""
    counted: bool | None = None
    """Whether the framework counted the call, where that is not what it does for such an outcome."""
    enqueued: Ref | None = None
    """Messages that the call enqueued for the conversation."""
    emitted: Ref | None = None
    """Events that the call emitted into the run's event stream, in order."""


@fact
class OutputProcessed(Event):
    """An output function or validator accepted or rejected the model's answer."""

    type: ClassVar[str] = "output_processed"
    scope: str
    step: int
    call: str
    outcome: Literal["value", "retry", "error"]
    result: Ref | None = None
    attempt: int = 1
    enqueued: Ref | None = None
    """Messages that were enqueued meanwhile, and events that were emitted: as of a tool call."""
    emitted: Ref | None = None


@fact
class OutputStarted(Event):
    """Intent: an output function is about to be called."""

    type: ClassVar[str] = "output_started"
    scope: str
    step: int
    call: str
    name: str
    recovery: Recovery
    key: str
    args: Ref
    attempt: int = 1


@fact
class ApprovalAsked(Event):
    """A tool call waits for a person."""

    type: ClassVar[str] = "approval_asked"
    approval: UUID
    scope: str
    step: int
    call: str
    tool: str
    args: Ref
    digest: str
    metadata: Ref | None = None


@fact
class ApprovalDecided(Event):
    """A person decided."""

    type: ClassVar[str] = "approval_decided"
    approval: UUID
    call: str
    verdict: Literal["approved", "rejected"]
    by: str
    args: Ref | None = None
    """The arguments as edited, where they were."""
    reason: Ref | None = None


@fact
class EffectInDoubt(Event):
    """An effect started, is not known to have finished, and may not be run again unasked."""

    type: ClassVar[str] = "effect_in_doubt"
    approval: UUID
    """The human task that asks."""
    scope: str
    step: int
    call: str
    tool: str
    key: str
    why: str
    approved: bool = False


@fact
class EffectResolved(Event):
    """What became of an effect in doubt, and who or what said so."""

    type: ClassVar[str] = "effect_resolved"
    approval: UUID | None = None
    call: str
    key: str
    resolution: Literal["done", "not_done", "fail_run"]
    by: str
    result: Ref | None = None
    outcome: Outcome | None = None
    """How it ended, where it was a worker that said so, late. What follows then is as in `ToolFinished`."""
    usage: Usage | None = None
    counted: bool | None = None
    enqueued: Ref | None = None
    emitted: Ref | None = None
    intent: int | None = None
    """Journal position of the attempt that is spoken of, where nothing is said of any other."""


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
    wake_at: str | None = None
    why: str = ""


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


@fact
class RunFailed(Event):
    """The run ended without output: the cause, and the place where it arose."""

    type: ClassVar[str] = "run_failed"
    error: str
    message: Ref
    place: str = ""
    usage: Usage | None = None


@fact
class RunCancelled(Event):
    """The run was stopped. Effects in doubt outlive it as human tasks."""

    type: ClassVar[str] = "run_cancelled"
    by: str = ""
    usage: Usage | None = None


AnyEvent: TypeAlias = (
    RunAccepted
    | RunClaimed
    | HistoryEntered
    | ModelRequested
    | ModelResponded
    | ModelFailed
    | ToolStarted
    | ToolFinished
    | OutputStarted
    | OutputProcessed
    | ApprovalAsked
    | ApprovalDecided
    | EffectInDoubt
    | EffectResolved
    | MessageReceived
    | CancelRequested
    | Noted
    | RunParked
    | RunDiverged
    | RunSucceeded
    | RunFailed
    | RunCancelled
)

EVENT_TYPES: dict[str, type[AnyEvent]] = {
    cls.type: cls
    for cls in (
        RunAccepted,
        RunClaimed,
        HistoryEntered,
        ModelRequested,
        ModelResponded,
        ModelFailed,
        ToolStarted,
        ToolFinished,
        OutputStarted,
        OutputProcessed,
        ApprovalAsked,
        ApprovalDecided,
        EffectInDoubt,
        EffectResolved,
        MessageReceived,
        CancelRequested,
        Noted,
        RunParked,
        RunDiverged,
        RunSucceeded,
        RunFailed,
        RunCancelled,
    )
}

INTENTS: frozenset[str] = frozenset({ModelRequested.type, ToolStarted.type, OutputStarted.type})
"""Types that announce something not yet done. Halts, cancellation and limits may refuse these, and only these."""

OUTCOMES: frozenset[str] = frozenset(
    {ModelResponded.type, ToolFinished.type, OutputProcessed.type, ApprovalDecided.type, EffectResolved.type}
)
"""Types that show progress: a run that only ever starts and dies has none."""

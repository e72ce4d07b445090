"""Calls of tools and output functions, and what is known of their effects."""

from __future__ import annotations

from dataclasses import field
from typing import ClassVar, Literal, TypeAlias
from uuid import UUID

from holdfast.domain.events.base import Event, Usage, fact
from holdfast.domain.events.costs import Cost
from holdfast.domain.ids import Ref
from holdfast.domain.recovery import Recovery


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
    policy: str = ""
    """Digest of the policy that let it pass."""
    seen: dict[str, int | str] = field(default_factory=dict[str, int | str])
    """What statements of it looked at beside the arguments: the hour, how far the run is, and the like."""
    facts: Ref | None = None
    """What they looked at of sums with this call in them, and of what functions of the tool say of the arguments."""
    system: str = ""
    """What it writes to, where the tool says so."""
    amounts: dict[str, int] = field(default_factory=dict[str, int])
    """What of it adds up towards the task's limits, in ten-thousandths."""
    bound_usd_micros: int = 0
    """What it says that it costs."""
    reserved: bool = False
    """Whether budgets hold that until it is settled."""


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
    cost: Cost | None = None
    """Of what the tool declared or charged, and of models that it asked past the journal; None: of nothing known."""


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
    bound_usd_micros: int = 0
    """What it says that it costs."""
    reserved: bool = False


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
    name: str = ""
    """The output function, where it cost something."""
    cost: Cost | None = None


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
    cost: Cost | None = None
    intent: int | None = None
    """Journal position of the attempt that is spoken of, where nothing is said of any other."""

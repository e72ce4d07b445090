"""Requests to models."""

from __future__ import annotations

from dataclasses import field
from typing import ClassVar, Literal

from holdfast.domain.events.base import Event, Messages, Usage, fact
from holdfast.domain.events.costs import Cost
from holdfast.domain.ids import Ref


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
    bound: Usage | None = None
    """The most that it can use, where the run's tokens or money are limited or its tenant has budgets."""
    bound_usd_micros: int = 0
    """The most that it can cost, where its bound is known."""
    reserved: bool = False
    """Whether budgets hold its bound until it is settled."""
    instead_of: str = ""
    """The agent's own model, where a cheaper one is asked for a budget's sake."""
    switched: str = ""
    """Why it is."""
    unanswered: int = 0
    """Earlier attempts at the request of which nothing came back: they may be on the bill."""


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
    cost: Cost | None = None


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
    cost: Cost | None = None
    """Of what was asked of the model that answered; None where no model was asked, or where costs were not kept yet."""


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
    usage: Usage | None = None
    """Of an answer that was of no use, and was paid for: one that a limit of the run's cut short."""
    model: str = ""
    cost: Cost | None = None
    """Of what had been answered by then, or may have been; None where the provider refused, or never saw it."""

"""One tool call: its identity, its declaration, and the attempt at it that is under way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic_ai.messages import ToolCallPart

from holdfast.domain.events import Cost, fact
from holdfast.domain.ids import Ref
from holdfast.domain.verdict import Verdict
from holdfast.effects.declare import Declaration
from holdfast.store.tallies import Seen, Sum


@dataclass(slots=True)
class Attempt:
    """One entering of a tool's body, filled in when its intent is committed."""

    number: int = 1
    args: Ref | None = None
    announced: bytes = b""
    """The arguments that the intent names, as bytes."""
    again: bool = False
    """Whether an attempt before this one may have had its effect."""
    undone: bool = False
    """Whether a person said that the attempt before this one did not happen."""
    verdict: Verdict | None = None
    """Of the policy that let it pass."""
    sums: Sequence[tuple[Sum, Seen]] = ()
    """What it was decided on: sums, and what they were."""
    added: Mapping[str, int] = field(default_factory=dict[str, int])
    """What it adds to them."""
    unbegun: bool = False
    """Whether it is certain that nothing of the user's was entered, up to the thread of a plain function."""
    entered: float = 0.0
    """When its body was entered, in seconds of the monotonic clock; 0: it was not."""
    in_thread: bool = False
    """Whether its body is a plain function that was entered in a thread: nothing can stop it."""
    counted: bool = False
    """Whether the framework has counted the call: its toolset returned."""
    charges: list[int] = field(default_factory=list[int])
    """What it has cost so far, in millionths of a dollar, as it said itself."""
    cut_off: int = 0
    """How many attempts before it were cut off: what they cost is not known."""
    cost: Callable[[], Cost | None] = lambda: None
    """What the call has cost so far, in all."""
    enqueued: Callable[[], Ref | None] = lambda: None
    """What the call has enqueued for the conversation so far."""
    emitted: list[bytes | None] = field(default_factory=list[bytes | None])
    """What the call has emitted into the event stream so far; None stands for what has no stored form."""


class CallNames:
    """Names of the calls of one scope: their ids, made distinct where a response uses one more than once."""

    def __init__(self) -> None:
        self._step = 0
        self._seen: dict[tuple[str, bool], int] = {}

    def name(self, step: int, call: str, *, approved: bool) -> str:
        """The name of the call that comes now."""
        # An output call may lie between two calls of one id: two effects, in the order in which they come.
        if self._step != step:
            self._step, self._seen = step, {}
        count = self._seen[call, approved] = self._seen.get((call, approved), 0) + 1
        return call if count == 1 else f"{call}#{count}"


@fact
class ToolCall:
    """One tool call, and how to recognise and recover it."""

    scope: str
    step: int
    call: str
    tool: str
    schema: str
    """Digest of the tool's schema as this code has it."""
    args: bytes
    """The validated arguments, before any hook."""
    given: dict[str, Any] | None = None
    """The same, as the framework handed them over."""
    declaration: Declaration
    returns: Any = Any
    approved: bool = False
    key: str
    attempt: Attempt
    part: ToolCallPart | None = None
    """The call as the model wrote it."""

    @property
    def inner(self) -> str:
        """What the scopes of runs inside this call begin with."""
        return f"{self.scope}{self.step}:{self.call}>"

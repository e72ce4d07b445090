"""What the model answers in one turn, and what goes wrong while it does.

These are plain values: a script is made of them, nothing here talks to a client.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from holdfast.testing.model_server.errors import ScriptError

Malformed: TypeAlias = Literal["json", "shape"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One tool call of an answer.

    `arguments` is a mapping, or a string that is sent as it is (so it may be broken JSON).
    `call_id` is derived from the conversation and the turn unless given.
    """

    tool: str
    arguments: dict[str, Any] | str = field(default_factory=dict[str, Any])
    call_id: str | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """A structured answer, sent through whichever output tool or response format the request offers."""

    value: Any
    tool: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of an answer, instead of those derived from its size."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0


@dataclass(frozen=True, slots=True)
class RawUsage:
    """What an answer has in place of its usage, sent as it is: None says nothing, and it may be nonsense."""

    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that goes wrong for the first `times` requests of a turn (`None`: for every request).

    With `status`, `hang` or `malformed` the answer is replaced. The others let the answer begin and spoil
    it: `delay_s` before the first byte, `delay_per_token_s` between pieces, `hang_after` and `cut_after` once
    that many pieces were sent (an unstreamed answer is cut in its middle).
    """

    status: int | None = None
    retry_after: float | None = None
    message: str | None = None
    code: str | None = None
    hang: bool = False
    malformed: Malformed | None = None
    delay_s: float = 0.0
    delay_per_token_s: float = 0.0
    hang_after: int | None = None
    cut_after: int | None = None
    times: int | None = 1

    def __post_init__(self) -> None:
        if self.status is not None and not 400 <= self.status <= 599:  # noqa: PLR2004 - the HTTP error range
            raise ScriptError(f"fault status {self.status} is not an HTTP error: use 400 to 599")
        if self.times is not None and self.times < 1:
            raise ScriptError(f"fault times {self.times} never happens: use 1 or more, or None for always")
        if sum((self.status is not None, self.hang, self.malformed is not None)) > 1:
            raise ScriptError("a fault has one of status, hang and malformed: list several faults instead")
        if self.retry_after is not None and self.status is None:
            raise ScriptError("retry_after belongs to an error answer: give the fault a status, such as 429")
        if not self.kind:
            raise ScriptError("this fault does nothing: give it a status, hang, malformed, a delay or a cut")

    @property
    def replaces_answer(self) -> bool:
        """Whether no part of the answer is sent."""
        return self.status is not None or self.hang or self.malformed is not None

    @property
    def kind(self) -> str:
        """The fault in a word or two, for the request log: `status 429`, `hang`, `cut_after 2`, `slow`."""
        if self.status is not None:
            return f"status {self.status}"
        if self.hang:
            return "hang"
        if self.malformed:
            return f"malformed {self.malformed}"
        if self.cut_after is not None:
            return f"cut_after {self.cut_after}"
        if self.hang_after is not None:
            return f"hang_after {self.hang_after}"
        return "slow" if self.delay_s or self.delay_per_token_s else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One answer of the model: text, tool calls or a structured output, and the conditions it is given under.

    The first requests of a turn meet its `faults`, one after the other, each as often as it says; then the
    answer is given. A turn with faults and no answer never recovers: its last fault goes on.
    `gate` names a gate that must be released first; with `gate_after`, a streamed answer waits there once
    that many pieces were sent. With `cut_short` the answer says that it ended because it was as long as it may be.
    """

    text: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    output: Output | None = None
    faults: tuple[Fault, ...] = ()
    gate: str | None = None
    gate_after: int = 0
    delay_s: float = 0.0
    delay_per_token_s: float = 0.0
    usage: Usage | RawUsage | None = None
    cut_short: bool = False

    def __post_init__(self) -> None:
        if self.output is not None and (self.tool_calls or self.text is not None):
            raise ScriptError("output stands alone: give text and tool calls turns of their own")
        if not self.answers and not self.faults:
            raise ScriptError("the turn neither answers nor fails: give it say, call, calls, output or fault")
        if self.gate_after and self.gate is None:
            raise ScriptError("gate_after says when to wait, but no gate is named: add gate")

    @property
    def answers(self) -> bool:
        """Whether there is anything to say once the faults are over."""
        return self.text is not None or bool(self.tool_calls) or self.output is not None

    def fault_for(self, attempt: int) -> Fault | None:
        """The fault that request number `attempt` (from 1) of this turn meets, if any."""
        spent = 0
        for each in self.faults:
            if each.times is None or attempt <= spent + each.times:
                return each
            spent += each.times
        return self.faults[-1] if self.faults and not self.answers else None

"""What policy and people say about calls."""

from __future__ import annotations

from dataclasses import field
from typing import ClassVar, Literal, TypeAlias
from uuid import UUID

from holdfast.domain.events.base import Event, fact
from holdfast.domain.ids import Ref
from holdfast.domain.loops import LoopKind
from holdfast.domain.recovery import Recovery


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
    """As the model gave them: what an approver may edit."""
    digest: str
    metadata: Ref | None = None
    received: Ref | None = None
    """As the tool would receive them, where hooks of the agent's changed them."""
    ask: str = ""
    """Who has to agree, as `Ask` is written; empty: whoever may decide."""
    policy: str = ""
    """Digest of the policy that asks; empty where the tool itself does."""
    rules: list[str] = field(default_factory=list[str])
    """The statements of it that ask."""
    why: Ref | None = None
    """The reason that these give."""
    round: int = 1
    """How often this call has been asked about: the policy, or the arguments, may have changed since."""
    sources: Ref | None = None
    """Labels of each argument, by name: where it came from, as far as is known. None in journals of before."""
    seen: dict[str, int | str] = field(default_factory=dict[str, int | str])
    """What the policy looked at beside the arguments: the hour, how far the run is, and the like."""
    facts: Ref | None = None
    """What it looked at of sums with this call in them, and of what functions of the tool say of the arguments."""


@fact
class Edited:
    """Arguments as somebody changed them before the call was decided on."""

    args: str
    """Their keyed digest, as they were handed in."""
    by: str


@fact
class ApprovalDecided(Event):
    """A person decided."""

    type: ClassVar[str] = "approval_decided"
    approval: UUID
    call: str
    verdict: Literal["approved", "rejected"]
    by: str
    """Whose word settled it."""
    voters: list[str] = field(default_factory=list[str])
    """All who agreed, where several had to."""
    ask: str = ""
    """Who had to agree, in the end."""
    args: Ref | None = None
    """The arguments as edited, where they were."""
    edits: list[Edited] = field(default_factory=list[Edited])
    digest: str = ""
    """What the decision is bound to: what was asked, through all edits."""
    reason: Ref | None = None
    on_expiry: Literal["reject", "fail_run"] | None = None
    """What it comes to that nobody answered in time; None where somebody did."""


QuestionKind: TypeAlias = Literal["question", "external"]
"""Who is to answer what a call waits for: the person behind the run, or whatever does the work outside."""


@fact
class QuestionAsked(Event):
    """A tool call has no result of its own: it waits for one from outside."""

    type: ClassVar[str] = "question_asked"
    approval: UUID
    """The human task."""
    scope: str
    step: int
    call: str
    approved: bool = False
    """Whether it is the execution that people had approved which asks."""
    tool: str
    schema: str
    kind: QuestionKind
    args: Ref
    """As the model gave them, or as people edited them when they approved the call."""
    digest: str
    metadata: Ref | None = None
    """What the tool says of it."""
    ask: str = ""
    """Who is to answer, as `Ask` is written; empty: whoever may decide."""
    sources: Ref | None = None
    """Labels of each argument, by name."""


@fact
class CallHandedOut(QuestionAsked):
    """Intent: a call that is never made here is put before whoever does it, which is its dispatch."""

    type: ClassVar[str] = "call_handed_out"
    recovery: Recovery
    """What its tool is declared to be."""
    policy: str = ""
    """Digest of the policy that let it pass; empty where there is none."""
    seen: dict[str, int | str] = field(default_factory=dict[str, int | str])
    """As `ToolStarted` has it."""
    facts: Ref | None = None
    system: str = ""
    """To what it writes, where that is declared."""
    amounts: dict[str, int] = field(default_factory=dict[str, int])
    """What it adds to amounts that are limited."""


@fact
class QuestionAnswered(Event):
    """The result came, or somebody said that none will."""

    type: ClassVar[str] = "question_answered"
    approval: UUID
    call: str
    verdict: Literal["answered", "declined"]
    by: str
    digest: str
    """What was answered, as it was shown to whoever did."""
    answer: Ref | None = None
    """The call's result, as JSON."""
    own_word: bool = False
    """Whether the person behind the run gave it, by no link of another's: then they vouch for it."""
    reason: Ref | None = None
    """Why there is no answer."""
    on_expiry: Literal["reject", "fail_run"] | None = None
    """What it comes to that nobody answered in time; None where somebody did."""


@fact
class CallDenied(Event):
    """A tool call was refused, and the model told why."""

    type: ClassVar[str] = "call_denied"
    scope: str
    step: int
    call: str
    tool: str
    args: Ref
    """As the tool would have received them."""
    policy: str = ""
    """Digest of the policy; empty where it was the task's own boundary."""
    rules: list[str] = field(default_factory=list[str])
    """The statements that refuse; none where nothing permits."""
    why: Ref
    seen: dict[str, int | str] = field(default_factory=dict[str, int | str])
    """What the policy looked at beside the arguments: the hour, how far the run is, and the like."""
    facts: Ref | None = None
    """What it looked at of sums with this call in them, and of what functions of the tool say of the arguments."""


Trouble: TypeAlias = Literal["failure", "limit", "loop"]
"""Why a run goes to people instead of on: it would fail, its next step would exceed a limit, or it is in a loop."""


@fact
class Escalated(Event):
    """The run cannot go on by itself: its task has people say what becomes of it."""

    type: ClassVar[str] = "escalated"
    approval: UUID
    """The human task."""
    trouble: Trouble
    limit: str = ""
    """The ceiling that would be exceeded."""
    most: int = 0
    stood: int = 0
    of_tenant: bool = False
    """The tenant's stands in the way, which nobody raises for one run."""
    loop: LoopKind | None = None
    """The kind of loop that it is in; `stood` is how often it was seen."""
    error: str = ""
    """The type of the error with which it would fail."""
    place: str = ""
    context: Ref
    """What people are shown: what happened, and what the run has done so far."""
    message: Ref
    digest: str
    ask: str = ""
    """Who may say, as `Ask` is written."""


Way: TypeAlias = Literal["go_on", "finish", "fail_run"]
"""What people say of a run in trouble: it goes on, it ends with this output, it fails."""


@fact
class EscalationDecided(Event):
    """People said what becomes of a run in trouble."""

    type: ClassVar[str] = "escalation_decided"
    approval: UUID
    way: Way
    by: str
    limits: dict[str, int] = field(default_factory=dict[str, int])
    """Ceilings as they were raised."""
    output: Ref | None = None
    reason: Ref | None = None

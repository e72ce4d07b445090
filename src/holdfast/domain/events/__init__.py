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

from typing import TypeAlias

from holdfast.domain.events.base import Event, Messages, Usage, fact
from holdfast.domain.events.calls import (
    EffectInDoubt,
    EffectResolved,
    Outcome,
    OutputProcessed,
    OutputStarted,
    ToolFinished,
    ToolStarted,
)
from holdfast.domain.events.costs import Cost
from holdfast.domain.events.decisions import (
    ApprovalAsked,
    ApprovalDecided,
    CallDenied,
    CallHandedOut,
    Edited,
    Escalated,
    EscalationDecided,
    QuestionAnswered,
    QuestionAsked,
    QuestionKind,
    Trouble,
    Way,
)
from holdfast.domain.events.loops import LoopDetected
from holdfast.domain.events.models import FailedAttempt, ModelFailed, ModelRequested, ModelResponded
from holdfast.domain.events.runs import (
    CancelRequested,
    HistoryEntered,
    MessageReceived,
    Noted,
    RunAccepted,
    RunCancelled,
    RunClaimed,
    RunDiverged,
    RunFailed,
    RunParked,
    RunSucceeded,
    Withheld,
)

__all__ = [
    "EVENT_TYPES",
    "INTENTS",
    "OUTCOMES",
    "AnyEvent",
    "ApprovalAsked",
    "ApprovalDecided",
    "CallDenied",
    "CallHandedOut",
    "CancelRequested",
    "Cost",
    "Edited",
    "EffectInDoubt",
    "EffectResolved",
    "Escalated",
    "EscalationDecided",
    "Event",
    "FailedAttempt",
    "HistoryEntered",
    "LoopDetected",
    "MessageReceived",
    "Messages",
    "ModelFailed",
    "ModelRequested",
    "ModelResponded",
    "Noted",
    "Outcome",
    "OutputProcessed",
    "OutputStarted",
    "QuestionAnswered",
    "QuestionAsked",
    "QuestionKind",
    "RunAccepted",
    "RunCancelled",
    "RunClaimed",
    "RunDiverged",
    "RunFailed",
    "RunParked",
    "RunSucceeded",
    "ToolFinished",
    "ToolStarted",
    "Trouble",
    "Usage",
    "Way",
    "Withheld",
    "fact",
]

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
    | QuestionAsked
    | CallHandedOut
    | QuestionAnswered
    | CallDenied
    | LoopDetected
    | EffectInDoubt
    | EffectResolved
    | Escalated
    | EscalationDecided
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
        QuestionAsked,
        CallHandedOut,
        QuestionAnswered,
        CallDenied,
        LoopDetected,
        EffectInDoubt,
        EffectResolved,
        Escalated,
        EscalationDecided,
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

INTENTS: frozenset[str] = frozenset({ModelRequested.type, ToolStarted.type, OutputStarted.type, CallHandedOut.type})
"""Types that announce something not yet done. Halts, cancellation and limits may refuse these, and only these."""

OUTCOMES: frozenset[str] = frozenset(
    {
        ModelResponded.type,
        ToolFinished.type,
        OutputProcessed.type,
        ApprovalDecided.type,
        QuestionAnswered.type,
        EffectResolved.type,
        EscalationDecided.type,
    }
)
"""Types that show progress: a run that only ever starts and dies has none."""

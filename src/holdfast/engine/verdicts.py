"""What policy says of a call, and how a call is stopped by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic_ai.exceptions import ApprovalRequired

from holdfast.domain import events as ev
from holdfast.domain.ids import Ref
from holdfast.domain.verdict import Ask, Decision, Facts, Verdict
from holdfast.engine.codec import dump_json, parse
from holdfast.engine.provenance import labels_of
from holdfast.engine.remaining import budget_left
from holdfast.engine.tallying import tallied

if TYPE_CHECKING:
    from holdfast.engine.call import ToolCall
    from holdfast.engine.recorder import Recorder

NO_VERDICT = Verdict(Decision.ALLOW, "")
_UNDECLARED = Verdict(
    Decision.ASK, "", ask=Ask(), reason="The tool declares no recovery class, and its task has people asked about such."
)


class PolicyAsks(ApprovalRequired):
    """People have to agree to a call, as policy says."""

    def __init__(self, verdict: Verdict, received: bytes) -> None:
        super().__init__()
        self.verdict = verdict
        self.received = received
        """The arguments as the tool would receive them."""


async def verdict_on(
    recorder: Recorder, call: ToolCall, args: bytes, values: Mapping[str, Any] | None = None
) -> Verdict | None:
    """What policy says of a call with these arguments; None where there is none and nobody is to be asked.

    Args:
        recorder: of the run.
        call: the call.
        args: its arguments as stored.
        values: the same as the tool receives them, where that is known: a field that has another name in the schema
            than in Python is found in these only.
    """
    governor = recorder.gear.governor
    policy = governor.policy
    if policy is None:
        asks = recorder.task.undeclared == "ask" and not call.declaration.declared
        return _UNDECLARED if asks else None
    shapes = parse(args)
    who = recorder.acting.principal
    now = recorder.gear.now().astimezone(governor.zone)
    sums = await tallied(recorder, call, policy.tallies(call.tool), now)
    call.attempt.sums = sums
    return policy.verdict(
        call.tool,
        shapes if values is None else values,
        Facts(
            principal=str(who.id),
            roles=who.roles,
            task=recorder.task.name,
            env=governor.env,
            local_hour=now.hour,
            local_weekday=now.isoweekday(),
            depth=call.scope.count(">"),
            steps=recorder.begun,
            budget_left=await budget_left(recorder) if policy.uses_budget(call.tool) else 100,
            tallies={one.name: seen.seen - (seen.own or 0) for one, seen in sums},
            labels=labels_of(recorder, shapes) if policy.uses_labels(call.tool) else {},
        ),
    )


def refusal_of(reason: str) -> str:
    """What the model is told."""
    return f"Refused by policy: {reason}"


def denied(recorder: Recorder, call: ToolCall, verdict: Verdict, args: bytes) -> ev.CallDenied:
    """That policy refused a call, as a fact."""
    why = recorder.seal_text(verdict.reason)
    return ev.CallDenied(
        scope=call.scope,
        step=call.step,
        call=call.call,
        tool=call.tool,
        args=recorder.seal(args),
        policy=verdict.policy,
        rules=[rule.id for rule in verdict.rules],
        why=why,
        seen=dict(verdict.seen),
        facts=sealed_facts(recorder, verdict),
    )


def sealed_facts(recorder: Recorder, verdict: Verdict) -> Ref | None:
    """What functions of the tool said of the arguments, as content: it is made of what the arguments say."""
    return recorder.seal(dump_json(dict(verdict.facts))) if verdict.facts else None

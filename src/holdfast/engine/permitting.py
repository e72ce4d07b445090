"""Policy at the moment of dispatch: what may become of a call with exactly the arguments that the tool receives.

A call that is allowed goes on, and its intent names the policy. One that is denied ends: the model is told why. One
that needs people is put before them, and the run parks as it does for a tool that asks by itself. When it comes back
approved, it is decided anew, by the policy in force at that moment: what was agreed to counts as far as it covers what
is asked then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from holdfast.domain.recovery import Recovery
from holdfast.domain.verdict import Ask, Decision, Verdict
from holdfast.engine.asking import ask_again
from holdfast.engine.codec import parse
from holdfast.engine.errors import CallRefused
from holdfast.engine.recovery import in_doubt
from holdfast.engine.verdicts import PolicyAsks, denied, refusal_of, verdict_on

if TYPE_CHECKING:
    from holdfast.engine.call import ToolCall
    from holdfast.engine.recorder import Recorder


async def permit(recorder: Recorder, call: ToolCall, args: bytes, values: Mapping[str, Any]) -> None:
    """Let a call pass, or not. `call.attempt.verdict` is that of the policy that did.

    `args` are its arguments as stored, `values` the same as the tool receives them.

    Raises:
        PolicyAsks: people have to agree.
        CallRefused: it is denied.
        Park: people have to agree once more, or to say what became of an attempt that policy would not let begin now.
    """
    verdict = await verdict_on(recorder, call, args, values)
    if verdict is None:
        return
    if verdict.decision is Decision.ALLOW or (
        verdict.decision is Decision.ASK and call.approved and _agreed(recorder, call, verdict, args)
    ):
        call.attempt.verdict = verdict
        if call.attempt.sums and recorder.gear.governor.policy is not None:
            call.attempt.added = recorder.gear.governor.policy.added(call.tool, values)
        return
    if call.attempt.again:
        if call.declaration.recovery is Recovery.DELEGATE:
            return  # it is entered again to find its inner steps done; those to come are decided one by one
        # It began when it was allowed, or agreed to. To refuse it now would be to say that it did not happen.
        call.attempt.args = call.attempt.args or recorder.seal(args)
        await in_doubt(recorder, call, f"policy does not let it run again unasked: {verdict.reason or 'it changed'}")
    if verdict.decision is Decision.DENY:
        # It rides with the call's outcome, which is next.
        recorder.hold(denied(recorder, call, verdict, args))
        raise CallRefused(refusal_of(verdict.reason))
    required = PolicyAsks(verdict, args)
    if call.approved:
        await ask_again(recorder, call, required)
    raise required


def _agreed(recorder: Recorder, call: ToolCall, verdict: Verdict, args: bytes) -> bool:
    """Whether those who have to agree now are among those who did, to exactly these arguments."""
    entry = recorder.replay.approvals.get((call.scope, call.step, call.call, False))
    if entry is None or entry.decided is None or entry.decided.verdict != "approved" or not entry.asked.ask:
        return False
    assert verdict.ask is not None
    if not Ask.parse(entry.decided.ask or entry.asked.ask).covers(verdict.ask):
        return False
    if entry.decided.args is not None:
        # What was edited has not passed the agent's hooks before: it is what was agreed to only if they leave it be.
        return _same(recorder.content(entry.decided.args), args)
    return recorder.seal(args) == (entry.asked.received or entry.asked.args)


def _same(agreed: bytes, received: bytes) -> bool:
    """Whether every argument that was agreed to is the one received; those that were left out have their defaults."""
    shown, found = parse(agreed), parse(received)
    return all(name in found and _plain(found[name]) == _plain(value) for name, value in shown.items())


def _plain(value: Any) -> Any:
    # An amount is written as a number by a person and as a string by the framework.
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value

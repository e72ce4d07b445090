"""What may be done with an effect that started earlier and is not known to have finished."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass

from holdfast.domain import events as ev
from holdfast.domain.ids import Ref
from holdfast.domain.recovery import Recovery
from holdfast.domain.state import WaitingOn
from holdfast.effects.declare import Effect, Happened, NotHappened, Unknown
from holdfast.engine.call import ToolCall
from holdfast.engine.codec import dump_result, parse
from holdfast.engine.interrupt import Fail, Park
from holdfast.engine.question import asked_of, binding
from holdfast.engine.recorder import Recorder
from holdfast.engine.replay import ToolEntry
from holdfast.store.journal import ApprovalRow


@dataclass(frozen=True, slots=True)
class Settled:
    """A person, a probe or a late report said how the effect ended."""

    result: Ref
    by: str
    outcome: ev.Outcome = "value"
    usage: ev.Usage | None = None
    counted: bool | None = None
    enqueued: Ref | None = None
    emitted: Ref | None = None
    cost: ev.Cost | None = None

    @classmethod
    def of(cls, resolved: ev.EffectResolved) -> Settled:
        """What was said of an effect that is done."""
        assert resolved.result is not None
        return cls(
            result=resolved.result,
            by=resolved.by,
            outcome=resolved.outcome or "value",
            usage=resolved.usage,
            counted=resolved.counted,
            enqueued=resolved.enqueued,
            emitted=resolved.emitted,
            cost=resolved.cost,
        )


async def recovered(recorder: Recorder, call: ToolCall, entry: ToolEntry) -> Settled | None:
    """What is known of an effect that started earlier. None: the body may be entered (again)."""
    if entry.started is None:
        return None
    if entry.resolved is not None:
        match entry.resolved.resolution:
            case "done":
                return Settled.of(entry.resolved)
            case "fail_run":
                raise Fail(f"{entry.resolved.by} failed the run: '{call.tool}' ({call.call}) was in doubt.")
            case "not_done":
                call.attempt.undone = True
                return None
    if entry.in_doubt is not None:
        raise Park(WaitingOn.IN_DOUBT, entry.in_doubt.why)
    recovery = call.declaration.recovery
    # After an unexpected promotion the log may have been rewound: what a key or a probe says is then worth less
    # than it seems, so only what has no outside consequence runs again unasked.
    if recorder.claimed.rewound and recovery is not Recovery.PURE:
        await in_doubt(recorder, call, "the database was rewound by a failover while it was under way")
    if recovery is Recovery.RECONCILE:
        return await _probed(recorder, call, entry)
    # The class it started under counts too: a tool declared idempotent since may not have used its key then.
    if recovery.reruns and entry.started.recovery.reruns:
        call.attempt.again = recovery is not Recovery.PURE
        return None
    await in_doubt(recorder, call, "the worker died while it was under way")
    return None


async def _probed(recorder: Recorder, call: ToolCall, entry: ToolEntry) -> Settled | None:
    assert call.declaration.probe is not None
    assert entry.started is not None
    effect = Effect(key=call.key, attempt=entry.attempts, run=recorder.claimed.run, tenant=recorder.claimed.tenant)
    await recorder.ask_halts(call.tool)
    recorder.look("tool", call.tool)
    answer = call.declaration.probe(effect, **parse(recorder.content(entry.started.args)))
    if isinstance(answer, Awaitable):
        answer = await answer
    if entry.resolved is not None:
        # A late report came meanwhile: it knows, where a probe only looks.
        return await recovered(recorder, call, entry)
    match answer:
        case Happened(result=result):
            plain = dump_result(result)
            ref = recorder.seal(plain)
            recorder.know(ref, plain)
            return Settled(ref, "probe")
        case NotHappened():
            return None
        case Unknown(why=why):
            await in_doubt(recorder, call, why or "the probe could not tell whether it happened")
            return None


async def in_doubt(recorder: Recorder, call: ToolCall, why: str, *, returned: bool = False) -> None:
    """Put an effect before a person, and park. `returned`: its tool came to an end, without a result to go on with.

    Raises:
        Park: always.
    """
    task = recorder.gear.new_id()
    advice = {
        Recovery.ONCE: "If it may be run again with the same key, declare it @effect.idempotent; "
        "if it can be looked up, @effect.reconcile(probe=...).",
    }.get(call.declaration.recovery, "")
    text = f"'{call.tool}' started and is not known to have finished: {why}. {advice}".strip()
    if returned:
        text = (
            f"{why}. It was called and has returned: say what its result is. Let it return a type that Pydantic can "
            "serialise, so that this does not come again."
        )
    assert call.attempt.args is not None
    asked = asked_of(recorder.task, "doubt")
    asked["ask"] = _authority(recorder, call) or asked["ask"]
    doubt = ev.EffectInDoubt(
        approval=task,
        scope=call.scope,
        step=call.step,
        call=call.call,
        tool=call.tool,
        key=call.key,
        why=text,
        approved=call.approved,
    )
    # As in `ask`: who decides may be quicker than the reply to this commit.
    recorder.replay.add(recorder.journal.seq, doubt)
    await recorder.record(
        doubt,
        rows=[
            ApprovalRow(
                id=task,
                kind="in_doubt",
                scope=call.scope,
                step=call.step,
                call=call.call,
                tool=call.tool,
                args=call.attempt.args,
                digest=binding(recorder, call, call.attempt.args),
                key=call.key,
                why=text,
                **asked,
            )
        ],
    )
    raise Park(WaitingOn.IN_DOUBT, text)


def _authority(recorder: Recorder, call: ToolCall) -> str:
    """Who had to agree to the call: they also say what became of it."""
    entry = recorder.replay.approvals.get((call.scope, call.step, call.call, False))
    return entry.asked.ask if call.approved and entry is not None else ""

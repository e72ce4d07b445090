"""What people are asked about a call, and what their decision is bound to."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypedDict

from holdfast.domain import events as ev
from holdfast.domain.rights import Role
from holdfast.engine.codec import dump_json, parse
from holdfast.engine.provenance import labels_of
from holdfast.engine.verdicts import sealed_facts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.domain.approving import Occasion, OnExpiry
    from holdfast.domain.verdict import Verdict
    from holdfast.engine.call import ToolCall
    from holdfast.engine.recorder import Recorder
    from holdfast.task import Task


class Asked(TypedDict):
    """The part of a human task that says who is asked, and how it ends by itself."""

    ask: str
    expires_s: float | None
    on_expiry: OnExpiry
    escalate: Sequence[tuple[float, str]]


def question(
    recorder: Recorder,
    call: ToolCall,
    metadata: Any = None,
    *,
    verdict: Verdict | None = None,
    received: bytes | None = None,
    round_: int = 1,
) -> ev.ApprovalAsked:
    """Whether `call` may be made, with exactly these arguments.

    Args:
        recorder: of the run.
        call: with the arguments as the model gave them.
        metadata: what the tool says of it.
        verdict: of the policy, where that is what asks.
        received: the arguments as the tool would receive them, where that is known.
        round_: how often the call was asked about, this time included.
    """
    args = recorder.seal(call.args)
    recorder.know(args, call.args)  # whoever decides may be quicker than this execution ends
    got = None if received is None or received == call.args else recorder.seal(received)
    asked = ev.ApprovalAsked(
        approval=recorder.gear.new_id(),
        scope=call.scope,
        step=call.step,
        call=call.call,
        tool=call.tool,
        args=args,
        digest="",
        metadata=recorder.seal(dump_json(metadata)) if metadata else None,
        received=got,
        ask="" if verdict is None else str(verdict.ask),
        policy="" if verdict is None else verdict.policy,
        rules=[] if verdict is None else [rule.id for rule in verdict.rules],
        why=recorder.seal_text(verdict.reason) if verdict is not None and verdict.reason else None,
        round=round_,
        sources=recorder.seal(sources(recorder, call)),
        seen={} if verdict is None else dict(verdict.seen),
        facts=None if verdict is None else sealed_facts(recorder, verdict),
    )
    return replace(asked, digest=bound(recorder, call, asked))


def sources(recorder: Recorder, call: ToolCall) -> bytes:
    """Where the arguments came from. Sealed: a model may name arguments as it likes."""
    return dump_json({name: sorted(labels) for name, labels in labels_of(recorder, parse(call.args)).items()})


def bound(recorder: Recorder, call: ToolCall, asked: ev.ApprovalAsked) -> str:
    """What a decision about `asked` is bound to, as this code and this run have it now."""
    approving = recorder.task.approving
    return binding(
        recorder,
        call,
        asked.args,
        asked.received or "",
        asked.ask,
        str(asked.round),
        str(approving.expires_s or ""),
        *filter(None, [asked.sources, asked.facts]),
    )


def asked_of(task: Task, occasion: Occasion) -> Asked:
    """Whom a task's runs go to on this occasion, and how that ends when nobody answers."""
    path = task.escalation
    if path is None or occasion not in path.on:
        return Asked(
            ask=Role.ADMIN if occasion in {"limit", "loop"} else "", expires_s=None, on_expiry="reject", escalate=()
        )
    return Asked(
        ask=str(path.ask),
        expires_s=path.expires_s,
        on_expiry="reject" if path.expires_s is None else "fail_run",
        escalate=[(later.after_s, str(later.ask)) for later in path.then],
    )


def binding(recorder: Recorder, call: ToolCall, *shown: str) -> str:
    """A digest of this run, this call, this tool with this schema, and exactly what is shown of it."""
    claimed = recorder.claimed
    parts = (
        str(claimed.tenant),
        str(claimed.run),
        call.scope,
        str(call.step),
        call.call,
        call.tool,
        call.schema,
        claimed.principal,
        *shown,
    )
    preimage = b"".join(len(part.encode()).to_bytes(4, "big") + part.encode("utf-8", "surrogatepass") for part in parts)
    return hashlib.sha256(b"holdfast.approval.2\n" + preimage).hexdigest()

"""Signals become events: the holder of a run folds its inbox into the journal, in the order of delivery.

A signal's content arrives sealed under the subject's key and becomes content of the run. Forms are fixed here, so
that what is compared later (approved arguments) is compared in one form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal
from uuid import UUID

from holdfast.domain import events as ev
from holdfast.domain.ids import Ref
from holdfast.engine.codec import canonical, parse
from holdfast.engine.late import folded
from holdfast.engine.replay import Replay
from holdfast.store.inbox import Signal

Seal = Callable[[bytes], Ref]
_UNANSWERED = b'"Nobody answered in time whether this may be called, so it was not."'
_NO_ANSWER = b'"Nobody answered in time."'


def fold(
    signals: list[Signal], replay: Replay, plain: Callable[[Signal], bytes | None], seal: Seal
) -> list[ev.AnyEvent]:
    """The events that these signals mean. What has nothing to say any more (a second cancel) means none."""
    found: list[ev.AnyEvent] = []
    for signal in signals:
        event = _event(signal, replay, plain(signal), seal)
        if event is not None:
            found.append(event)
    return found


def _event(signal: Signal, replay: Replay, content: bytes | None, seal: Seal) -> ev.AnyEvent | None:
    match signal.kind:
        case "cancel":
            return ev.CancelRequested(by=signal.by, reason=None if content is None else seal(content))
        case "message":
            return None if content is None else ev.MessageReceived(message=seal(content), by=signal.by)
        case "decision":
            return _decision(signal, replay, parse(signal.body.encode()), content, seal)
        case "late_outcome":
            return folded(signal.body.encode(), content, replay, seal)
        case _:
            return None


def _decision(
    signal: Signal, replay: Replay, body: dict[str, Any], content: bytes | None, seal: Seal
) -> ev.AnyEvent | None:
    approval = UUID(body["approval"])
    match body["verdict"]:
        case "answered" | "declined" | "expired" as verdict if body["kind"] == "question":
            return _answered(signal, replay, approval, verdict, body, content, seal)
        case "approved" | "rejected" | "expired" as verdict:
            asked = replay.asked(approval)
            return None if asked is None else _answer(signal, asked, verdict, body, content, seal)
        case "go_on" | "finish" | "fail_run" as way if body["kind"] == "escalation":
            return _way(signal, replay, approval, way, content, seal)
        case "done" | "not_done" | "fail_run" as resolution:
            doubt = replay.in_doubt(approval)
            if doubt is None:
                return None
            result = seal(_result(content)) if resolution == "done" else None
            return ev.EffectResolved(
                approval=approval,
                call=doubt.call,
                key=doubt.key,
                resolution=resolution,
                by=signal.by,
                result=result,
            )
        case _:
            return None


def _way(
    signal: Signal, replay: Replay, approval: UUID, way: ev.Way, content: bytes | None, seal: Seal
) -> ev.EscalationDecided | None:
    """What was said of a run in trouble."""
    trouble = replay.trouble
    if trouble is None or trouble.escalated.approval != approval or trouble.decided is not None:
        return None
    said = ev.EscalationDecided(approval=approval, way=way, by=signal.by)
    match way:
        case "go_on":
            return replace(said, limits={} if content is None else parse(content))
        case "finish":
            return replace(said, output=seal(content or b"null"))
        case "fail_run":
            return replace(said, reason=None if content is None else seal(content))


def _answer(
    signal: Signal,
    asked: ev.ApprovalAsked,
    verdict: Literal["approved", "rejected", "expired"],
    body: dict[str, Any],
    content: bytes | None,
    seal: Seal,
) -> ev.ApprovalDecided:
    """What was said to a question. One that nobody answered in time counts as rejected."""
    told = ev.ApprovalDecided(
        approval=asked.approval,
        call=asked.call,
        verdict="approved" if verdict == "approved" else "rejected",
        by=signal.by,
    )
    match verdict:
        case "approved":
            return replace(
                told,
                voters=body["voters"] if len(body["voters"]) > 1 else [],
                ask=body["ask"],
                args=None if content is None else seal(canonical(parse(content))),
                edits=[ev.Edited(args=edit["args"], by=edit["by"]) for edit in body["edits"]],
                digest=body["digest"] if _is_last_edit(signal, body["edits"]) else "",
            )
        case "rejected":
            return replace(told, reason=None if content is None else seal(content))
        case "expired":
            return replace(told, reason=seal(_UNANSWERED), on_expiry=body["on_expiry"])


def _answered(
    signal: Signal,
    replay: Replay,
    approval: UUID,
    verdict: Literal["answered", "declined", "expired"],
    body: dict[str, Any],
    content: bytes | None,
    seal: Seal,
) -> ev.QuestionAnswered | None:
    """What was answered to a call that asks. One that nobody answered in time counts as declined."""
    question = replay.question(approval)
    if question is None or question.answered is not None:
        return None
    told = ev.QuestionAnswered(
        approval=approval, call=question.asked.call, verdict="declined", by=signal.by, digest=body["digest"]
    )
    match verdict:
        case "answered":
            return replace(told, verdict="answered", answer=seal(content or b"null"), own_word=body["own_word"])
        case "declined":
            return replace(told, reason=None if content is None else seal(content))
        case "expired":
            return replace(told, reason=seal(_NO_ANSWER), on_expiry=body["on_expiry"])


def _is_last_edit(signal: Signal, edits: list[dict[str, str]]) -> bool:
    """Whether the content that came with an approval is what was edited last, and none where nothing was."""
    came = None if signal.digest is None else signal.digest.hex()
    return came == (edits[-1]["args"] if edits else None)


def _result(content: bytes | None) -> bytes:
    return b'{"kind":"value","value":' + (content or b"null") + b"}"

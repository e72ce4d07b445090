"""A human task as people get it: with exactly the arguments it is about, who is asked, and what follows."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from holdfast.domain import events as ev
from holdfast.domain.errors import NotFound
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service.approval_diff import changes
from holdfast.service.approval_shapes import ApprovalDetail, ApprovalView, EscalationView, HappeningView, VoteView
from holdfast.service.base_views import ContentView
from holdfast.service.contents import MISSING, Contents, shown
from holdfast.service.event_view import ReadEvent
from holdfast.service.existing import existing_run
from holdfast.service.names import names_of
from holdfast.service.services import Services
from holdfast.store import approvals
from holdfast.store.approvals import ApprovalTask, Happening, Vote
from holdfast.store.runs import RunRow

_PAGE = 500


async def existing_approval(
    services: Services, who: Who, approval: UUID, scope: Scope = Scope.APPROVALS_READ
) -> ApprovalTask:
    """The row of a human task.

    Raises:
        NotFound: there is no such task for this tenant.
    """
    row = await approvals.get_approval(
        services.db, who.tenant, approval, by=who.principal, only=who.only(scope), newcomer_s=services.newcomer_s
    )
    if row is None:
        raise no_approval()
    return row


def no_approval() -> NotFound:
    """The error that says so."""
    return NotFound(
        "There is no approval or effect in doubt with this id. `GET /v1/approvals` or `holdfast approvals ls` lists "
        "what waits for a decision."
    )


async def approval_view(
    services: Services, who: Who, row: ApprovalTask, scope: Scope = Scope.APPROVALS_READ
) -> ApprovalView:
    """The task with its arguments, opened."""
    run = await existing_run(services, who, row.run, scope)
    return ApprovalView(**await _fields(row, _contents(services, run, row)))


async def approval_detail(
    services: Services, who: Who, row: ApprovalTask, scope: Scope = Scope.APPROVALS_READ
) -> ApprovalDetail:
    """The same with all that is known of why it is asked and of what has happened to it."""
    run = await existing_run(services, who, row.run, scope)
    contents = _contents(services, run, row)
    asked = await _asked(services, run, row.id)
    agreeing = asked if isinstance(asked, ev.ApprovalAsked) else None
    history = await approvals.read_history(services.db, who.tenant, row.id)
    votes = await approvals.read_votes(services.db, who.tenant, row.id)
    plain = await contents.plain(one.content.hex() for one in history if one.content is not None)
    actors = {row.principal, row.requested_by or "", row.decided_by or "", *row.requesters, *row.agreed}
    actors |= {one.by for one in history} | {one.voter for one in votes}
    fields = await _fields(row, contents)
    return ApprovalDetail(
        **fields,
        policy=agreeing.policy if agreeing else "",
        rules=agreeing.rules if agreeing else [],
        reason=await contents.shown(agreeing.why) if agreeing else None,
        seen=agreeing.seen if agreeing else {},
        facts=await contents.shown(agreeing.facts) if agreeing else None,
        metadata=await contents.shown(asked.metadata) if asked else None,
        sources=_sources(await contents.shown(asked.sources) if asked else None, fields["original"], fields["args"]),
        votes=[_vote(one, row) for one in votes],
        history=[_happening(one, shown(one.content.hex(), plain) if one.content else None) for one in history],
        names=dict(await names_of(services, who.tenant, actors - {""})),
        run_so_far=f"/v1/runs/{row.run}/events",
    )


def _contents(services: Services, run: RunRow, row: ApprovalTask) -> Contents:
    # Whoever has to decide is shown what about, though the run's session was deleted meanwhile.
    return Contents(services, run, withheld=run.session_deleted and row.state != "pending")


async def _fields(row: ApprovalTask, contents: Contents) -> dict[str, Any]:
    plain = await contents.plain(one.hex() for one in (row.args, row.received, row.edited) if one is not None)
    given, received, edited = (
        None if one is None else shown(one.hex(), plain, whole=True) for one in (row.args, row.received, row.edited)
    )
    ahead = zip(row.escalate_at[row.escalated :], row.escalate_ask[row.escalated :], strict=True)
    pending = row.state == "pending"
    return {
        **{name: getattr(row, name) for name in _AS_THEY_ARE},
        "args": edited or given or MISSING,
        "original": given if edited else None,
        "edits": changes(given, edited),
        "received": received,
        "on_the_way": changes(given, received),
        "refused": row.refused if pending else None,
        "if_rejected": _IF_REJECTED[row.kind],
        "if_unanswered": _if_unanswered(row),
        "escalates": [EscalationView(at=at, ask=ask) for at, ask in ahead] if pending else [],
    }


_AS_THEY_ARE = (
    "id", "run", "task", "kind", "state", "scope", "step", "call", "tool", "key", "digest", "why", "ask", "round",
    "principal", "requested_by", "requesters", "agreed", "needed", "voted", "asked_at", "expires_at", "decided_at",
    "decided_by",
)  # fmt: skip
_IF_REJECTED = {
    "approval": "The tool is not called; the model is told that it was rejected, and the reason.",
    "question": "The call has failed, without a result; the model is told that nobody answers, and the reason.",
    "in_doubt": "'not_done' calls the tool again; 'fail_run' ends the run.",
    "escalation": "'fail_run' ends the run; 'finish' ends it with an output of yours.",
}


def _if_unanswered(row: ApprovalTask) -> str:
    if row.expires_at is None:
        return "It waits for good."
    if row.on_expiry == "fail_run":
        return "The run fails."
    what = "The call has failed, without a result" if row.kind == "question" else "The tool is not called"
    return f"{what}; the model is told that nobody answered."


_ASKING = {ev.ApprovalAsked.type, ev.QuestionAsked.type, ev.CallHandedOut.type}


async def _asked(services: Services, run: RunRow, approval: UUID) -> ev.ApprovalAsked | ev.QuestionAsked | None:
    """The event that asked, which says which lines of a policy do, and what the tool says of it."""
    after = 0
    while page := await services.journal(run.tenant, run.id, after=after, limit=_PAGE):
        for stored in page:
            if stored.type in _ASKING:
                event = ReadEvent.of(stored).event
                if isinstance(event, ev.ApprovalAsked | ev.QuestionAsked) and event.approval == approval:
                    return event
        after = page[-1].seq
    return None


def _sources(
    sources: ContentView | None, original: ContentView | None, args: ContentView
) -> dict[str, list[str]] | None:
    """Where each argument came from; what people edited came from them."""
    known, now = _named(sources), _named(args)
    if known is None or now is None:
        return None
    edited = {place.place.partition(".")[0] for place in changes(original, args)}
    return {name: ["editor"] if name in edited else known.get(name, []) for name in now}


def _named(view: ContentView | None) -> dict[str, Any] | None:
    """What is shown, by name; None where it cannot be."""
    value: Any = None if view is None else view.value
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _vote(vote: Vote, row: ApprovalTask) -> VoteView:
    counts = vote.digest == row.digest and vote.voter in row.agreed
    return VoteView(voter=vote.voter, verdict=vote.verdict, at=vote.at, counts=counts, via=vote.via)


def _happening(one: Happening, content: ContentView | None) -> HappeningView:
    return HappeningView(at=one.at, what=one.what, by=one.by, ask=one.ask, digest=one.digest, content=content)

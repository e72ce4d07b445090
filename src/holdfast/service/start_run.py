"""Ask for a run: checked, sealed, and in the database before the answer is given."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from holdfast.domain import events as ev
from holdfast.domain.errors import (
    HistoryGone,
    IdempotencyConflict,
    InvalidInput,
    MissingRole,
    QuotaExceeded,
    SessionDeleted,
    TenantSuspended,
)
from holdfast.domain.limits import lowest, read_ceilings
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.domain.state import RunState
from holdfast.domain.stored import dump
from holdfast.guards.written import check_limits
from holdfast.service.content import check_text, to_json
from holdfast.service.existing import existing_run
from holdfast.service.idempotency import check_idempotency_key
from holdfast.service.manage_principals import existing_principal
from holdfast.service.run_view import row_view
from holdfast.service.services import Services
from holdfast.service.session_history import check_history, check_session_id, joinable, no_session
from holdfast.service.views import RunView, UsageView
from holdfast.store import runs
from holdfast.store.hashing import GENESIS, chain_prefix, event_hash, microseconds
from holdfast.store.hints import QUEUED
from holdfast.store.idempotency import Idempotency, accepted_before
from holdfast.store.vault import Sealed, SubjectKey
from holdfast.task import Task

PRIORITY_MOST = 100
LABELS_MOST = 32
LABEL_NAME_CHARS = 64
LABEL_VALUE_CHARS = 256


async def start_run(
    services: Services,
    who: Who,
    task: str,
    input: Any,  # noqa: A002 - the word of the interface
    *,
    session: UUID | None = None,
    idempotency_key: str | None = None,
    priority: int = 0,
    labels: Mapping[str, str] | None = None,
    on_behalf_of: UUID | None = None,
    limits: Mapping[str, Any] | None = None,
) -> RunView:
    """Accept a run of `task`. When this returns, the run survives everything that the database survives.

    Args:
        services: what this process has.
        who: the one who asks; the run is about and for them.
        task: the registered task's name.
        input: the input as JSON shapes.
        session: the conversation to go on with, or to begin under this id.
        idempotency_key: asking again with the same key and the same request answers with the first run, however long
            ago that was and whatever became of it. Keys do not expire.
        priority: -100 to 100; higher is taken first.
        labels: names and values to find the run by. Not encrypted: no personal content.
        on_behalf_of: the principal whom the run is for, where that is another: it has their rights, not the caller's.
        limits: what this run may do at most, by the names of limits; beside the task's own, and the lowest rules.

    Raises:
        UnknownTask: no such task is registered.
        InvalidInput: the input does not fit the task, or something cannot be stored.
        TooLarge: the input is larger than the limit.
        IdempotencyConflict: the key was used with another request.
        NotFound: the session belongs to somebody else, and the task does not share it with who asks.
        SessionDeleted: the session was deleted.
        HistoryGone: retention dropped a part of the session.
    """
    who.reach(Scope.RUNS_START)
    check_principal(who)
    caller, who = who, await _behind(services, who, on_behalf_of)
    registered = services.task(task)
    if registered.roles and not registered.roles & who.roles:
        raise MissingRole(
            f"Task '{task}' is for {' and '.join(sorted(registered.roles))}, and whom the run is for has no such role. "
            "Ask an administrator."
        )
    _check(priority, labels or {}, idempotency_key)
    asked = _ceilings(registered, limits or {})
    check_session_id(session)
    content = to_json(input, what="input", max_bytes=services.max_content_bytes)
    registered.read_input(input)
    shared = registered.sessions == "shared"
    joined = None if session is None else await joinable(services, who, session, shared=shared)
    subject = who.principal if joined is None else joined.subject
    key = await services.subject_key(who.tenant, subject)
    sealed = key.seal(content)
    accepted = ev.RunAccepted(
        task=task,
        task_version=registered.version,
        subject=subject,
        principal=who.principal,
        requested_by=None if caller is who else caller.principal,
        input=sealed.ref,
        session=session,
        history_of=None if joined is None else joined.last_run,
        priority=priority,
        labels=dict(labels or {}),
        limits=lowest(registered.ceilings, asked),
    )
    idempotency = None
    if idempotency_key is not None:
        request = _request_digest(key, accepted, asked)
        idempotency = Idempotency(f"start_run:{caller.principal}", idempotency_key, request)
    if joined is not None:
        try:
            await check_history(services, who, joined, key)
        except (HistoryGone, SessionDeleted):
            # What could not begin any more may have begun long ago: this is a request repeated.
            first = idempotency and await accepted_before(services.db, who.tenant, idempotency)
            if first is None:
                raise
            return await _answered(services, who, runs.Accepted(first.outcome, first.made), accepted)
    # What was looked up may be shared; a session that somebody else began meanwhile is not.
    return await _accept(services, who, accepted, sealed, idempotency, shared=shared and joined is not None)


async def _behind(services: Services, who: Who, on_behalf_of: UUID | None) -> Who:
    """Whom a run is for: the one who asks, or whom they may ask for."""
    if on_behalf_of is None or str(on_behalf_of) == who.principal:
        return who
    who.reach(Scope.RUNS_DELEGATED)
    behind = Who.of((await existing_principal(services, who.tenant, on_behalf_of)).principal())
    if Scope.RUNS_START not in behind.rights:
        raise MissingRole(
            "Whom the run is for may not start runs: they are disabled, or have no role that lets them. A run never "
            "does more than they may."
        )
    return behind


async def _accept(
    services: Services,
    who: Who,
    accepted: ev.RunAccepted,
    sealed: Sealed,
    idempotency: Idempotency | None,
    *,
    shared: bool,
) -> RunView:
    run, at = services.new_id(), services.now()
    body = dump(accepted)
    answer = await runs.accept_run(
        services.db,
        who.tenant,
        run,
        task=accepted.task,
        task_version=accepted.task_version,
        session=accepted.session,
        shared=shared,
        principal=accepted.principal,
        subject=accepted.subject,
        requested_by=accepted.requested_by,
        priority=accepted.priority,
        at=at,
        body=body.decode(),
        hash=_first_hash(who.tenant, run, at, body),
        blobs={sealed.digest: sealed.body},
        idempotency=idempotency,
    )
    if answer.outcome == "accepted":
        services.hints.notify(QUEUED)
    return await _answered(services, who, answer, accepted)


async def _answered(services: Services, who: Who, answer: runs.Accepted, accepted: ev.RunAccepted) -> RunView:
    if answer.outcome == "foreign":
        raise no_session()
    if answer.outcome == "deleted":
        assert accepted.session is not None
        raise SessionDeleted.of(accepted.session)
    if answer.outcome == "suspended":
        raise TenantSuspended("Your tenant is suspended, and no run was started. Its audit log says why.")
    if answer.outcome in {"too_many_runs", "too_many_bytes"}:
        what = "runs that have not ended" if answer.outcome == "too_many_runs" else "bytes"
        raise QuotaExceeded(f"Your tenant has as many {what} as it may have, and no run was started.")
    if answer.outcome == "conflict":
        raise IdempotencyConflict(
            "This idempotency key was used before with a different request, and no run was started. Send the first "
            "request again to get its run, or use a new key for a new run."
        )
    # One turn of the loop, so that the hint is on its way before the answer is made.
    await asyncio.sleep(0)
    if answer.accepted_at is not None:
        return _accepted_view(answer.run, accepted, answer.accepted_at)
    # The same request has the same labels.
    return row_view(await existing_run(services, who, answer.run, Scope.RUNS_START), labels=accepted.labels)


def _accepted_view(run: UUID, accepted: ev.RunAccepted, at: datetime) -> RunView:
    """The run as it was accepted. To look it up again would cost the database as much as to accept it."""
    return RunView(
        id=run,
        task=accepted.task,
        task_version=accepted.task_version,
        state=RunState.QUEUED,
        session=accepted.session,
        principal=accepted.principal,
        requested_by=accepted.requested_by,
        priority=accepted.priority,
        labels=accepted.labels,
        seq=1,
        usage=UsageView(steps=0, model_requests=0, tool_calls=0, input_tokens=0, output_tokens=0),
        created_at=at,
        updated_at=at,
    )


def _first_hash(tenant: UUID, run: UUID, at: datetime, body: bytes) -> bytes:
    return event_hash(chain_prefix(tenant, run), 1, ev.RunAccepted.type.encode(), microseconds(at), body, GENESIS)


def _request_digest(key: SubjectKey, accepted: ev.RunAccepted, limits: Mapping[str, int]) -> bytes:
    """What tells one request from another. Keyed, so that nobody can test a guess at its input.

    `limits` are those of the request: the task's may be others when it is repeated.
    """
    said = {
        "task": accepted.task,
        "input": accepted.input,
        "principal": accepted.principal,
        "session": accepted.session,
        "priority": accepted.priority,
        "labels": accepted.labels,
        "limits": limits,
    }
    return key.digest(b"start_run\n" + orjson.dumps(said, option=orjson.OPT_SORT_KEYS))


def _ceilings(task: Task, limits: Mapping[str, Any]) -> dict[str, int]:
    try:
        found = read_ceilings(limits)
        if task.countable is not None:
            check_limits(task.name, found, task.countable)
    except ValueError as error:
        raise InvalidInput(str(error)) from error
    return found


def check_principal(who: Who) -> None:
    """Refuse what is for nobody: somebody's rights bound it, and its content is sealed under their key.

    Raises:
        InvalidInput: who asks is no principal.
    """
    try:
        UUID(who.principal)
    except ValueError:
        raise InvalidInput("Say for whom this is: `holdfast --principal NAME` names somebody of the tenant.") from None


def _check(priority: int, labels: Mapping[str, str], idempotency_key: str | None) -> None:
    if abs(priority) > PRIORITY_MOST:
        raise InvalidInput(f"The priority {priority} is not between -{PRIORITY_MOST} and {PRIORITY_MOST}.")
    if len(labels) > LABELS_MOST:
        raise InvalidInput(f"There are {len(labels)} labels; the most is {LABELS_MOST}.")
    for name, value in labels.items():
        if not 0 < len(check_text(name, what="name of a label")) <= LABEL_NAME_CHARS:
            raise InvalidInput(f"A label's name has {len(name)} characters; it needs 1 to {LABEL_NAME_CHARS}.")
        if len(check_text(value, what="value of a label")) > LABEL_VALUE_CHARS:
            raise InvalidInput(f"Label '{name}' has a value of more than {LABEL_VALUE_CHARS} characters.")
    check_idempotency_key(idempotency_key)

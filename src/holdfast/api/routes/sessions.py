"""Conversations: begun, listed, read, deleted, and what of them is not given to the model any more."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from holdfast.api.bodies import InvalidationBody, LiftBody, SessionBody
from holdfast.api.body import read_body
from holdfast.api.describe import BODY, answer, body, problems
from holdfast.api.requests import TheServices, needs, read_id, reply
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service import invalidate_messages as withdraw
from holdfast.service import manage_sessions as use
from holdfast.service import show_session as reading
from holdfast.service.pages import PAGE, PAGE_MOST
from holdfast.service.session_views import (
    InvalidationList,
    InvalidationView,
    SessionPage,
    SessionStoryView,
    SessionView,
)

router = APIRouter(tags=["sessions"])


@router.post(
    "/v1/sessions",
    status_code=201,
    summary="Begin a session",
    openapi_extra=body(SessionBody, required=False),
    responses={**answer(201, SessionView, "The session."), **problems("not-found", "session-deleted", *BODY)},
)
async def post_session(
    request: Request, services: TheServices, who: Annotated[Who, needs(Scope.SESSIONS_WRITE)]
) -> Response:
    """Begin a conversation. With an `id` of yours it is begun once, however often you ask."""
    given = await read_body(request, SessionBody, optional=True)
    view = await use.create_session(services, who, id=given.id)
    return reply(view, 201, {"Location": f"/v1/sessions/{view.id}"})


@router.get(
    "/v1/sessions",
    summary="List sessions",
    responses={**answer(200, SessionPage, "Sessions, newest first."), **problems("invalid-cursor", "invalid-request")},
)
async def get_sessions(
    services: TheServices,
    who: Annotated[Who, needs(Scope.SESSIONS_READ)],
    cursor: Annotated[str | None, Query(description="The `next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MOST)] = PAGE,
) -> Response:
    """A page of the conversations that you see."""
    return reply(await use.list_sessions(services, who, cursor=cursor or None, limit=limit))


@router.get(
    "/v1/sessions/{session}",
    summary="Get a session",
    responses={
        **answer(200, SessionStoryView, "The session, its newest runs, and a page of its messages."),
        **problems("not-found", "session-deleted", "session-history-gone", "invalid-cursor", "invalid-request"),
    },
)
async def get_session(
    session: str,
    services: TheServices,
    who: Annotated[Who, needs(Scope.SESSIONS_READ)],
    cursor: Annotated[str | None, Query(description="The `next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=reading.PAGE_MOST)] = reading.PAGE,
) -> Response:
    """One conversation: its runs, and its messages, oldest first, with what is not given to the model any more."""
    return reply(await reading.show_session(services, who, read_id(session), cursor=cursor or None, limit=limit))


@router.delete(
    "/v1/sessions/{session}",
    status_code=204,
    summary="Delete a session",
    responses={204: {"description": "It is deleted."}, **problems("not-found")},
)
async def delete_session(
    session: str, services: TheServices, who: Annotated[Who, needs(Scope.SESSIONS_WRITE)]
) -> Response:
    """Stop its runs, and show and give nothing of it any more. Asking again changes nothing; it cannot be undone."""
    await use.delete_session(services, who, read_id(session))
    return Response(status_code=204)


@router.post(
    "/v1/sessions/{session}/invalidations",
    status_code=201,
    summary="Invalidate messages",
    openapi_extra=body(InvalidationBody),
    responses={
        **answer(201, InvalidationView, "The messages are not given to the model any more."),
        **problems("not-found", "session-deleted", "session-history-gone", "idempotency-key-reused", "erased", *BODY),
    },
)
async def post_invalidation(
    request: Request, session: str, services: TheServices, who: Annotated[Who, needs(Scope.SESSIONS_WRITE)]
) -> Response:
    """Mark messages as no longer to be given to the model. Runs that begin from now on are not given them."""
    given = await read_body(request, InvalidationBody)
    view = await withdraw.invalidate_messages(services, who, read_id(session), given.what, given.reason, id=given.id)
    return reply(view, 201)


@router.get(
    "/v1/sessions/{session}/invalidations",
    summary="List invalidations",
    responses={
        **answer(200, InvalidationList, "Invalidations, oldest first."),
        **problems("not-found", "session-deleted"),
    },
)
async def get_invalidations(
    session: str, services: TheServices, who: Annotated[Who, needs(Scope.SESSIONS_READ)]
) -> Response:
    """What was marked in this session, by whom and why; lifted ones included."""
    return reply(await withdraw.list_invalidations(services, who, read_id(session)))


@router.post(
    "/v1/sessions/{session}/invalidations/{invalidation}/lift",
    summary="Lift an invalidation",
    openapi_extra=body(LiftBody),
    responses={
        **answer(200, InvalidationView, "The messages are given again."),
        **problems("not-found", "session-deleted", "erased", *BODY),
    },
)
async def post_lift(
    request: Request,
    session: str,
    invalidation: str,
    services: TheServices,
    who: Annotated[Who, needs(Scope.SESSIONS_WRITE)],
) -> Response:
    """Give messages again, to runs that begin from now on. Lifted already, nothing changes."""
    given = await read_body(request, LiftBody)
    view = await withdraw.lift_invalidation(services, who, read_id(session), read_id(invalidation), given.reason)
    return reply(view)

"""What happens in a run, as it happens or page by page."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from holdfast.api.describe import problems
from holdfast.api.requests import TheServices, needs, read_id, reply, standing_of
from holdfast.api.sse import stream_response
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service.read_events import PAGE, PAGE_MOST, read_events
from holdfast.service.views import EventPage
from holdfast.service.watch_events import follow, open_watch

router = APIRouter(tags=["events"])

_STREAM_EXAMPLE = (
    'id: 3\nevent: model_requested\ndata: {"id":"3","seq":3,"type":"model_requested",…}\n\n'
    'id: 3.1.0.5\nevent: delta\ndata: {"id":"3.1.0.5","seq":3,"attempt":1,"part":0,"kind":"text",'
    '"start":0,"text":"Hello"}\n\n'
    ": heartbeat\n\n"
    'id: 4\nevent: model_responded\ndata: {"id":"4","seq":4,"type":"model_responded",…}\n\n'
)
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "model": EventPage,
        "description": "The stream, until the run's last event; or a page of durable events with "
        "`Accept: application/json`.",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _STREAM_EXAMPLE}},
    },
    204: {"description": "The run has ended and nothing is behind the given place: do not connect again."},
}


@router.get(
    "/v1/runs/{run}/events",
    summary="Follow a run",
    responses={**_ANSWERS, **problems("not-found", "invalid-cursor", "invalid-request")},
)
async def get_events(
    request: Request,
    run: str,
    services: TheServices,
    who: Annotated[Who, needs(Scope.RUNS_READ)],
    after: Annotated[str | None, Query(description="The id of the last event received.")] = None,
    deltas: Annotated[bool, Query(description="Whether to stream text of responses apart from their events.")] = True,
    limit: Annotated[int, Query(ge=1, le=PAGE_MOST, description="For pages only.")] = PAGE,
    last_event_id: Annotated[str | None, Header(description="As `after`, which it overrides.")] = None,
    accept: Annotated[str, Header(include_in_schema=False)] = "*/*",
) -> Response:
    """Durable events in order, and between them the text of responses as it is generated (`delta`).

    Connect again with the last id received, to any replica, and the stream goes on exactly there. Text that was
    shown of an attempt that was given up is declared void by `attempt_void` with the attempt's `seq` and `attempt`.
    The stream ends before the run does when the credential ends or the right to read the run is lost.
    """
    id_, place = read_id(run), last_event_id or after or ""
    if _wants_pages(accept):
        return reply(await read_events(services, who, id_, after=place, limit=limit))
    watch = await open_watch(services, who, id_, place, deltas=deltas)
    if watch is None:
        return Response(status_code=204)
    return stream_response(id_, follow(watch, standing_of(request, who)), request.app.state.heartbeat_s)


def _wants_pages(accept: str) -> bool:
    offered = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    return "application/json" in offered and "text/event-stream" not in offered

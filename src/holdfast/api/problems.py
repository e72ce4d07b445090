"""Errors as problem documents: what happened and what to do, under a stable type."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from holdfast.api.catalogue import CATALOGUE
from holdfast.api.uncached import NO_STORE
from holdfast.domain.errors import HoldfastError, OperatorError, RequestError, Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fastapi import FastAPI
    from starlette.requests import Request

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 2
_log = structlog.get_logger("holdfast.api")


class ProblemView(BaseModel):
    """A problem document (RFC 9457)."""

    type: str
    """A relative reference; a GET of it explains the problem."""
    title: str
    status: int
    detail: str
    """What happened and what to do."""
    instance: str
    """The path of the request."""
    errors: list[dict[str, str]] | None = None
    """Each place that does not fit, for `invalid-request`."""


class InvalidRequest(RequestError):
    """Parts of the request do not fit what the route expects."""

    slug = "invalid-request"
    status = 422

    def __init__(self, faults: Iterable[Any], root: str = "") -> None:
        self.errors = [_fault(fault, root) for fault in faults]
        places = "; ".join(f"{fault['where']}: {fault['message']}" for fault in self.errors)
        super().__init__(f"The request does not fit: {places}.")

    @classmethod
    def of_body(cls, error: ValidationError) -> InvalidRequest:
        """What Pydantic found in a body."""
        return cls(error.errors(include_url=False, include_input=False, include_context=False), "body")


def problem_response(
    request: Request, slug: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any
) -> Response:
    """The problem `slug` as a response."""
    kind = CATALOGUE[slug]
    document = {
        "type": f"/problems/{slug}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "instance": request.url.path,
        **more,
    }
    return Response(orjson.dumps(document), kind.status, headers, MEDIA_TYPE)


def install(api: FastAPI) -> None:
    """Make every error that leaves a route a problem document."""
    api.add_exception_handler(HoldfastError, _holdfast_error)
    api.add_exception_handler(RequestValidationError, _validation_error)
    api.add_exception_handler(HTTPException, _http_error)
    api.add_exception_handler(Exception, _internal_error)


async def _holdfast_error(request: Request, error: Exception) -> Response:
    if isinstance(error, InvalidRequest):
        return problem_response(request, error.slug, str(error), errors=error.errors)
    if isinstance(error, Unauthenticated):
        return problem_response(request, error.slug, str(error), headers={"WWW-Authenticate": "Bearer"})
    if isinstance(error, RequestError) and error.retry_after_s is not None:
        return problem_response(request, error.slug, str(error), headers={"Retry-After": str(error.retry_after_s)})
    if isinstance(error, RequestError):
        # Who is told that their body is late is not to go on with it on this connection.
        late = {"Connection": "close"} if error.status == HTTPStatus.REQUEST_TIMEOUT else None
        return problem_response(request, error.slug, str(error), headers=late)
    if isinstance(error, OperatorError):
        # What an operator reads may name hosts and files: it goes to the log, not to callers.
        _log.error("request_unavailable", path=request.url.path, error=str(error))
        detail = f"The request could not be served ({type(error).__name__}). The server's log says why. Try again."
        return problem_response(request, "unavailable", detail, headers={"Retry-After": str(RETRY_AFTER_S)})
    return await _internal_error(request, error)


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return await _holdfast_error(request, InvalidRequest(error.errors()))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == CATALOGUE["no-such-route"].status:
        return problem_response(
            request, "no-such-route", f"Nothing is served under {request.url.path}. GET /openapi.json lists the routes."
        )
    if error.status_code == CATALOGUE["method-not-allowed"].status:
        detail = f"{request.method} is not served under {request.url.path}. The Allow header names what is."
        return problem_response(request, "method-not-allowed", detail, headers=error.headers)
    return problem_response(request, "bad-request", f"The request cannot be served: {error.detail}.")


async def _internal_error(request: Request, error: Exception) -> Response:
    _log.error("request_failed", path=request.url.path, method=request.method, exc_info=error)
    return problem_response(
        request,
        "internal-error",
        "A fault of Holdfast; the server's log has it. With an idempotency key it is safe to send the request again.",
        headers=NO_STORE,  # it is answered outside of all middleware
    )


def _fault(fault: Any, root: str) -> dict[str, str]:
    place = [str(part) for part in fault["loc"]]
    return {"where": ".".join([root, *place] if root else place) or "body", "message": fault["msg"]}

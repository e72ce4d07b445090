"""The FastAPI application."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from holdfast import __version__
from holdfast.api import problems
from holdfast.api.body import MAX_BODY_S
from holdfast.api.export import EXPORT_IDLE_S
from holdfast.api.routes import (
    approvals,
    budgets,
    costs,
    events,
    halts,
    health,
    keys,
    links,
    principals,
    runs,
    sessions,
    tasks,
    tenant,
    tenants,
)
from holdfast.api.routes import dev as dev_login
from holdfast.api.routes import problems as problem_pages
from holdfast.api.scopes import require_scopes
from holdfast.api.sse import HEARTBEAT_S
from holdfast.api.uncached import Uncached

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.service.gate import Gate
    from holdfast.service.services import Services

MAX_BODY_BYTES = 1 << 20
_FOREIGN = "HTTPValidationError"
_DESCRIPTION = (
    "Durable runs of agents. Start a run, follow it as server-sent events from any replica, decide what it asks. "
    "Errors are problem documents (RFC 9457); their `type` is a path on this server that explains them."
)


def create_api(
    services: Services,
    gate: Gate,
    *,
    halting: Services | None = None,
    max_body_bytes: int = MAX_BODY_BYTES,
    max_body_s: float = MAX_BODY_S,
    heartbeat_s: float = HEARTBEAT_S,
    export_idle_s: float = EXPORT_IDLE_S,
    dev: bool = False,
) -> FastAPI:
    """The HTTP interface over `services`.

    Args:
        services: what the use cases work with; opened and closed by the caller.
        gate: who is let in.
        halting: what halts are declared with, on connections that nothing else takes. None: `services`.
        max_body_bytes: bodies larger than this are refused while they are read.
        max_body_s: seconds after which a body that is not all here is refused.
        dev: whether to serve the login of `holdfast dev`.
        heartbeat_s: seconds of silence after which an event stream sends a comment.
        export_idle_s: seconds after which an export is broken off of which nothing was taken.
    """
    api = FastAPI(
        title="Holdfast",
        version=__version__,
        description=_DESCRIPTION,
        docs_url=None,  # the page loads scripts from elsewhere, and only loopback can be counted on
        redoc_url=None,
        redirect_slashes=False,
    )
    api.state.services = services
    api.state.gate = gate
    api.state.halting = services if halting is None else halting
    api.state.halting_gate = gate.on(api.state.halting.db)
    api.state.dev = dev
    api.state.max_body_bytes = max_body_bytes
    api.state.max_body_s = max_body_s
    api.state.heartbeat_s = heartbeat_s
    api.state.export_idle_s = export_idle_s
    api.add_middleware(Uncached)
    problems.install(api)
    api.openapi = partial(_openapi, api, api.openapi)
    routers = (
        tasks,
        runs,
        events,
        sessions,
        approvals,
        halts,
        budgets,
        costs,
        links,
        principals,
        keys,
        tenant,
        tenants,
        health,
        problem_pages,
    )
    for routes in routers:
        api.include_router(routes.router)
    if dev:
        api.include_router(dev_login.router)
    require_scopes(api)
    return api


def _openapi(api: FastAPI, generate: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The document, without the framework's own form of validation errors: ours are problem documents."""
    if api.openapi_schema is not None:
        return api.openapi_schema
    document = generate()
    for route in (route for methods in document["paths"].values() for route in methods.values()):
        route["responses"] = {
            status: answer for status, answer in route["responses"].items() if _FOREIGN not in str(answer)
        }
    for name in (_FOREIGN, "ValidationError"):
        document["components"]["schemas"].pop(name, None)
    return document

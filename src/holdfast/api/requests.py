"""What every route takes from a request, and how it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import Depends, Header, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes
from starlette.responses import Response

from holdfast.api.body import receive_body
from holdfast.domain.errors import InvalidInput
from holdfast.domain.principal import Who
from holdfast.domain.rights import Role, Scope
from holdfast.service.gate import Gate
from holdfast.service.services import Services
from holdfast.service.standing import FRESH_S, Standing

if TYPE_CHECKING:
    from pydantic import BaseModel

_NOBODY = UUID(int=0)
COOKIE = "holdfast_dev"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def services_of(request: Request) -> Services:
    """What this process serves with."""
    return request.app.state.services


def halting_services_of(request: Request) -> Services:
    """What halts are declared, seen and lifted with: nothing else takes these connections."""
    return request.app.state.halting


_bearer = HTTPBearer(
    scheme_name="bearer",
    description="An API key, or a token of an issuer that this installation trusts.",
    auto_error=False,
)


async def who_asks(
    request: Request,
    needed: SecurityScopes,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Who:
    """The one who asks, once it is clear that they hold the route's scope, and hold it still when their body is here.

    Raises:
        RequestError: the credential is not accepted, or does not reach this; the body is too large, or does not arrive.
    """
    return await _admitted(request, request.app.state.gate, needed, bearer)


async def who_halts(
    request: Request,
    needed: SecurityScopes,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Who:
    """As `who_asks`, by the connections of `halting_services_of`."""
    return await _admitted(request, request.app.state.halting_gate, needed, bearer)


async def _admitted(
    request: Request, gate: Gate, needed: SecurityScopes, bearer: HTTPAuthorizationCredentials | None
) -> Who:
    credential = bearer.credentials if bearer is not None else _cookie(request)
    request.state.credential = credential
    who = await _let_in(request, gate, needed, credential)
    clock = asyncio.get_running_loop().time
    looked_at = clock()
    # Received here and not by the route: a body may take long, whoever sends it may lose their rights meanwhile, and no
    # route is to go on by what they were. One that read the socket itself would find it read.
    request.state.body = await receive_body(request, request.app.state.max_body_bytes)
    if clock() - looked_at >= FRESH_S:
        who = await _let_in(request, gate, needed, credential)
    return who


async def _let_in(request: Request, gate: Gate, needed: SecurityScopes, credential: str | None) -> Who:
    source = request.client.host if request.client else "unknown"
    who = await gate.admit(credential, source=source)
    for scope in needed.scopes:
        if scope != ANY:
            who.reach(Scope(scope))
    return who


def credential_of(request: Request) -> str | None:
    """The credential that a browser or a client sends by itself, for pages that take one in their form as well."""
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    return text.strip() or None if scheme.lower() == "bearer" else _cookie(request)


def standing_of(request: Request, who: Who) -> Standing:
    """The one who asks, for a route whose answer goes on for a while."""
    gate: Gate = request.app.state.gate
    return Standing(who, partial(gate.again, request.state.credential))


def _cookie(request: Request) -> str | None:
    """The key in the cookie of the dev login, where that is served and the request is this server's own page's.

    The cookie is SameSite=Strict. The rest is against names that lead to loopback from elsewhere (DNS rebinding).
    """
    if not request.app.state.dev:
        return None
    host = request.headers.get("host", "")
    origin = request.headers.get("origin")
    if urlsplit(f"//{host}").hostname not in LOOPBACK or (origin is not None and origin != f"http://{host}"):
        return None
    return request.cookies.get(COOKIE)


ANY = "any"
"""Instead of a scope: the route is for whoever has a valid credential."""


def needs(scope: Scope | None = None) -> Any:
    """The one who asks, for a route that needs this scope, or a valid credential and no more."""
    return Security(who_asks, scopes=[ANY if scope is None else scope.value])


def needs_to_halt(scope: Scope) -> Any:
    """As `needs`, for a route that is answered while everything else waits."""
    return Security(who_halts, scopes=[scope.value])


TheServices = Annotated[Services, Depends(services_of)]
HaltingServices = Annotated[Services, Depends(halting_services_of)]


IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="The same key with the same body makes nothing a second time and answers with what the first made. "
        "Keys do not expire.",
    ),
]
"""The key of a request that may come again."""


def read_id(text: str) -> UUID:
    """The id in a path. What is no id takes the same way as one that does not exist: to 404, by the same query."""
    try:
        found = UUID(text)
    except ValueError:
        return _NOBODY
    return found if str(found) == text.lower() else _NOBODY


def read_role(text: str) -> Role:
    """The role in a path.

    Raises:
        InvalidInput: there is no such role.
    """
    try:
        return Role(text)
    except ValueError:
        raise InvalidInput(f"There is no role '{text[:32]}'. There are: {', '.join(sorted(Role))}.") from None


def reply(view: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A view as JSON, written once and straight to bytes."""
    return Response(view.model_dump_json(), status, headers, "application/json")

"""API keys."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from holdfast.api.bodies import KeyBody, RotateBody
from holdfast.api.body import read_body
from holdfast.api.describe import BODY, answer, body, problems
from holdfast.api.requests import IdempotencyKey, TheServices, needs, read_id, reply
from holdfast.domain.principal import Who
from holdfast.domain.rights import Scope
from holdfast.service import manage_keys as use
from holdfast.service.identity_views import KeyPage, KeyView, NewKeyView
from holdfast.service.pages import PAGE, PAGE_MOST

router = APIRouter(tags=["keys"])


@router.get(
    "/v1/keys",
    summary="List keys",
    responses={**answer(200, KeyPage, "Keys, newest first."), **problems("invalid-cursor", "invalid-request")},
)
async def get_keys(
    services: TheServices,
    who: Annotated[Who, needs(Scope.KEYS_READ)],
    cursor: Annotated[str | None, Query(description="The `next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MOST)] = PAGE,
) -> Response:
    """Your own, or the tenant's where your scope reaches so far. Secrets are stored nowhere."""
    return reply(await use.list_keys(services, who, cursor=cursor or None, limit=limit))


@router.post(
    "/v1/keys",
    status_code=201,
    summary="Make a key",
    openapi_extra=body(KeyBody, required=False),
    responses={
        **answer(201, NewKeyView, "The key, with its secret, this once."),
        **problems("not-found", "idempotency-key-reused", *BODY),
    },
)
async def post_key(
    request: Request,
    services: TheServices,
    who: Annotated[Who, needs(Scope.KEYS_WRITE)],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Make a key for yourself or, where your scope reaches so far, for another principal.

    A request that comes again with its idempotency key is answered with the key it made, and `secret` null.
    """
    given = await read_body(request, KeyBody, optional=True)
    view = await use.create_key(
        services,
        who,
        principal=given.principal,
        name=given.name,
        scopes=given.scopes,
        expires_at=given.expires_at,
        idempotency_key=idempotency_key,
    )
    return reply(view, 201)


@router.post(
    "/v1/keys/{key}/rotate",
    status_code=201,
    summary="Rotate a key",
    openapi_extra=body(RotateBody, required=False),
    responses={
        **answer(201, NewKeyView, "Its successor, with its secret, this once."),
        **problems("not-found", "unknown-scope", "idempotency-key-reused", *BODY),
    },
)
async def post_rotation(
    request: Request,
    key: str,
    services: TheServices,
    who: Annotated[Who, needs(Scope.KEYS_WRITE)],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Make a key like this one, which is accepted for `overlap_s` more seconds. One that ends makes one that ends."""
    given = await read_body(request, RotateBody, optional=True)
    view = await use.rotate_key(
        services,
        who,
        read_id(key),
        overlap_s=given.overlap_s,
        expires_at=given.expires_at,
        idempotency_key=idempotency_key,
    )
    return reply(view, 201)


@router.delete(
    "/v1/keys/{key}",
    summary="End a key",
    responses={**answer(200, KeyView, "The key, ended."), **problems("not-found")},
)
async def delete_key(key: str, services: TheServices, who: Annotated[Who, needs(Scope.KEYS_WRITE)]) -> Response:
    """From now on it is not accepted."""
    return reply(await use.revoke_key(services, who, read_id(key)))

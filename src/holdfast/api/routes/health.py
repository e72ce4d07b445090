"""Whether this process lives, and whether it can serve."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.responses import Response

from holdfast.api.describe import problems
from holdfast.api.requests import TheServices, reply

router = APIRouter(tags=["health"])


class HealthView(BaseModel):
    """A sign of life."""

    status: str = "ok"


@router.get("/healthz", summary="Is it alive?", responses={200: {"model": HealthView}})
async def get_health() -> Response:
    """Answers as long as the process does; says nothing of the database."""
    return reply(HealthView())


@router.get("/readyz", summary="Can it serve?", responses={200: {"model": HealthView}, **problems(public=True)})
async def get_readiness(services: TheServices) -> Response:
    """Answers 200 while the database can be reached and its schema is the one this code needs."""
    await services.db.check()
    return reply(HealthView())

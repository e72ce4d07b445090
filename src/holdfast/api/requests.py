"""What every route takes from a request, and how it answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from fastapi import Depends, Request
from starlette.responses import Response

from holdfast.service.services import LOCAL, Services, Who

if TYPE_CHECKING:
    from pydantic import BaseModel

_NOBODY = UUID(int=0)


def services_of(request: Request) -> Services:
    """What this process serves with."""
    return request.app.state.services


def who_asks() -> Who:
    """The one who asks. There are no identities yet: everybody is the local person."""
    return LOCAL


TheServices = Annotated[Services, Depends(services_of)]
TheWho = Annotated[Who, Depends(who_asks)]


def read_id(text: str) -> UUID:
    """The id in a path. What is no id takes the same way as one that does not exist: to 404, by the same query."""
    try:
        found = UUID(text)
    except ValueError:
        return _NOBODY
    return found if str(found) == text.lower() else _NOBODY


def reply(view: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A view as JSON, written once and straight to bytes."""
    return Response(view.model_dump_json(), status, headers, "application/json")

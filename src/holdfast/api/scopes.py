"""Every route says which scope it needs, or is named here as one for anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi.routing import APIRoute

from holdfast.api.requests import who_asks, who_halts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi import FastAPI
    from fastapi.dependencies.models import Dependant

PUBLIC = frozenset({"/healthz", "/readyz", "/problems", "/problems/{slug}", "/dev/login", "/links/{token}"})
"""Signs of life, the pages that explain problems, the way in of `holdfast dev`, and the page behind a signed link,
which is its own credential. The OpenAPI document, which names no tenant's anything, is served to anybody too."""


def require_scopes(api: FastAPI) -> None:
    """Refuse an interface with a route that asks for nothing: the gate would not even be reached.

    Raises:
        AssertionError: naming each such route. A fault of the code, met by the first start and by every test.
    """
    open_routes = [
        f"{sorted(route.methods or ())} {route.path}"
        for route in api.routes
        if isinstance(route, APIRoute) and route.path not in PUBLIC and not scopes_of(route)
    ]
    assert not open_routes, f"Routes that declare no scope: {', '.join(open_routes)}"


def scopes_of(route: APIRoute) -> list[str]:
    """The scopes that a route asks for."""
    gates = [one for one in _all(route.dependant) if one.call in {who_asks, who_halts}]
    return sorted({scope for gate in gates for scope in gate.own_oauth_scopes or ()})


def _all(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for inner in dependant.dependencies:
        yield from _all(inner)

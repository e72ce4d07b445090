"""A campaign with all that it needs: an API on a real socket, and the cast."""

from __future__ import annotations

import os
from random import Random
from typing import Any
from urllib.parse import urlsplit

import httpx2
from leak_campaign import Campaign
from leak_cast import cast_on

from support.api_serving import serving

METHODS = ("get", "put", "post", "delete", "patch")


async def campaign_on(database: Any, requests: int) -> Campaign:
    """A campaign of so many requests, on an API of this process."""
    seed = int(os.environ.get("HOLDFAST_LEAK_SEED", "1"))
    r = Random(seed)
    async with serving(database.api_url) as url, cast_on(url, database, r) as cast:
        async with httpx2.AsyncClient(base_url=url) as client:
            paths = (await client.get("/openapi.json")).json()["paths"]
        routes = [f"{method.upper()} {path}" for path, item in paths.items() for method in METHODS if method in item]
        found = Campaign(cast, urlsplit(url).port or 0, database.admin_url, r)
        try:
            await found.run(requests, routes)
        finally:
            print(f"seed {seed}", found.report())
        assert {route for route in routes if not found.counts[route]} == set(), "a route that nobody asked"
    return found

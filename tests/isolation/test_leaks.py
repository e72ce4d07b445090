"""Two tenants, the same in everything a caller can choose: requests at random by everybody through every route.

Nothing of another tenant is in any answer, what is another's is answered as what nobody has, and no row of the other
tenant changes. `HOLDFAST_LEAK_REQUESTS` and `HOLDFAST_LEAK_SEED` say how many and which.
"""

import os
from random import Random
from urllib.parse import urlsplit

import httpx2
import pytest
import uvloop
from leak_campaign import Campaign
from leak_cast import cast_on
from leak_model import PROMISED

from holdfast.domain.rights import GIVEN
from support.api_serving import serving

METHODS = ("get", "put", "post", "delete", "patch")


async def campaign(database, requests: int) -> Campaign:
    seed = int(os.environ.get("HOLDFAST_LEAK_SEED", "1"))
    r = Random(seed)
    async with serving(database.api_url) as url, cast_on(url, database, r) as cast:
        async with httpx2.AsyncClient(base_url=url) as client:
            paths = (await client.get("/openapi.json")).json()["paths"]
        routes = [f"{method.upper()} {path}" for path, item in paths.items() for method in METHODS if method in item]
        found = Campaign(cast, urlsplit(url).port, database.admin_url, r)
        try:
            await found.run(requests, routes)
        finally:
            print(f"seed {seed}", found.report())
        assert {route for route in routes if not found.counts[route]} == set(), "a route that nobody asked"
    return found


def test_the_model_of_rights_is_what_the_code_gives():
    given = {
        str(role): {str(scope): reach.name.lower() for scope, reach in rights.items()} for role, rights in GIVEN.items()
    }
    assert given == PROMISED


@pytest.mark.timeout(1200)
def test_nothing_leaks(database):
    found = uvloop.run(campaign(database, int(os.environ.get("HOLDFAST_LEAK_REQUESTS", "20000"))))
    assert found.twins > found.counts.total() / 20, "too few of the requests were for what is another's"


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_nothing_leaks_in_a_million(database):
    uvloop.run(campaign(database, int(os.environ.get("HOLDFAST_LEAK_REQUESTS", "1000000"))))

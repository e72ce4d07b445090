"""Schemathesis against the OpenAPI document: what fits it and what does not, with credentials that are let in or not.

Every answer is one that the document names, of the type and form it says, and none is a fault of the server.
"""

import asyncio
from contextlib import suppress

import httpx2
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from requests.adapters import HTTPAdapter
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from holdfast.api.scopes import PUBLIC
from support.api_process import started
from support.credentials import local_bearer

EXAMPLES = 5
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
LET_IN = 2
"""The first two of the credentials are accepted."""
MODES = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]


@pytest.fixture
def url(database):
    with started(database.api_url) as process:
        yield process.url


def credentials(database, url: str) -> dict[str, dict[str, str]]:
    """Headers of one who may everything, of one who may little, and of nobody."""
    full = asyncio.run(local_bearer(database.api_url))
    with httpx2.Client(base_url=url, headers=full) as client:
        key = client.post("/v1/keys", json={"scopes": ["runs:read"]}).json()
    narrowed, guess = {"Authorization": f"Bearer {key['secret']}"}, {"Authorization": "Bearer guess"}
    return {"full": full, "narrowed": narrowed, "guess": guess, "none": {}}


class From(HTTPAdapter):
    """Requests from an address of one's own on loopback: who guesses too often from one place has to wait."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *args, **options) -> None:
        super().init_poolmanager(*args, source_address=(self._address, 0), **options)


def operations(url: str):
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    schema.config.base_url = url
    return [found.ok() for found in schema.get_all_operations()]


@pytest.mark.timeout(600)
def test_every_answer_is_one_that_the_document_promises(database, url):
    asked, known = 0, credentials(database, url)
    for number, operation in enumerate(operations(url)):
        for place, headers in enumerate(known.values()):
            for mode in MODES:
                with requests.Session() as session:
                    session.mount("http://", From(f"127.0.{place + 1}.{number + 1}"))
                    count = ask(operation, headers, mode, session, let_in=place < LET_IN)
                    assert count or mode is GenerationMode.NEGATIVE, operation.label
                    asked += count
    print(f"\n{asked:,} requests by Schemathesis")


def ask(operation, headers, mode, session, *, let_in: bool) -> int:
    count = 0

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def act(case) -> None:
        nonlocal count
        count += 1
        answer = case.call(headers=headers, session=session)
        case.validate_response(answer, checks=CHECKS)
        assert let_in or operation.path in PUBLIC or answer.status_code in {401, 404, 405, 429}

    with suppress(Unsatisfiable):  # a route without parameters cannot be asked wrongly
        act()
    return count

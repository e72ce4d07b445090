"""Two tenants, the same in everything a caller can choose: requests at random by everybody through every route.

Nothing of another tenant is in any answer, what is another's is answered as what nobody has, and no row of the other
tenant changes. `HOLDFAST_LEAK_REQUESTS` and `HOLDFAST_LEAK_SEED` say how many and which.
"""

import os

import pytest
import uvloop
from leak_campaign import CONTENT
from leak_model import PROMISED
from leak_scene import campaign_on

from holdfast.domain.rights import GIVEN


def test_the_model_of_rights_is_what_the_code_gives():
    given = {
        str(role): {str(scope): reach.name.lower() for scope, reach in rights.items()} for role, rights in GIVEN.items()
    }
    assert given == PROMISED


@pytest.mark.timeout(1200)
def test_nothing_leaks(database):
    found = uvloop.run(campaign_on(database, int(os.environ.get("HOLDFAST_LEAK_REQUESTS", "20000"))))
    if found.counts.total() >= 10_000:  # fewer, as while one works on it, may miss the rarest
        assert set(found.shown) == set(CONTENT), "something that is to stay apart was never shown at all"
    assert found.twins > found.counts.total() / 20, "too few of the requests were for what is another's"


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_nothing_leaks_in_a_million(database):
    uvloop.run(campaign_on(database, int(os.environ.get("HOLDFAST_LEAK_REQUESTS", "1000000"))))

"""The store's verbs against a model of them, seed by seed, as the real login roles."""

import psycopg
import pytest

from simulation.campaign import KINDS, SEEDS, Count, Failed, run_seeds, urls
from simulation.database import Store
from simulation.plan import INCIDENTS
from simulation.sabotage import BEGIN_AT, IN_AN_INCIDENT, SABOTAGE, sabotage
from simulation.simulate import run_seed

ENOUGH = 300
"""Seeds within which a broken rule must show."""


@pytest.mark.timeout(900)
def test_the_store_does_what_the_model_says(database):
    count = Count()
    with Store(urls(database)) as store:
        run_seeds(store, range(SEEDS), count)
        run_seeds(store, range(INCIDENTS, INCIDENTS + ENOUGH), count)
    assert set(count.seen) == KINDS
    print(count)


def test_a_seed_gives_the_same_trace_again(database):
    with Store(urls(database)) as store:
        first = [run_seed(store, seed).digest for seed in range(20)]
        again = [run_seed(store, seed).digest for seed in reversed(range(20))]
    assert first == again[::-1]
    assert len(set(first)) == len(first)


@pytest.mark.parametrize("what", [*SABOTAGE, *IN_AN_INCIDENT])
def test_a_broken_rule_is_caught(database, what):
    first = INCIDENTS if what in IN_AN_INCIDENT else 0
    likely = first + BEGIN_AT.get(what, 0)
    seeds = [*range(likely, first + ENOUGH), *range(first, likely)]
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        sabotage(admin, what)
    with Store(urls(database)) as store, pytest.raises(Failed, match=r"seed \d+, in \d+ operations") as failed:
        run_seeds(store, seeds, Count())
    print(failed.value)

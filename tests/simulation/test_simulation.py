"""The store's verbs against a model of them, seed by seed, as the real login roles."""

from simulation.database import Store
from simulation.simulate import report, run_seed

SEEDS = 1_000


def urls(database) -> dict[str, str]:
    return {
        "admin": database.admin_url,
        "owner": database.admin_url,
        "worker": database.worker_url,
        "api": database.api_url,
    }


def test_the_store_does_what_the_model_says(database):
    with Store(urls(database)) as store:
        for seed in range(SEEDS):
            outcome = run_seed(store, seed)
            assert not outcome.divergence, report(store, seed)

"""The store's verbs against a model of them, seed by seed, as the real login roles."""

import psycopg
import pytest

from simulation.campaign import Count, Failed, run_seeds
from simulation.database import Store
from simulation.sabotage import SABOTAGE, sabotage
from simulation.simulate import run_seed

SEEDS = 1_000
ENOUGH = 300
"""Seeds within which a broken rule must show."""

KINDS = {
    *(f"append {outcome}" for outcome in ("appended", "fenced", "halted", "cancelled", "signalled", "busy")),
    *(f"accept_run {outcome}" for outcome in ("accepted", "repeated", "conflict")),
    *(f"deliver_signal {outcome}" for outcome in ("delivered", "repeated", "finished", "absent")),
    *(f"decide_approval {outcome}" for outcome in ("decided", "already", "mismatch", "invalid", "absent")),
    *(f"tick {count}" for count in ("rescued", "quarantined", "woken", "parked", "unparked", "rewound")),
    *(f"renew {kind}" for kind in ("True", "False", "attention", "stray", "lost")),
    *(f"{verb} {how}" for verb in ("claim_runs", "release_runs", "leave") for how in ("some", "none")),
    *(f"{verb} {new}" for verb in ("declare_halt", "lift_halt") for new in (True, False)),
    *("register_worker", "pass_time", "fail_over"),
}


def urls(database) -> dict[str, str]:
    return {
        "admin": database.admin_url,
        "owner": database.admin_url,
        "worker": database.worker_url,
        "api": database.api_url,
    }


def test_the_store_does_what_the_model_says(database):
    count = Count()
    with Store(urls(database)) as store:
        run_seeds(store, range(SEEDS), count)
    assert set(count.seen) == KINDS
    print(count)


def test_a_seed_gives_the_same_trace_again(database):
    with Store(urls(database)) as store:
        first = [run_seed(store, seed).digest for seed in range(20)]
        again = [run_seed(store, seed).digest for seed in reversed(range(20))]
    assert first == again[::-1]
    assert len(set(first)) == len(first)


@pytest.mark.parametrize("what", SABOTAGE)
def test_a_broken_rule_is_caught(database, what):
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        sabotage(admin, what)
    with Store(urls(database)) as store, pytest.raises(Failed, match=r"seed \d+, in \d+ operations") as failed:
        run_seeds(store, range(ENOUGH), Count())
    print(failed.value)

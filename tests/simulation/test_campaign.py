"""Fifty thousand seeds, in shards that each have a database of their own: side by side under `pytest -n`.

In each tenth people halt and lift all the time.

A shard writes down how far it came, in the temporary directory and under the name of this very code, so that a campaign
that was stopped goes on from there.
"""

import hashlib
import os
import tempfile
from pathlib import Path

import pytest

from simulation.campaign import KINDS, SEEDS, Count, run_seeds, urls
from simulation.database import Store
from simulation.plan import INCIDENTS

TOTAL = int(os.environ.get("HOLDFAST_SIMULATION_SEEDS", "50000"))
SHARDS = 2
AT_ONCE = 500
"""Seeds between two notes of how far it came."""


def _noted(template: str, shard: int) -> Path:
    code = hashlib.sha256(template.encode())
    for path in sorted(Path(__file__).parent.glob("*.*")):
        code.update(path.read_bytes())
    return Path(tempfile.gettempdir()) / f"holdfast-simulation-{code.hexdigest()[:12]}-{shard}.json"


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_shard_of_the_campaign(database, shard):
    noted = _noted(database.server.template, shard)
    count = Count.load(noted)
    seeds = [seed if seed // SHARDS % 10 else INCIDENTS + seed for seed in range(SEEDS + shard, TOTAL, SHARDS)]
    while count.seeds < len(seeds):
        with Store(urls(database)) as store:
            store.vacuum()
            run_seeds(store, seeds[count.seeds : count.seeds + AT_ONCE], count)
        count.save(noted)
        print(f"shard {shard}: {count.seeds} of {len(seeds)} seeds", flush=True)
    print(f"shard {shard}: {count}")
    assert set(count.seen) == KINDS

"""Many seeds, with counts; a long campaign writes down how far it came and goes on from there."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from simulation.database import Store
from simulation.simulate import report, run_seed

SEEDS = 1_000
"""Of every test run; the long campaign takes those after them."""

_APPENDS = ("appended", "fenced", "halted", "unnamed", "cancelled", "stale", "signalled", "busy")
KINDS = {
    *(f"append {outcome}" for outcome in _APPENDS),
    *(f"accept_run {outcome}" for outcome in ("accepted", "repeated", "conflict")),
    *(f"deliver_signal {outcome}" for outcome in ("delivered", "repeated", "finished", "absent")),
    *(
        f"decide_approval {outcome}"
        for outcome in ("decided", "already", "mismatch", "cancelling", "invalid", "absent")
    ),
    *(f"tick {count}" for count in ("rescued", "quarantined", "woken", "parked", "unparked", "rewound", "halts_due")),
    *(f"renew {kind}" for kind in ("True", "False", "attention", "stray", "lost")),
    *(f"{verb} {how}" for verb in ("claim_runs", "release_runs", "leave", "expire_halts") for how in ("some", "none")),
    *(f"declare_halt {new}" for new in (True, False)),
    *(f"lift_halt {how}" for how in ("lifted", "unchanged", "weak", "absent")),
    *("register_worker", "renew_rights", "pass_time", "fail_over"),
}

"""Every kind of answer there is: seeds that miss one prove less than they seem to."""


def urls(database: Any) -> dict[str, str]:
    """The login of each role, for `Store`."""
    return {
        "admin": database.admin_url,
        "owner": database.admin_url,
        "worker": database.worker_url,
        "api": database.api_url,
    }


class Failed(AssertionError):
    """A seed on which database and model part."""


@dataclass
class Count:
    """What the seeds so far have shown."""

    seeds: int = 0
    seen: Counter[str] = field(default_factory=Counter[str])

    @classmethod
    def load(cls, path: Path) -> Self:
        """Go on where an earlier campaign of the same code stopped."""
        if not path.exists():
            return cls()
        kept = json.loads(path.read_text())
        return cls(kept["seeds"], Counter(kept["seen"]))

    def save(self, path: Path) -> None:
        """Write down how far this came."""
        path.write_text(json.dumps({"seeds": self.seeds, "seen": self.seen}))

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.seen.items()))
        return f"{self.seeds} seeds, {sum(self.seen.values())} answers: {kinds}"


def run_seeds(store: Store, seeds: Iterable[int], count: Count) -> None:
    """Run seeds and add them to the count.

    Raises:
        Failed: with the seed, the shortest list of operations found, and where database and model part.
    """
    for seed in seeds:
        outcome = run_seed(store, seed)
        if outcome.divergence:
            raise Failed(report(store, seed))
        count.seeds += 1
        count.seen += outcome.seen

"""Somebody beside the campaign who looks at the budgets all the time: what has to be true at every moment."""

import threading
from typing import Any, Self

from crash_scene import Superuser

BEYOND = """
select b.scope, b.key, b.unit, b.per, w.owner, w.spent, w.held, w.overran, b.amount, w.extra
from holdfast.budget_windows w join holdfast.budgets b on b.tenant = w.tenant and b.id = w.budget
where w.spent + w.held - w.overran > b.amount + w.extra or w.held < 0 or w.spent < 0
"""
ADRIFT = """
with reserved as (
  select x.budget, x.owner, x.since, sum(x.amount) as amount from holdfast.reservations v,
    unnest(v.budgets, v.owners, v.since, v.amounts) as x (budget, owner, since, amount)
  where not v.estimated group by x.budget, x.owner, x.since)
select coalesce(w.budget, r.budget), coalesce(w.owner, r.owner), w.held, r.amount
from (select * from holdfast.budget_windows where held <> 0) w full join reserved r using (budget, owner, since)
where coalesce(w.held, 0) <> coalesce(r.amount, 0)
"""
ORPHANED = """
select v.run, v.step, v.attempt, r.state from holdfast.reservations v
left join holdfast.runs r on r.tenant = v.tenant and r.id = v.run
where not v.estimated and (r.id is null or r.state in ('succeeded', 'failed', 'cancelled'))
"""
AT_ONCE = "select count(*) from holdfast.reservations where not estimated"
EACH_S = 0.05


class Observer:
    """A thread with a connection of its own. Each look is one statement, and so of one moment."""

    def __init__(self, url: str) -> None:
        self._connection = Superuser(url)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_all_the_time, daemon=True)
        self.looks, self.most_at_once = 0, 0
        self.wrong: list[str] = []
        self.failed: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._connection.close()

    def look(self) -> None:
        """Look once."""
        for what, statement in (("beyond", BEYOND), ("adrift", ADRIFT), ("orphaned", ORPHANED)):
            self.wrong += [f"{what}: {row}" for row in self._rows(statement)]
        self.most_at_once = max(self.most_at_once, self._rows(AT_ONCE)[0][0])
        self.looks += 1

    def _rows(self, statement: str) -> list[Any]:
        return self._connection.execute(statement)

    def _look_all_the_time(self) -> None:
        try:
            while not self._over.wait(EACH_S) and len(self.wrong) < 20:
                self.look()
        except BaseException as error:  # noqa: BLE001 - told by whoever reads it
            self.failed = error

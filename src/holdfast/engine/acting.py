"""Whom a run is for, and whether it may go on for them, and the limits of their tenant.

A run never does more than its principal may now. What changes their rights marks their runs in the same transaction; an
intent of a marked run is refused, and its holder looks again before it tries once more. So a tool that is entered was
announced under the rights that `principal` shows. The same goes for a tenant's limits.

What an identity provider says of somebody grows old without anybody's doing: the provider may have let them go. A task
says how old it may be. That is looked at before each intent, by this machine's clock from an age that the database
told, and costs no round trip; where it is too old the database is asked once more, for they may have signed in again.
A machine whose clock stood still meanwhile has lost its lease, and with it the run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from holdfast.domain.limits import Ceilings
from holdfast.domain.principal import Principal
from holdfast.domain.rights import Scope, may_join_others
from holdfast.domain.state import WaitingOn
from holdfast.engine.interrupt import Park
from holdfast.store.claims import Behind, Claimed, renew_rights

if TYPE_CHECKING:
    from holdfast.store.pool import Database
    from holdfast.task import Task


class Acting:
    """The principal behind one execution of a run.

    Args:
        db: where to look again.
        claimed: the run, with its principal as of the claim.
        task: what it runs.
        clock: seconds that only go forward.
    """

    def __init__(self, db: Database, claimed: Claimed, task: Task, clock: Callable[[], float]) -> None:
        self._db, self._claimed, self._task, self._clock = db, claimed, task, clock
        self._know(claimed.behind)

    def _know(self, behind: Behind | None) -> None:
        self._principal = None if behind is None else behind.principal
        self.ceilings: Ceilings = {} if behind is None else behind.ceilings
        """The limits of the tenant, as of the last look."""
        age_s, most_s = None if behind is None else behind.claims_age_s, self._task.claims_max_age_s
        self._good_until_s = math.inf if age_s is None or most_s is None else self._clock() + most_s - age_s

    @property
    def principal(self) -> Principal:
        """Who they are and what they may, as of the last intent."""
        assert self._principal is not None, "a run for nobody is parked before anything of the user's is asked"
        return self._principal

    @property
    def outdated(self) -> bool:
        """Whether what was last read of the principal is too old to act on: look again."""
        return self._clock() >= self._good_until_s

    async def enter(self) -> None:
        """As `check`, when an execution begins: it looks again before it has anybody sign in.

        Raises:
            Park: until their rights change, or they sign in.
            OperatorError: the database is away.
        """
        await self.renew() if self.outdated else self.check()

    def check(self) -> None:
        """Stop a run whose principal may not have it run any more.

        Raises:
            Park: until their rights change, or they sign in.
        """
        who = self._principal
        if who is None:
            raise Park(WaitingOn.RIGHTS, "its principal is not there")
        if who.disabled:
            raise Park(WaitingOn.RIGHTS, "its principal is disabled")
        if Scope.RUNS_START not in who.rights:
            raise Park(WaitingOn.RIGHTS, "its principal has no role any more that lets them start runs")
        if self._task.roles and not self._task.roles & who.roles:
            raise Park(WaitingOn.RIGHTS, "its principal has none of the roles any more that the task is for")
        if self._claimed.subject != self._claimed.principal and not may_join_others(who.rights):
            raise Park(WaitingOn.RIGHTS, "its principal may not go on with sessions of others any more")
        if self.outdated:
            assert self._task.claims_max_age_s is not None
            raise Park(
                WaitingOn.LOGIN,
                "its principal has to sign in again: what their identity provider said of them is older than the "
                f"{duration(self._task.claims_max_age_s)} that the task allows",
            )

    async def renew(self) -> None:
        """Look again, and stop the run if it may not go on.

        Raises:
            Park: until their rights change, or they sign in.
            OperatorError: the database is away.
        """
        self._know(await renew_rights(self._db, self._claimed))
        self.check()


def duration(seconds: float) -> str:
    """A length of time as people say it."""
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds % unit == 0:
            return f"{seconds / unit:g} {name}"
    return f"{seconds:g} s"

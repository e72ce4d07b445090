"""Whom a run is for, and whether it may go on for them.

A run never does more than its principal may now. What changes their rights marks their runs in the same transaction; an
intent of a marked run is refused, and its holder looks again before it tries once more. So a tool that is entered was
announced under the rights that `principal` shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.domain.principal import Principal
from holdfast.domain.rights import Scope, may_join_others
from holdfast.domain.state import WaitingOn
from holdfast.engine.interrupt import Park
from holdfast.store.claims import Claimed, renew_rights

if TYPE_CHECKING:
    from holdfast.app import Task
    from holdfast.store.pool import Database


class Acting:
    """The principal behind one execution of a run.

    Args:
        db: where to look again.
        claimed: the run, with its principal as of the claim.
        task: what it runs.
    """

    def __init__(self, db: Database, claimed: Claimed, task: Task) -> None:
        self._db, self._claimed, self._task = db, claimed, task
        self._principal = claimed.acting

    @property
    def principal(self) -> Principal:
        """Who they are and what they may, as of the last intent."""
        assert self._principal is not None, "a run for nobody is parked before anything of the user's is asked"
        return self._principal

    def check(self) -> None:
        """Stop a run whose principal may not have it run any more.

        Raises:
            Park: until their rights change.
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

    async def renew(self) -> None:
        """Look again, and stop the run if it may not go on.

        Raises:
            Park: until their rights change.
            OperatorError: the database is away.
        """
        self._principal = await renew_rights(self._db, self._claimed)
        self.check()

"""Watching a run until it has ended or waits for somebody who is not here."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from holdfast.cli.run.asking import ask_for
from holdfast.cli.teller import Teller
from holdfast.domain.state import RunState, WaitingOn
from holdfast.service.get_run import get_run
from holdfast.service.list_tasks_to_decide import list_tasks_to_decide
from holdfast.service.views import EventView
from holdfast.service.watch_events import watch_events

if TYPE_CHECKING:
    from holdfast.service.services import Services
    from holdfast.service.views import RunView


_DECIDED = frozenset(
    {WaitingOn.APPROVAL, WaitingOn.QUESTION, WaitingOn.IN_DOUBT, WaitingOn.LIMIT, WaitingOn.ESCALATION}
)
"""What people decide."""


class Watching:
    """Follows one run, tells it, and asks the person at the terminal what people have to decide.

    Args:
        services: what this process has.
        view: the run as it stands: it is told from there on.
        ask: whether to ask here; None: where there is a terminal.
        quiet: tell nothing.
    """

    def __init__(self, services: Services, view: RunView, *, ask: bool | None, quiet: bool) -> None:
        self._services = services
        self._start = view
        self._asks = ask if ask is not None else not quiet and sys.stdin.isatty() and sys.stderr.isatty()
        self.run = view.id
        self.teller = Teller(quiet=quiet)

    async def to_the_end(self) -> bool:
        """Follow the run. True where it waits for somebody, False where it has ended."""
        if await self._waits():
            return True
        # A fresh run is told from its beginning; one taken up again from where it stands.
        after = "" if self._start.seq == 1 else str(self._start.seq)
        async for item in watch_events(self._services, self._services.caller, self.run, after=after):
            self.teller.tell(item)
            if isinstance(item, EventView) and item.type == "run_parked" and await self._waits():
                return True
        return False

    async def _waits(self) -> bool:
        """Whether the run is parked until somebody acts, and nobody here does."""
        view = await get_run(self._services, self._services.caller, self.run)
        if view.state is not RunState.PARKED or view.waiting_on is WaitingOn.TIMER:
            return False
        if view.waiting_on not in _DECIDED or not self._asks:
            return True
        pending = await list_tasks_to_decide(self._services, self._services.caller, run=self.run)
        decided = [await ask_for(self._services, one, self.teller) for one in pending.items]
        return not all(decided)

"""Slots and what fills them."""

import asyncio
from types import SimpleNamespace
from uuid import UUID

from holdfast.engine.execution import Ended
from holdfast.worker.carried import Carried

RUN = UUID(int=1)


class Execution:
    """Ends when the test says."""

    def __init__(self):
        self.ends = asyncio.get_running_loop().create_future()
        self.steps = []
        self.times = {}

    async def run(self):
        return await self.ends


async def test_a_claim_that_a_crash_of_the_server_took_back_may_come_again_at_the_same_epoch():
    """A claim is not waited for on disk. Both executions are carried until each has ended, and both slots come back."""
    executions = []

    def execute(task, claimed):
        executions.append(Execution())
        return executions[-1]

    app = {"t": SimpleNamespace(slots=2)}
    carried = Carried(app, slots=2, execute=execute, give_back=None, freed=lambda: None)
    claimed = SimpleNamespace(tenant=UUID(int=2), run=RUN, epoch=5, task="t", claims=1, session=None, principal="p")
    for _ in range(2):
        carried.start(claimed)
        await asyncio.sleep(0)
    assert (carried.free, carried.free_of("t"), carried.holding) == (0, 0, (RUN,))
    for left, execution in enumerate(executions):
        execution.ends.set_result(Ended.LOST)
        while carried.free == left:
            await asyncio.sleep(0)
    assert (carried.free, carried.free_of("t"), carried.holding) == (2, 2, ())
    await carried.settled()

"""What keeps a process once its worker has ended does not keep it for long."""

import os
import sys

import pytest

from support import forked

HANGS = """
import asyncio, signal
from holdfast.worker import drain

class Worker:
    def force(self):
        {force}

async def main():
    stopped = asyncio.Event()
    with drain.ended_by_signals(Worker(), 60, lambda grace_s: stopped.set(), code=7):
        signal.raise_signal(signal.SIGTERM)
        await stopped.wait()
    await asyncio.sleep(3600)

drain.CLOSE_S = 0.1
drain.run_despite_the_rest(main(), lambda _: 0)
"""


@pytest.mark.parametrize("force", ["pass", "raise RuntimeError('it cannot be released')"])
def test_connections_that_are_not_put_away_do_not_keep_the_process(force, tmp_path):
    command = [sys.executable, "-c", HANGS.format(force=force)]
    code, _, said = forked.run(command, timeout=60, env=dict(os.environ), cwd=tmp_path)
    assert code == 7, said

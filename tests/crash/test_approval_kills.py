"""kill -9 between every pair of steps from ask to effect: effects once, approvals never lost, never reused.

`make test` kills 12 times, `make test-long` 1,000 times. CRASH_KILLS and CRASH_SEED choose otherwise; the seed of a
campaign is printed.
"""

import os

import pytest
from bank_kills import ANY_MOMENT, PLACES, Kills

STORY = {"model_requested", "model_responded", "approval_asked", "approval_decided", "tool_started", "tool_finished"}
"""What a journal may end in while a worker holds its run, from ask to effect."""


@pytest.mark.timeout(170)
async def test_a_few_kills_from_ask_to_effect(kills: Kills):
    await campaign(kills, 12)


@pytest.mark.long
@pytest.mark.timeout(7200)
async def test_a_thousand_kills_from_ask_to_effect(kills: Kills):
    wanted = int(os.environ.get("CRASH_KILLS", "1000"))
    await campaign(kills, wanted)
    if wanted >= 150:
        assert kills.at_point.keys() == {*PLACES, ANY_MOMENT}
        assert kills.after_event.keys() >= STORY


async def campaign(kills: Kills, wanted: int) -> None:
    await kills.rage(wanted)
    print(kills.told())
    count = kills.judge.count
    assert kills.total >= wanted
    assert not count.wrong, "\n".join(count.wrong)
    assert (count.lost, count.reused) == (0, 0)

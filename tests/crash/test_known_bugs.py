"""The bugs of other engines, by their number: each is a test here, or is named in the table below with its place.

| bug | test |
|---|---|
| dbos #716, #742, #804, #805; absurd's long step | tests/worker/test_recovery.py |
| langgraph #8764 (API killed), #8112 | tests/acceptance/test_api_runs.py, test_api_events.py |
| mastra #19056 | test_rolling_restart.py |
| all others | here |
"""

import json
from uuid import uuid4

import pytest
from crash_model import CHAT_TURNS
from crash_scene import Run, Scene
from judging import effects_of, journal_of, judge, loaded

from holdfast.domain import events as ev
from holdfast.domain.ids import DEFAULT_TENANT
from holdfast.store.pool import Database
from holdfast.store.reader import RunReader
from holdfast.store.runs import get_run, list_runs

MEGABYTE = 1 << 20
TEMPORAL_HISTORY_CAP_BYTES = 50 * MEGABYTE


def events_of(scene: Scene, run: Run) -> list[ev.AnyEvent]:
    return loaded(journal_of(scene, run.id))


@pytest.mark.parametrize("point", ["outcome.before:1", "outcome.after:3", "append.after_commit:4", "effect.done:2"])
async def test_dbos_688_parallel_steps_interrupted_anywhere_never_diverge(scene: Scene, peace, point: str):
    """Five calls end in any order; three workers die among them, one after another, at the same place."""
    peaceful = await peace("parallel")
    run = await scene.start("parallel")
    for _ in range(2):
        doomed = await scene.worker("parallel", crash=point, slots=1)
        await scene.until(lambda doomed=doomed: not doomed.is_alive or _is_over(scene, run), "it dies or is done")
        await doomed.kill()
        scene.expire([doomed])
    await scene.worker("parallel")
    await scene.until_final([run])
    found = await judge(scene, run, peaceful, point)
    assert found.is_clean, "\n".join(found.wrong)
    assert not [event for event in events_of(scene, run) if isinstance(event, ev.RunDiverged)]


def _is_over(scene: Scene, run: Run) -> bool:
    return scene.row(run)["state"] == "succeeded"


async def test_langgraph_8764_a_run_whose_worker_dies_before_the_first_checkpoint_is_not_lost(scene: Scene, peace):
    peaceful = await peace("sequential")
    doomed = await scene.worker("sequential", crash="append.before_send:1")
    run = await scene.start("sequential")
    await doomed.gone()
    assert [type(event) for event in events_of(scene, run)] == [ev.RunAccepted]
    scene.expire([doomed])
    await scene.worker("sequential")
    await scene.until_final([run])
    found = await judge(scene, run, peaceful)
    assert found.is_clean, "\n".join(found.wrong)


async def test_langgraph_7417_a_tool_longer_than_any_timeout_of_the_engine_is_entered_once(scene: Scene):
    """The lease is a second; the tool takes as long as the lease is renewed four times over; another worker waits."""
    first = await scene.worker("slow", lease_s=1)
    run = await scene.start("slow")
    await scene.until(lambda: scene.ledger.of(run.id), "the tool is under way")
    await scene.worker("slow", lease_s=1)
    [(began,)] = _lease(scene, run)
    await scene.until(lambda: (_lease(scene, run)[0][0] - began).total_seconds() > 4, "the lease renewed on and on")
    scene.open_gate()
    await scene.until_final([run])
    assert [(line["tool"], line["pid"]) for line in scene.ledger.of(run.id)][:2] == [
        ("slow", first.pid),
        ("slow-ended", first.pid),
    ]
    assert scene.row(run)["epoch"] == 1


def _lease(scene: Scene, run: Run) -> list:
    return scene.connection.execute(
        "select w.lease_until from holdfast.runs r join holdfast.workers w on w.id = r.worker where r.id = %s", [run.id]
    )


async def test_langgraph_7345_a_checkpoint_is_not_to_be_had_by_another_tenant(scene: Scene, peace):
    """Knowing the run's id is not enough: neither login sees anything of it in another tenant's scope."""
    await peace("sequential")
    await scene.worker("sequential")
    run = await scene.start("sequential")
    await scene.until_final([run])
    [accepted, *_] = events_of(scene, run)
    assert isinstance(accepted, ev.RunAccepted)
    stranger = uuid4()
    for role, url in (("worker", scene.url), ("api", scene.services.db.url)):
        async with Database.open(url, role=role) as db:
            reader = RunReader(db)
            assert await get_run(db, DEFAULT_TENANT, run.id) is not None
            assert await get_run(db, stranger, run.id) is None
            assert await list_runs(db, stranger) == []
            assert await reader.journal(stranger, run.id) == []
            assert await reader.blobs(stranger, run.id, [accepted.input]) == {}


@pytest.mark.parametrize(
    "point",
    ["append.before_send:1", "append.after_commit:1", "intent.after:1", "tool.entering:1", "effect.done:1"],
)
async def test_agent_framework_7458_an_approval_is_not_used_up_by_a_worker_that_dies(scene: Scene, peace, point: str):
    """The decision is folded in, the worker dies before, at or after the approved effect: nobody is asked again."""
    peaceful = await peace("approval")
    first = await scene.worker("approval")
    run = await scene.start("approval")
    await scene.until_row(run, attend=False, state="parked", waiting_on="approval")
    await first.kill()
    asked = _asked(scene, run)
    doomed = await scene.worker("approval", crash=point, slots=1)
    await scene.until(lambda: not doomed.is_alive, "the second worker dies")
    scene.expire([doomed])
    await scene.worker("approval")
    await scene.until_final([run])
    found = await judge(scene, run, peaceful, point)
    assert found.is_clean, "\n".join(found.wrong)
    assert _asked(scene, run) == [*asked, 3]  # the third call is another turn's
    assert effects_of(scene, run.id) == peaceful.effects


def _asked(scene: Scene, run: Run) -> list[int]:
    events = [event for event in events_of(scene, run) if isinstance(event, ev.ApprovalAsked)]
    return [1 if event.step == 1 else 3 for event in events]


@pytest.mark.timeout(175)
async def test_temporal_1890_a_long_conversation_is_stored_once_and_resumes(scene: Scene):
    """105 model calls with big messages. Written anew at each call, as a history is, they would pass 50 MB."""
    doomed = await scene.worker("chat", crash="model.answered:60")
    run = await scene.start("chat")
    await scene.until(lambda: not doomed.is_alive, "the worker dies at the 60th answer")
    scene.expire([doomed])
    await scene.worker("chat")
    await scene.until_final([run])
    row, events = scene.row(run), events_of(scene, run)
    assert row["state"] == "succeeded"
    responses = [event for event in events if isinstance(event, ev.ModelResponded)]
    assert len(responses) == CHAT_TURNS + 1
    [(stored,)] = scene.connection.execute(
        "select (select sum(octet_length(body)) from holdfast.blobs where run = %(run)s) "
        "+ (select sum(octet_length(body)) from holdfast.events where run = %(run)s)".replace("%(run)s", f"'{run.id}'")
    )
    each = [len(json.dumps("x")) + 12_800 for _ in responses]
    anew = sum(sum(each[:count]) for count in range(1, len(each) + 1))
    assert anew > TEMPORAL_HISTORY_CAP_BYTES
    print(
        f"\n{len(responses)} model calls: {stored / MEGABYTE:.1f} MB stored, {anew / MEGABYTE:.0f} MB if written anew"
    )
    # Each result is stored twice, as the tool's and as a message, and that is all.
    assert stored < 2.5 * sum(each)

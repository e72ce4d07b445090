"""A decision that comes early is not lost: a run never parks for what is decided already."""

from crash_scene import Scene
from judging import journal_of, loaded

from holdfast.domain import events as ev


async def test_a_decision_folded_in_while_a_sibling_is_under_way_is_not_slept_through(scene: Scene):
    """An effect is in doubt, the call beside it still runs, and the person decides before it ends."""
    doomed = await scene.worker("beside", crash="effect.done:2")
    run = await scene.start("beside")
    await doomed.gone()
    scene.expire([doomed])
    await scene.worker("beside", lease_s=3)

    def is_decided() -> bool:
        row = scene.row(run)
        return any(isinstance(event, ev.EffectResolved) for event in loaded(journal_of(scene, run.id))) and (
            row["folded_seq"] == row["inbox_seq"]
        )

    await scene.until(is_decided, "the decision folded in")
    assert scene.row(run)["state"] == "running"
    scene.open_gate()
    await scene.until_row(run, state="succeeded")

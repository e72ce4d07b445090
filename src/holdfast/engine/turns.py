"""The agent of a run, run to its end: once, and once more for each message that came too late for its last request."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic_ai.models import Model
from pydantic_ai.usage import UsageLimits

from holdfast.engine.codec import parse
from holdfast.engine.deps import dependencies, own_rows
from holdfast.engine.history import session_history
from holdfast.engine.interrupt import Diverged
from holdfast.engine.seam import Seam
from holdfast.engine.shortroad import ShortRoad, may_go_short
from holdfast.engine.subagents import SubAgents
from holdfast.task import RunScope

if TYPE_CHECKING:
    from pydantic_ai.run import AgentRunResult

    from holdfast.engine.acting import Acting
    from holdfast.engine.recorder import Recorder
    from holdfast.store.live import LiveRun
    from holdfast.store.vault import SubjectKey

_NO_LIMITS = UsageLimits(request_limit=None)
"""A task that says its own limits has none of the framework's by default, which would fail the run."""


async def turns(recorder: Recorder, key: SubjectKey | None, acting: Acting, *, short: bool) -> AgentRunResult[Any]:
    """Run the agent.

    Args:
        recorder: of the run.
        key: the subject's; live text is sealed with it.
        acting: whom the run is for.
        short: whether the short road may be tried.
    """
    task, claimed, gear = recorder.task, recorder.claimed, recorder.gear
    assert recorder.replay.accepted is not None
    accepted = recorder.replay.accepted
    live = None
    if task.stream and gear.live is not None and key is not None:
        live = gear.live.open(claimed.tenant, claimed.run, key)
    scope = RunScope(
        tenant=claimed.tenant,
        run=claimed.run,
        task=task.name,
        subject=claimed.subject,
        session=claimed.session,
        acting=acting,
        connection=partial(own_rows, recorder),
    )
    subagents = SubAgents(recorder)
    async with AsyncExitStack() as stack:
        if live is not None:
            # However the execution ends, an attempt it left half-way is void: its text may go.
            stack.callback(live.end)
        value = task.read_input(parse(recorder.content(accepted.input)))
        history = await session_history(gear, recorder, accepted, key)
        deps = await stack.enter_async_context(dependencies(task, scope))
        stack.enter_context(subagents.entered())
        prompt: Any = task.user_prompt(value)
        turn = 0
        while True:
            road = _road(recorder, subagents, turn, live, short=short)
            with road.entered():
                result = await task.agent.run(
                    prompt,
                    deps=deps,
                    message_history=history,
                    usage_limits=task.usage_limits or (_NO_LIMITS if task.limits is not None else None),
                    run_id=f"{claimed.run}.{turn}" if turn else str(claimed.run),
                    conversation_id=str(claimed.session or claimed.run),
                    capabilities=road.capabilities(),
                    model=road.model_of_run(),
                    infer_name=False,
                )
            if left := recorder.replay.left_over(road.scope):
                raise Diverged("the end of the run", {"recorded": left}, {"asked for": []})
            turn += 1
            messages = recorder.take_messages(upto=recorder.replay.heard_by(f"t{turn}/"))
            if not messages:
                return result
            prompt, history = "\n\n".join(map(str, messages)), result.all_messages()


def _road(
    recorder: Recorder, subagents: SubAgents, turn: int, live: LiveRun | None, *, short: bool
) -> Seam | ShortRoad:
    model = recorder.task.agent.model
    first = not turn and not recorder.replay.holds_work
    if first and short and may_go_short(recorder.task) and isinstance(model, Model):
        return ShortRoad(recorder, model, live)
    return Seam(recorder, subagents, turn, live)

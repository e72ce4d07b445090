"""What is said when a run ends: where an error arose, what was used, what stays in doubt."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.domain import events as ev
from holdfast.domain.ids import Ref
from holdfast.effects.declare import Declaration
from holdfast.engine.call import Attempt, ToolCall
from holdfast.engine.output import started_by
from holdfast.engine.question import asked_of, binding
from holdfast.engine.usage import as_usage
from holdfast.store.journal import ApprovalRow

if TYPE_CHECKING:
    from pydantic_ai.run import AgentRunResult

    from holdfast.engine.interrupt import Park
    from holdfast.engine.recorder import Recorder
    from holdfast.engine.replay import Replay

_LIBRARIES = (
    str(Path(sys.prefix).resolve()),
    str(Path(sys.base_prefix).resolve()),
    str(Path(__file__).resolve().parents[1]),
)


def place_of(error: BaseException) -> str:
    """Where in the user's own code an error arose, as `file:line in function`; else where at all."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(_LIBRARIES)]
    for frame in reversed(own or frames):
        return f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}"
    return ""


def parked(park: Park) -> ev.RunParked:
    """The fact that a run waits as rows."""
    return ev.RunParked(
        waiting_on=park.waiting_on,
        why=park.why,
        wake_at=None if park.wake_at is None else park.wake_at.isoformat(),
        budget=park.budget,
        owner=park.owner,
    )


def usage_of(result: AgentRunResult[Any]) -> ev.Usage:
    """All that the run used."""
    return as_usage(result.usage)


def left_in_doubt(recorder: Recorder, replay: Replay, how: str) -> tuple[list[ev.AnyEvent], list[ApprovalRow]]:
    """Effects that a run leaves unfinished and that may not run again: human tasks that outlive it."""
    facts: list[ev.AnyEvent] = []
    tasks: list[ApprovalRow] = []
    for started in _unfinished(replay):
        task = recorder.gear.new_id()
        why = f"'{started.tool}' was under way when the run {how}, and is not known to have finished."
        call = ToolCall(
            scope=started.scope,
            step=started.step,
            call=started.call,
            tool=started.tool,
            schema=started.schema,
            args=b"",
            declaration=Declaration(started.recovery),
            approved=started.approved,
            key=started.key,
            attempt=Attempt(started.attempt, Ref(started.args)),
        )
        facts.append(
            ev.EffectInDoubt(
                approval=task,
                scope=started.scope,
                step=started.step,
                call=started.call,
                tool=started.tool,
                key=started.key,
                why=why,
                approved=started.approved,
            )
        )
        tasks.append(
            ApprovalRow(
                id=task,
                kind="in_doubt",
                scope=started.scope,
                step=started.step,
                call=started.call,
                tool=started.tool,
                args=started.args,
                digest=binding(recorder, call, started.args),
                key=started.key,
                why=why,
                ask="" if started.approved else asked_of(recorder.task, "doubt")["ask"],
            )
        )
    return facts, tasks


def _unfinished(replay: Replay) -> Iterator[ev.ToolStarted]:
    """Intents of effects that may not run again, without an outcome, of which nobody was asked nor has told."""
    for entry in replay.tools.values():
        started = entry.started
        if started is None or started.recovery.reruns or entry.finished or entry.in_doubt or entry.resolved:
            continue
        yield started
    for output in replay.outputs.values():
        if output.started is not None and output.processed is None and not output.started.recovery.reruns:
            started = started_by(output.started)
            asked = replay.tools.get((started.scope, started.step, started.call, False))
            if asked is None or not (asked.in_doubt or asked.resolved):
                yield started

"""Loops at work: a call that would go on with one is not made. The model is told in its place, then the run stops.

Looked at before policy, so that nobody is asked about such a call. What was told is a fact, and the call's outcome:
replay finds it as it finds any other. A call that people agreed to, and one that an earlier attempt may have begun, is
made: about both somebody has decided already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.domain import events as ev
from holdfast.engine.errors import CallRefused
from holdfast.engine.interrupt import Interrupt

if TYPE_CHECKING:
    from holdfast.domain.loops import Loop
    from holdfast.engine.call import ToolCall
    from holdfast.engine.recorder import Recorder


class Looped(Interrupt):
    """The next call would go on with a loop that the model was told of: it is not made."""

    def __init__(self, loop: Loop) -> None:
        super().__init__(loop.to_people)
        self.loop = loop


def check_loop(recorder: Recorder, call: ToolCall) -> None:
    """Refuse a call that would go on with a loop. Costs next to nothing where nothing is repeated.

    Raises:
        CallRefused: it would, and the model is told so.
        Looped: it was told before.
    """
    if call.approved or call.attempt.number > 1:
        return
    if (told := _recorded(recorder, call)) is not None:
        raise CallRefused(told)
    if (found := _looked_at(recorder, call)) is not None:
        # It rides with the call's outcome, which is next.
        recorder.hold(_detected(recorder, call, found))
        raise CallRefused(found.to_model)


async def loop_told(recorder: Recorder, call: ToolCall) -> str | None:
    """What the model is told in place of a question to people, now or when it was recorded; None: they are asked.

    Raises:
        Looped: it was told before.
    """
    if (told := _recorded(recorder, call)) is not None:
        return told
    if (found := _looked_at(recorder, call)) is None:
        return None
    fact = _detected(recorder, call, found)
    await recorder.record(fact)
    recorder.replay.add(recorder.journal.seq, fact)
    return found.to_model


def _recorded(recorder: Recorder, call: ToolCall) -> str | None:
    """What the model was told in place of this very call, though its worker may have died on it."""
    if not recorder.replay.looped:
        return None
    recorded = recorder.replay.looped.get((call.scope, call.step, call.call, False))
    return None if recorded is None else recorder.text(recorded.why)


def _looked_at(recorder: Recorder, call: ToolCall) -> Loop | None:
    """A loop that the model is to be told of."""
    repeats = recorder.repeats
    if not repeats.suspects(call.scope, call.step, call.tool):
        return None
    found = repeats.look(call.scope, call.step, call.tool, recorder.seal(call.args))
    if found is not None and found.is_told:
        raise Looped(found)
    return found


def _detected(recorder: Recorder, call: ToolCall, loop: Loop) -> ev.LoopDetected:
    return ev.LoopDetected(
        scope=call.scope,
        step=call.step,
        call=call.call,
        tool=call.tool,
        args=recorder.seal(call.args),
        kind=loop.kind,
        times=loop.times,
        round=list(loop.round),
        loops=list(loop.keys),
        why=recorder.seal_text(loop.to_model),
    )

"""A run that cannot go on by itself: what people are asked, and what follows from their word.

Its next step would exceed a limit, or go on with a loop that its model was told of, or it would fail and its task names
people to whom it goes first. It parks with a human task. They let it go on, end it with an output of their own, or have
it fail; a path that nobody answers on fails it. A finished step is not done again by that: where a tool's error is what
would fail the run, the model is told of the error instead, and where a model's is, it is asked once more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic_ai.messages import ModelResponse, TextPart

from holdfast.domain import events as ev
from holdfast.domain.conversation import lists_of
from holdfast.domain.spent import Spent
from holdfast.domain.state import WaitingOn
from holdfast.effects.declare import UNDECLARED
from holdfast.engine import ending
from holdfast.engine.attempts import explained
from holdfast.engine.call import Attempt, ToolCall
from holdfast.engine.codec import dump_json, dump_message, parse
from holdfast.engine.errors import NotASuccess
from holdfast.engine.interrupt import Park
from holdfast.engine.question import asked_of, binding
from holdfast.store.journal import ApprovalRow

if TYPE_CHECKING:
    from holdfast.domain.limits import Reached
    from holdfast.domain.loops import Loop
    from holdfast.engine.recorder import Recorder
    from holdfast.engine.replay import TroubleEntry
    from holdfast.task import Task

_MOST_EFFECTS = 50
"""So many of a run's latest effects are shown to people; the run itself shows all."""


class Trouble(NamedTuple):
    """Why a run does not go on."""

    kind: ev.Trouble
    error: str
    message: str
    place: str = ""
    reached: Reached | None = None
    loop: Loop | None = None
    final: bool = False
    """Nothing is to be tried after this."""
    asked_again: bool = False

    @classmethod
    def of_limit(cls, reached: Reached) -> Trouble:
        """The next step would exceed a limit."""
        return cls("limit", "LimitReached", str(reached), reached=reached)

    @classmethod
    def of_loop(cls, loop: Loop) -> Trouble:
        """The next call would go on with a loop."""
        return cls("loop", "LoopDetected", loop.to_people, loop=loop)

    @classmethod
    def of_error(cls, task: Task, error: Exception) -> Trouble:
        """Whatever the agent raised."""
        place = "" if isinstance(error, NotASuccess) else ending.place_of(error)
        return cls("failure", type(error).__qualname__, explained(error), place, final=isinstance(error, task.terminal))

    @classmethod
    def of_output(cls, entry: TroubleEntry, why: str) -> Trouble:
        """What somebody gave as its output is none: people are asked again."""
        return cls(entry.escalated.trouble, "OutputRefused", why, asked_again=True)

    def is_for_people(self, task: Task) -> bool:
        """Whether people are asked before it fails the run."""
        if self.asked_again:
            return True
        if self.kind in {"limit", "loop"}:
            return task.on_limit == "park"
        return not self.final and task.escalation is not None and "failure" in task.escalation.on

    @property
    def why(self) -> str:
        """The same for those who see no content."""
        if self.reached is not None or self.loop is not None:
            return self.message
        return f"It would fail: {self.error}{f' at {self.place}' if self.place else ''}."


async def check_success(task: Task, output: Any) -> None:
    """Refuse an output that is not what the task is for.

    Raises:
        NotASuccess: it is none; the message says why.
    """
    if task.success is None:
        return
    said = task.success(output)
    if isinstance(said, Awaitable):
        said = await said
    if said is None or said is True:
        return
    raise NotASuccess(said if isinstance(said, str) and said else "The output is not what the task is for.")


def put(recorder: Recorder, trouble: Trouble, events: Sequence[ev.AnyEvent]) -> tuple[Park, ev.Escalated, ApprovalRow]:
    """Put a run before people: how it parks, the fact, and the task that goes with it. `events` are the journal."""
    task, reached, loop = recorder.task, trouble.reached, trouble.loop
    about = reached.limit if reached is not None else ""
    context = recorder.seal(dump_json(_context(trouble, events)))
    rounds = sum(isinstance(event, ev.Escalated) for event in events) + 1
    asked = asked_of(task, trouble.kind)
    call = ToolCall(
        scope="", step=0, call="", tool=about, schema="", args=b"", declaration=UNDECLARED, key="", attempt=Attempt()
    )
    fact = ev.Escalated(
        approval=recorder.gear.new_id(),
        trouble=trouble.kind,
        limit=about,
        most=reached.most if reached is not None else 0,
        of_tenant=reached is not None and reached.tenants is not None,
        stood=reached.stood if reached is not None else loop.times if loop is not None else 0,
        loop=loop.kind if loop is not None else None,
        error=trouble.error,
        place=trouble.place,
        context=context,
        message=recorder.seal_text(trouble.message),
        digest=binding(recorder, call, trouble.kind, context, str(rounds)),
        ask=asked["ask"],
    )
    row = ApprovalRow(
        id=fact.approval,
        kind="escalation",
        scope="",
        step=0,
        call="",
        tool=about,
        args=context,
        digest=fact.digest,
        why=trouble.why,
        round=rounds,
        **asked,
    )
    return waiting(fact, trouble.why), fact, row


def waiting(escalated: ev.Escalated, why: str = "") -> Park:
    """How a run parks that was put before people."""
    on = WaitingOn.LIMIT if escalated.trouble == "limit" else WaitingOn.ESCALATION
    return Park(on, why or "It waits for people to say what becomes of it.")


def failed(recorder: Recorder, entry: TroubleEntry) -> ev.RunFailed:
    """The end of a run that people did not let go on."""
    escalated = entry.escalated
    assert entry.decided is not None
    said = "" if entry.decided.reason is None else f": {recorder.text(entry.decided.reason)}"
    who = (
        "nobody said otherwise in time" if entry.decided.by == "expiry" else f"{entry.decided.by} failed the run{said}"
    )
    message = f"{recorder.text(escalated.message)} ({who})"
    return ev.RunFailed(
        error=escalated.error,
        message=recorder.seal_text(message),
        place=escalated.place,
        unanswered=recorder.replay.unanswered,
    )


def finished(recorder: Recorder, entry: TroubleEntry, events: Sequence[ev.AnyEvent]) -> ev.RunSucceeded:
    """The end of a run to which somebody gave the output. It is the answer in the conversation, too.

    Raises:
        InvalidInput: it cannot be an output of the task: a process that does not know it took their word.
    """
    assert entry.decided is not None
    assert entry.decided.output is not None
    output = recorder.content(entry.decided.output)
    recorder.task.read_output(parse(output))
    answer = ModelResponse(parts=[TextPart(_as_text(output))])
    refs = list[str]()
    for event in events:
        # What its history was before anything was withheld is not what the run was given.
        for delta in () if isinstance(event, ev.HistoryEntered) else lists_of(event):
            refs[delta.keep :] = recorder.whole(delta).add
    spent = Spent.of(events)
    return ev.RunSucceeded(
        output=entry.decided.output,
        history=ev.Messages(keep=len(refs), add=[recorder.seal(dump_message(answer))]),
        usage=ev.Usage(
            input_tokens=spent.counts["input_tokens"],
            output_tokens=spent.counts["output_tokens"],
            requests=spent.counts["model_requests"],
            tool_calls=spent.counts["tool_calls"],
        ),
        by=entry.decided.by,
        unanswered=recorder.replay.unanswered,
    )


def _as_text(output: bytes) -> str:
    value = parse(output)
    return value if isinstance(value, str) else output.decode()


def _context(trouble: Trouble, events: Sequence[ev.AnyEvent]) -> dict[str, Any]:
    """What people are shown: what happened, and what the run has done so far."""
    calls = {
        (event.scope, event.step, event.call): event
        for event in events
        if isinstance(event, ev.ToolStarted | ev.CallHandedOut) and event.recovery.is_effect
    }
    outside = {event.approval: key for key, event in calls.items() if isinstance(event, ev.CallHandedOut)}
    came_to = dict[Any, str]()
    for event in events:
        if isinstance(event, ev.ToolFinished):
            came_to[event.scope, event.step, event.call] = event.outcome
        elif isinstance(event, ev.QuestionAnswered) and event.approval in outside:
            came_to[outside[event.approval]] = event.verdict
    effects = [
        {"tool": event.tool, "call": event.call, "came_to": came_to.get(key, "not known")}
        for key, event in calls.items()
    ]
    counts = Spent.of(events).counts
    found: dict[str, Any] = {
        "happened": trouble.message,
        "so_far": {name: counts[name] for name in ("model_requests", "tool_calls", "tokens", "side_effects")},
        "effects": effects[-_MOST_EFFECTS:],
    }
    if (reached := trouble.reached) is not None:
        found["limit"] = {"name": reached.limit, "most": reached.most, "stood": reached.stood, "next": reached.adds}
        if reached.tenants is not None:
            found["limit"] |= {"tenants": reached.tenants, "own": reached.own}
    elif (loop := trouble.loop) is not None:
        found["loop"] = {"kind": loop.kind, "tool": loop.tool, "times": loop.times, "round": list(loop.round)}
    else:
        found["error"] = {"type": trouble.error, "place": trouble.place}
    return found

"""What a run has repeated so far, counted from its journal: what thresholds for loops are compared with.

What may become of a call depends on the answers before its own, and on nothing beside it: in which order calls of one
answer end, or where among them a worker died, makes no difference. So an answer is counted when something of a later
one is seen or asked about. Nothing is kept that the journal does not say.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias
from uuid import UUID

from holdfast.domain import events as ev
from holdfast.domain.loops import LONGEST_CYCLE, MOST_TOLD, Loop, Loops

Call: TypeAlias = tuple[str, str]
"""A tool, and the digest of arguments."""
Result: TypeAlias = tuple[str, str]
"""How a call ended, and the digest of what it gave."""
Results: TypeAlias = frozenset[Result]
"""Of equal calls in one answer."""

_ERRORS = frozenset({"retry", "failed", "error"})
_NOBODY: Results = frozenset()


@dataclass(slots=True)
class _Made:
    """A call of the answer that is under way."""

    call: Call
    result: Result | None = None
    is_told: bool = False
    """Whether it was not made, and the model told of a loop instead."""


@dataclass(slots=True)
class _Errors:
    """The same error of one tool, in answers one after another."""

    error: Result
    times: int = 1
    told_at: int = 0
    """How often it had come when the model was told."""


@dataclass(slots=True)
class _Agent:
    """What one agent has repeated."""

    step: int = 0
    """Its answer that is under way."""
    made: dict[str, _Made] = field(default_factory=dict[str, _Made])
    """The calls of that, by their names."""
    told_now: list[ev.LoopDetected] = field(default_factory=list[ev.LoopDetected])
    """What was told in that."""
    last: dict[Call, Results] = field(default_factory=dict[Call, Results])
    """What each call gave the last time."""
    in_a_row: dict[Call, int] = field(default_factory=dict[Call, int])
    """In how many answers up to the last a call was made, with one result."""
    errors: dict[str, _Errors] = field(default_factory=dict[str, _Errors])
    answers: deque[dict[Call, Results]] = field(default_factory=lambda: deque(maxlen=LONGEST_CYCLE))
    """The last answers. One that brings something new whatever it gives is empty, and like no other."""
    like_before: list[int] = field(default_factory=lambda: [0] * (LONGEST_CYCLE + 1))
    """By period: how many answers up to the last were each as the one that many answers before."""
    stale: int = 0
    """How many answers up to the last brought nothing new."""
    told: set[str] = field(default_factory=set[str])
    tellings: int = 0
    is_suspect: bool = False
    """Whether any call may be part of a loop; errors aside."""


class Repeats:
    """Repetitions of one run.

    Args:
        loops: from when on they are loops; None: they never are.
    """

    def __init__(self, loops: Loops | None) -> None:
        self._is_on = loops is not None
        self._loops = loops or Loops()
        self._agents: dict[str, _Agent] = {}
        self._asked: dict[UUID, tuple[str, int, str, Call]] = {}
        """Calls that people were asked about, by the question."""

    @classmethod
    def of(cls, loops: Loops | None, events: Iterable[ev.AnyEvent]) -> Repeats:
        """What these events repeat."""
        found = cls(loops)
        found.saw(events)
        return found

    def saw(self, facts: Iterable[ev.AnyEvent]) -> None:
        """Take in facts, in the order of the journal."""
        if self._is_on:
            for fact in facts:
                self._add(fact)

    def suspects(self, scope: str, step: int, tool: str) -> bool:
        """Whether a call may be part of a loop, so that it is worth a look. Takes a fraction of a microsecond."""
        agent = self._agents.get(scope)
        if agent is None or step < agent.step or tool in self._loops.exempt:
            return False
        if step > agent.step:
            self._next(agent, step)
        if agent.is_suspect:
            return True
        errors = agent.errors.get(tool)
        return errors is not None and _reached(errors.times, self._loops.same_error)

    def look(self, scope: str, step: int, tool: str, args: str) -> Loop | None:
        """The loop that a call would go on with, were it made now; None where there is none.

        Args:
            scope: of the agent that asks for it.
            step: its answer that asks.
            tool: the tool's name.
            args: the digest of the arguments, of the same form as the journal has it.
        """
        if not self.suspects(scope, step, tool):
            return None
        agent, call = self._agents[scope], (tool, args)
        found = list(self._loops_with(agent, call))
        if not found:
            return None
        keys = tuple(loop.keys[0] for loop in found)
        gone_on = agent.told.intersection(keys)
        first = next((loop for loop in found if loop.keys[0] in gone_on), found[0])
        return first._replace(keys=keys, is_told=bool(gone_on) or agent.tellings >= MOST_TOLD)

    # --- the journal -------------------------------------------------------------------------------------------------

    def _add(self, fact: ev.AnyEvent) -> None:
        match fact:
            case ev.ToolFinished():
                made = self._made(fact.scope, fact.step, fact.call, (fact.tool, fact.model_args))
                if made is not None:
                    made.result = None if fact.outcome == "deferred" else (fact.outcome, fact.result or "")
            case ev.LoopDetected():
                made = self._made(fact.scope, fact.step, fact.call, (fact.tool, fact.args))
                if made is not None and not made.is_told:
                    made.is_told = True
                    self._agents[fact.scope].told_now.append(fact)
            case ev.ApprovalAsked() | ev.ApprovalDecided():
                self._people(fact)
            case ev.QuestionAsked() | ev.QuestionAnswered():
                self._answer(fact)
            case ev.EscalationDecided() | ev.MessageReceived():
                # People have looked at it, or said something new: it begins afresh.
                self._agents.clear()
            case _:
                pass

    def _people(self, fact: ev.ApprovalAsked | ev.ApprovalDecided) -> None:
        """That they reject a call is what came of it. One that they agree to is made."""
        if isinstance(fact, ev.ApprovalAsked):
            made = self._made(fact.scope, fact.step, fact.call, (fact.tool, fact.args))
            if made is not None:
                self._asked[fact.approval] = (fact.scope, fact.step, fact.call, made.call)
            return
        asked = self._asked.pop(fact.approval, None)
        made = None if asked is None or fact.verdict != "rejected" else self._made(*asked)
        if made is not None:
            made.result = ("rejected", fact.reason or "")

    def _answer(self, fact: ev.QuestionAsked | ev.QuestionAnswered) -> None:
        """What people answer is what came of a call that asked them."""
        if isinstance(fact, ev.QuestionAsked):
            made = self._made(fact.scope, fact.step, fact.call, (fact.tool, fact.args))
            if made is not None:
                self._asked[fact.approval] = (fact.scope, fact.step, fact.call, made.call)
            return
        asked = self._asked.pop(fact.approval, None)
        made = None if asked is None else self._made(*asked)
        if made is not None:
            made.result = (fact.verdict, fact.answer or fact.reason or "")

    def _made(self, scope: str, step: int, name: str, call: Call) -> _Made | None:
        """A call of the answer under way, by the first that was said of it; None if it is of an earlier one."""
        agent = self._agents.get(scope)
        if agent is None:
            agent = self._agents[scope] = _Agent(step)
        if step > agent.step:
            self._next(agent, step)
        elif step < agent.step:
            return None
        found = agent.made.get(name)
        if found is None:
            found = agent.made[name] = _Made(call)
        return found

    # --- an answer that is over --------------------------------------------------------------------------------------

    def _next(self, agent: _Agent, step: int) -> None:
        """Count the answer that was under way; `step` is the one that is now."""
        made, agent.made, agent.step = [one for one in agent.made.values() if not one.is_told], {}, step
        if agent.told_now:
            self._tell(agent)
        if not made:
            return  # all that it asked for was not made, or was no call that anything could make
        answer, is_open = dict[Call, Results](), False
        for one in made:
            if one.result is None or one.call[0] in self._loops.exempt:
                is_open = True
            else:
                answer[one.call] = answer.get(one.call, _NOBODY) | {one.result}
        is_new = is_open or any(agent.last.get(call) != results for call, results in answer.items())
        agent.last.update(answer)
        self._count_errors(agent, answer)
        if is_new:
            agent.in_a_row, agent.stale, agent.is_suspect = dict.fromkeys(answer, 1), 0, False
            agent.like_before = [0] * (LONGEST_CYCLE + 1)
            agent.answers.append({} if is_open else answer)
        else:
            self._count_repeated(agent, answer)

    def _count_repeated(self, agent: _Agent, answer: dict[Call, Results]) -> None:
        """Count an answer that brought nothing new."""
        agent.in_a_row = {call: agent.in_a_row.get(call, 0) + 1 for call in answer}
        agent.stale += 1
        answers = agent.answers
        for period in range(2, LONGEST_CYCLE + 1):
            is_like = len(answers) >= period and answers[-period] == answer
            agent.like_before[period] = agent.like_before[period] + 1 if is_like else 0
        answers.append(answer)
        agent.is_suspect = (
            _reached(max(agent.in_a_row.values()), self._loops.same_call)
            or _reached(agent.stale, self._loops.no_progress)
            or self._period(agent) is not None
        )

    def _count_errors(self, agent: _Agent, answer: dict[Call, Results]) -> None:
        by_tool = dict[str, Results]()
        for (tool, _), results in answer.items():
            by_tool[tool] = by_tool.get(tool, _NOBODY) | results
        for tool, results in by_tool.items():
            error = next(iter(results))
            if len(results) > 1 or error[0] not in _ERRORS:
                agent.errors.pop(tool, None)
            elif (before := agent.errors.get(tool)) is not None and before.error == error:
                before.times += 1
            else:
                agent.errors[tool] = _Errors(error)

    def _tell(self, agent: _Agent) -> None:
        agent.tellings += 1
        for told in agent.told_now:
            agent.told.update(told.loops)
            errors = agent.errors.get(told.tool)
            if errors is not None and _key("same_error", told.tool, *errors.error) in told.loops:
                errors.told_at = errors.times
        agent.told_now = []

    # --- what is a loop ----------------------------------------------------------------------------------------------

    def _loops_with(self, agent: _Agent, call: Call) -> Iterator[Loop]:
        """All loops that a call would go on with, the plainest first."""
        loops, tool = self._loops, call[0]
        if _reached(times := agent.in_a_row.get(call, 0), loops.same_call):
            yield Loop("same_call", tool, times, keys=(_key("same_call", *call),))
        period = self._period(agent)
        if period is not None and loops.cycle is not None:
            answers = list(agent.answers)[-period:]
            calls = {one for answer in answers for one in answer}
            if call in calls:
                tools = tuple(tool for answer in answers for tool in sorted({tool for tool, _ in answer}))
                rounds = agent.like_before[period] // period + 1
                yield Loop("cycle", tool, rounds, tools, (_key("cycle", *map(str, sorted(calls))),))
        errors = agent.errors.get(tool)
        if errors is not None and _reached(errors.times, loops.same_error) and errors.times > errors.told_at:
            yield Loop("same_error", tool, errors.times, keys=(_key("same_error", tool, *errors.error),))
        if _reached(agent.stale, loops.no_progress) and call in agent.last:
            yield Loop("no_progress", tool, agent.stale, keys=("no_progress",))

    def _period(self, agent: _Agent) -> int | None:
        """Of how many answers a round is, where the last of them are rounds enough; None where they are not."""
        if self._loops.cycle is None:
            return None
        for period in range(2, LONGEST_CYCLE + 1):
            if agent.like_before[period] >= (self._loops.cycle - 1) * period:
                answers = list(agent.answers)[-period:]
                # What is the same in each answer is no cycle: it is one call, in a row.
                if any(answer.keys() != answers[0].keys() for answer in answers):
                    return period
        return None


def _reached(times: int, threshold: int | None) -> bool:
    return threshold is not None and times >= threshold


def _key(*parts: str) -> str:
    """A short name of what is repeated."""
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()

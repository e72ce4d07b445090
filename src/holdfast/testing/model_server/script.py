"""A script decides what the model answers; routes decide which script a request meets."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeAlias

from holdfast.testing.model_server.conversation import ScriptRequest
from holdfast.testing.model_server.errors import ScriptError
from holdfast.testing.model_server.template import fill, fill_text
from holdfast.testing.model_server.turn import Fault, Output, ToolCall, Turn

Step: TypeAlias = Turn | ToolCall | Fault | str
Decision: TypeAlias = Callable[[ScriptRequest], Step]
Repeat: TypeAlias = Literal["none", "last", "all"]
StreamBy: TypeAlias = Literal["word", "character", "whole"]


class Script:
    """What a model answers: turns in order, or a function of the request.

    `steps` is a list of `say(...)`, `call(...)`, `calls(...)`, `output(...)` (a bare string is said), where a
    `fault(...)` spoils the step after it; or a function that gets a `ScriptRequest` and returns one such
    step. A list answers the n-th turn of a conversation with its n-th step, with placeholders filled in (see
    `holdfast.testing.model_server.template`); the answer of a function is sent as it is. After the last step
    a request is refused with 400, or with `repeat` the `last` step or `all` steps come again.
    `stream_by` says into which pieces a streamed answer is cut.

    Raises `ScriptError` if a list is empty.
    """

    def __init__(
        self, steps: Sequence[Step] | Decision, *, repeat: Repeat = "none", stream_by: StreamBy = "word"
    ) -> None:
        self.stream_by: StreamBy = stream_by
        self._repeat: Repeat = repeat
        self._decide = steps if callable(steps) else None
        self._turns = [] if callable(steps) else _turns(steps)
        if self._decide is None and not self._turns:
            raise ScriptError("a script needs at least one turn")

    def turn_for(self, request: ScriptRequest) -> Turn:
        """The turn that answers `request`. Raises `ScriptError` if there is none or it cannot be made."""
        if self._decide is not None:
            return _decided(self._decide, request)
        turn = self._turns[self._index(request.turn - 1)]
        if turn.gate is not None:
            turn = replace(turn, gate=fill_text(turn.gate, request))
        fault = turn.fault_for(request.attempt)
        # An error must not fail in its turn for want of a value that only the answer needs.
        return turn if fault and fault.replaces_answer else _filled(turn, request)

    def _index(self, wanted: int) -> int:
        if wanted < len(self._turns) or self._repeat == "all":
            return wanted % len(self._turns)
        if self._repeat == "last":
            return -1
        raise ScriptError(
            f"the script ends after turn {len(self._turns)} and this request asks for turn {wanted + 1}: "
            "add turns, or repeat='last' or 'all'"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Sends a request to `script` if all conditions hold.

    `model` is a name or a pattern with `*`. `system` and `user` are regular expressions, looked for anywhere
    and without regard to case, in the system prompt and in the text the conversation opened with.
    """

    script: Script
    model: str = "*"
    system: str | None = None
    user: str | None = None
    name: str = ""

    def takes(self, request: ScriptRequest) -> bool:
        """Whether this route is for `request`."""
        return (
            fnmatchcase(request.model, self.model)
            and (self.system is None or re.search(self.system, request.system, re.IGNORECASE) is not None)
            and (self.user is None or re.search(self.user, request.opening, re.IGNORECASE) is not None)
        )


Scripts: TypeAlias = Script | Mapping[str, Script] | Sequence[Route]


def routes_of(scripts: Scripts) -> list[Route]:
    """Routes in the order they are tried, each with a name of its own."""
    if isinstance(scripts, Script):
        return [Route(script=scripts, name="*")]
    if isinstance(scripts, Mapping):
        return [Route(script=each, model=model, name=model) for model, each in scripts.items()]
    named = [each if each.name else replace(each, name=f"{each.model}#{n}") for n, each in enumerate(scripts)]
    if len({each.name for each in named}) < len(named):
        raise ScriptError("two routes have the same name: a name tells their conversations apart")
    return named


def choose(routes: Sequence[Route], request: ScriptRequest) -> Route:
    """The first route that takes `request`. Raises `ScriptError` if none does."""
    for route in routes:
        if route.takes(request):
            return route
    known = ", ".join(route.name for route in routes)
    raise ScriptError(f"no script takes model {request.model!r} and this prompt; there are: {known}")


def _turns(steps: Sequence[Step]) -> list[Turn]:
    turns: list[Turn] = []
    pending: tuple[Fault, ...] = ()
    for step in steps:
        if isinstance(step, Fault):
            pending = (*pending, step)
            continue
        turn = as_turn(step)
        turns.append(replace(turn, faults=(*pending, *turn.faults)) if pending else turn)
        pending = ()
    return [*turns, Turn(faults=pending)] if pending else turns


def as_turn(step: Any) -> Turn:
    """A turn from whatever a step may be. Raises `ScriptError` for anything else."""
    match step:
        case Turn():
            return step
        case ToolCall():
            return Turn(tool_calls=(step,))
        case Fault():
            return Turn(faults=(step,))
        case str():
            return Turn(text=step)
        case _:
            raise ScriptError(f"{step!r} is not a step: use say, call, calls, output or fault")


def _decided(decide: Decision, request: ScriptRequest) -> Turn:
    try:
        return as_turn(decide(request))
    except ScriptError:
        raise
    except Exception as error:
        raise ScriptError(f"the script's function raised {type(error).__name__}: {error}") from error


def _filled(turn: Turn, request: ScriptRequest) -> Turn:
    return replace(
        turn,
        text=None if turn.text is None else fill_text(turn.text, request),
        tool_calls=tuple(replace(each, arguments=fill(each.arguments, request)) for each in turn.tool_calls),
        output=turn.output and Output(fill(turn.output.value, request), turn.output.tool),
    )

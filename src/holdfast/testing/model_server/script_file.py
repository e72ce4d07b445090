"""Reads scripts from YAML. Every mistake is told with its line and its place in the file.

turns:                                   # one script for every model, or:
scripts:                                 # several, the first that fits is taken
  - model: gpt-5*                        # optional conditions; see Route
    system: you are a bank clerk
    user: lost.*card
    repeat: last                         # none (default), last, all
    stream_by: word                      # word (default), character, whole
    turns:
      - call: {get_balance: {account: "1"}}
      - say: "You have {tool_result} pounds."
        fault: {status: 429, retry_after: 1, times: 1}
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, cast

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from holdfast.testing.model_server.errors import ScriptError, ScriptFileError
from holdfast.testing.model_server.script import Repeat, Route, Script, StreamBy
from holdfast.testing.model_server.turn import Fault, Malformed, Output, ToolCall, Turn, Usage

Place: TypeAlias = tuple[str | int, ...]


def load_routes(path: str | Path) -> list[Route]:
    """The routes in a YAML file. Raises `ScriptFileError` with every mistake in it."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScriptFileError(str(path), [f"cannot be read: {error}"]) from error
    return parse_routes(text, name=str(path))


def parse_routes(text: str, *, name: str = "script") -> list[Route]:
    """The routes in YAML `text`; `name` stands for the file in errors. Raises `ScriptFileError`."""
    try:
        content, tree = yaml.safe_load(text), yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ScriptFileError(name, [f"not YAML: {error}"]) from error
    problems: list[tuple[Place, str]] = []
    routes = _routes(content, problems)
    if problems:
        raise ScriptFileError(name, [f"line {_line(tree, place)}: {_spell(place)}{text}" for place, text in problems])
    return routes


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _FaultEntry(_Entry):
    status: int | None = None
    retry_after: float | None = None
    message: str | None = None
    code: str | None = None
    hang: bool = False
    malformed: bool | Malformed | None = None
    delay_s: float = Field(0.0, ge=0)
    delay_per_token_s: float = Field(0.0, ge=0)
    hang_after: int | None = Field(None, ge=0)
    cut_after: int | None = Field(None, ge=0)
    times: int | Literal["always"] = 1


class _UsageEntry(_Entry):
    input_tokens: int = Field(ge=0)
    output_tokens: int = Field(ge=0)
    cached_tokens: int = Field(0, ge=0)
    cache_write_tokens: int = Field(0, ge=0)


def _as_call(value: Any) -> ToolCall:
    if isinstance(value, str):
        return ToolCall(value)
    if isinstance(value, dict) and len(cast("dict[Any, Any]", value)) == 1:
        [(tool, arguments)] = cast("dict[Any, Any]", value).items()
        if isinstance(tool, str) and isinstance(arguments, dict | str):
            return ToolCall(tool, cast("dict[str, Any] | str", arguments))
        if isinstance(tool, str) and arguments is None:
            return ToolCall(tool)
    raise ValueError("write a tool name, or one tool with its arguments: {get_balance: {account: '1'}}")


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, dict) else value


_Call: TypeAlias = Annotated[Any, BeforeValidator(_as_call)]


class _TurnEntry(_Entry):
    say: str | None = None
    call: _Call = None
    calls: list[_Call] = []
    output: Any = None
    output_tool: str | None = None
    fault: Annotated[list[_FaultEntry], BeforeValidator(_as_list)] = []
    gate: str | None = None
    gate_after: int = Field(0, ge=0)
    delay_s: float = Field(0.0, ge=0)
    delay_per_token_s: float = Field(0.0, ge=0)
    usage: _UsageEntry | None = None
    cut_short: bool = False


class _ScriptEntry(_Entry):
    name: str = ""
    model: str = "*"
    system: str | None = None
    user: str | None = None
    repeat: Repeat = "none"
    stream_by: StreamBy = "word"
    turns: list[_TurnEntry] = Field(min_length=1)


class _File(_Entry):
    scripts: list[_ScriptEntry] = Field(min_length=1)


def _routes(content: Any, problems: list[tuple[Place, str]]) -> list[Route]:
    single = not (isinstance(content, dict) and "scripts" in content)
    try:
        entries = [_ScriptEntry.model_validate(content)] if single else _File.model_validate(content).scripts
    except ValidationError as error:
        problems.extend((each["loc"], each["msg"].removeprefix("Value error, ")) for each in error.errors())
        return []
    return [_route(entry, () if single else ("scripts", n), problems) for n, entry in enumerate(entries)]


def _route(entry: _ScriptEntry, place: Place, problems: list[tuple[Place, str]]) -> Route:
    turns: list[Turn] = []
    for n, each in enumerate(entry.turns):
        try:
            turns.append(_turn(each))
        except ScriptError as error:
            problems.append(((*place, "turns", n), str(error)))
    for pattern in ("system", "user"):
        _check_pattern(getattr(entry, pattern), (*place, pattern), problems)
    script = Script(turns or ["-"], repeat=entry.repeat, stream_by=entry.stream_by)
    name = entry.name or f"{entry.model}#{place[-1] if place else 0}"
    return Route(script=script, model=entry.model, system=entry.system, user=entry.user, name=name)


def _check_pattern(pattern: str | None, place: Place, problems: list[tuple[Place, str]]) -> None:
    try:
        re.compile(pattern or "")
    except re.error as error:
        problems.append((place, f"not a regular expression: {error}"))


def _turn(entry: _TurnEntry) -> Turn:
    if entry.call is not None and entry.calls:
        raise ScriptError("call is for one call and calls for several: use one of them")
    if entry.output_tool is not None and "output" not in entry.model_fields_set:
        raise ScriptError("output_tool says how to send the output: add output")
    return Turn(
        text=entry.say,
        tool_calls=tuple(entry.calls) if entry.call is None else (entry.call,),
        output=Output(entry.output, entry.output_tool) if "output" in entry.model_fields_set else None,
        faults=tuple(_fault(each) for each in entry.fault),
        gate=entry.gate,
        gate_after=entry.gate_after,
        delay_s=entry.delay_s,
        delay_per_token_s=entry.delay_per_token_s,
        usage=None if entry.usage is None else Usage(**entry.usage.model_dump()),
        cut_short=entry.cut_short,
    )


def _fault(entry: _FaultEntry) -> Fault:
    fields = entry.model_dump()
    if isinstance(entry.malformed, bool):
        fields["malformed"] = "json" if entry.malformed else None
    if entry.times == "always":
        fields["times"] = None
    return Fault(**fields)


def _spell(place: Place) -> str:
    spelt = "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in place).removeprefix(".")
    return f"{spelt}: " if spelt else ""


def _line(node: yaml.Node | None, place: Place) -> int:
    """The line (from 1) of the deepest part of `place` that is in the file."""
    line = node.start_mark.line if node else 0
    for step in place:
        if step == 0 and isinstance(node, yaml.MappingNode):
            continue  # a single fault stands for a list of one
        inner: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == step:
                    line, inner = key.start_mark.line, value
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            inner = node.value[step]
            line = node.value[step].start_mark.line
        node = inner
    return line + 1

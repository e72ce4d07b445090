"""The words a script is written with: `say`, `call`, `calls`, `output`, `fault`."""

from __future__ import annotations

from typing import Any, TypeAlias, TypedDict, Unpack

from holdfast.testing.model_server.turn import Fault, Malformed, Output, RawUsage, ToolCall, Turn, Usage

Faults: TypeAlias = Fault | list[Fault] | tuple[Fault, ...] | None


class TurnOptions(TypedDict, total=False):
    """Options of a turn, the same for `say`, `calls` and `output`; see `Turn`."""

    fault: Faults
    gate: str
    gate_after: int
    delay_s: float
    delay_per_token_s: float
    usage: Usage | RawUsage
    cut_short: bool


def say(text: str, **options: Unpack[TurnOptions]) -> Turn:
    """A turn that answers with `text`. `{tool_result}`, `{user}` and the like are filled in; see `Script`."""
    return _turn(options, text=text)


def call(tool: str, arguments: dict[str, Any] | str | None = None, /, **named: Any) -> ToolCall:
    """A call of `tool`, by keyword arguments or one mapping; a string is sent as it is, valid JSON or not.

    The tool need not exist and the arguments need not fit: models make such mistakes too.
    """
    if isinstance(arguments, str):
        return ToolCall(tool, arguments)
    return ToolCall(tool, {**(arguments or {}), **named})


def calls(*tool_calls: ToolCall, text: str | None = None, **options: Unpack[TurnOptions]) -> Turn:
    """A turn that makes these calls at once, with `text` before them if given."""
    return _turn(options, text=text, tool_calls=tool_calls)


def output(value: Any, *, tool: str | None = None, **options: Unpack[TurnOptions]) -> Turn:
    """A turn that gives the structured output `value` in the way the request asks for it.

    That is a call of the output tool (Pydantic AI's `final_result`; with several, `tool` or the first one
    whose schema has the keys of `value`), or else JSON text.
    """
    return _turn(options, output=Output(value, tool))


def fault(
    status: int | None = None,
    *,
    times: int | None = 1,
    retry_after: float | None = None,
    message: str | None = None,
    code: str | None = None,
    hang: bool = False,
    malformed: Malformed | bool | None = None,
    delay_s: float = 0.0,
    delay_per_token_s: float = 0.0,
    hang_after: int | None = None,
    cut_after: int | None = None,
) -> Fault:
    """What goes wrong for the first `times` requests of a turn (`times=None`: always); see `Fault`.

    Raises `ScriptError` for a combination that means nothing.
    """
    return Fault(
        status=status,
        times=times,
        retry_after=retry_after,
        message=message,
        code=code,
        hang=hang,
        malformed=("json" if malformed else None) if isinstance(malformed, bool) else malformed,
        delay_s=delay_s,
        delay_per_token_s=delay_per_token_s,
        hang_after=hang_after,
        cut_after=cut_after,
    )


def _turn(
    options: TurnOptions,
    *,
    text: str | None = None,
    tool_calls: tuple[ToolCall, ...] = (),
    output: Output | None = None,
) -> Turn:
    faults = options.get("fault")
    return Turn(
        text=text,
        tool_calls=tool_calls,
        output=output,
        faults=(faults,) if isinstance(faults, Fault) else tuple(faults or ()),
        gate=options.get("gate"),
        gate_after=options.get("gate_after", 0),
        delay_s=options.get("delay_s", 0.0),
        delay_per_token_s=options.get("delay_per_token_s", 0.0),
        usage=options.get("usage"),
        cut_short=options.get("cut_short", False),
    )

"""What can be known of an agent's tools without running it: classes, result types, digests of schemas."""

from __future__ import annotations

import hashlib
import inspect
import json
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import orjson
from pydantic import TypeAdapter
from pydantic_ai.output import NativeOutput, PromptedOutput, TextOutput, ToolOutput
from pydantic_ai.tools import Tool, ToolDefinition
from pydantic_ai.toolsets import (
    AbstractToolset,
    CombinedToolset,
    ExternalToolset,
    FunctionToolset,
    PrefixedToolset,
    RenamedToolset,
    WrapperToolset,
)

from holdfast.domain.errors import UserError
from holdfast.effects.charging import costs_of
from holdfast.effects.declare import UNDECLARED, Declaration, declared_on
from holdfast.guards.policy import Governed, ToolShape
from holdfast.guards.policy.shape import governed_on

if TYPE_CHECKING:
    from pydantic_ai.agent import AbstractAgent

    from holdfast.task import Task


def functions_of(agent: AbstractAgent[Any, Any]) -> dict[str, Callable[..., Any]]:
    """The functions behind the agent's static tools, by tool name."""
    found: dict[str, Callable[..., Any]] = {}
    for toolset in agent.toolsets:
        for name, function in _functions(toolset):
            found.setdefault(name, function)
    return found


def _functions(toolset: AbstractToolset[Any]) -> Iterator[tuple[str, Callable[..., Any]]]:
    if isinstance(toolset, FunctionToolset):
        for name, tool in toolset.tools.items():
            yield name, tool.function
    elif isinstance(toolset, WrapperToolset):
        yield from _functions(toolset.wrapped)


def output_functions_of(agent: AbstractAgent[Any, Any]) -> dict[str, Callable[..., Any]]:
    """The functions that the agent's answers are handed to, by name."""
    return {one.__name__: one for one in _outputs(agent.output_type) if inspect.isroutine(one)}


def _outputs(spec: Any) -> Iterator[Any]:
    """The types and functions that an output type is put together from."""
    match spec:
        case ToolOutput():
            yield from _outputs(cast("Any", spec).output)
        case NativeOutput() | PromptedOutput():
            yield from _outputs(cast("Any", spec).outputs)
        case TextOutput():
            yield from _outputs(cast("Any", spec).output_function)
        case list() | tuple():
            for one in cast("Sequence[Any]", spec):
                yield from _outputs(one)
        case _:
            yield spec


def output_adapter(spec: Any) -> TypeAdapter[Any] | None:
    """What an agent's output type says of its outputs; None where it says nothing that can be checked."""
    types = [returns_of(one) if inspect.isroutine(one) else one for one in _outputs(spec)]
    if not types or any(one is Any for one in types):
        return None
    try:
        together = types[0]
        for one in types[1:]:
            together |= one
        adapter = TypeAdapter[Any](together)
        adapter.json_schema(mode="serialization")
    except Exception:  # noqa: BLE001 - whatever the types are, the framework takes them
        return None
    return adapter


def function_at(tool: Any) -> Callable[..., Any] | None:
    """The function behind a resolved tool of a run, however its toolset was come by."""
    # By the name that the function's own toolset knows: the one that was called may be another tool's there.
    while (source := getattr(tool, "source_tool", None)) is not None:
        tool = source
    toolset, original = getattr(tool, "toolset", None), getattr(tool, "original_name", None)
    if not isinstance(toolset, AbstractToolset) or original is None:
        return None
    toolset = _innermost(cast("AbstractToolset[Any]", toolset))
    if not isinstance(toolset, FunctionToolset):
        return None
    found = toolset.tools.get(original)
    return None if found is None else found.function


def declaration_for(task: Task, name: str, function: Callable[..., Any] | None) -> Declaration:
    """A tool's declaration: what the task says of it by name, else what its function says, else none."""
    found = task.effects.get(name) or declared_on(function) or UNDECLARED
    cost = task.costs.get(name, costs_of(function))
    return found if cost is None else replace(found, cost_usd_micros=cost)


@lru_cache(maxsize=4096)
def returns_of(function: Callable[..., Any] | None) -> Any:
    """The type a tool's result is read back as: its annotation where it says something, else Any."""
    if function is None:
        return Any
    try:
        returns = typing.get_type_hints(function, include_extras=True).get("return", Any)
        TypeAdapter(returns)
    except Exception:  # noqa: BLE001 - annotations are the user's; any that cannot be used says nothing
        return Any
    return Any if returns is None or returns is inspect.Signature.empty else returns


_schema_digests: dict[int, tuple[Any, str, str]] = {}
_MOST_SCHEMAS = 8192


def schema_digest(tool: ToolDefinition) -> str:
    """Digest of a tool's name and schema. Schemas are shared objects, so it is looked up by identity."""
    known = _schema_digests.get(id(tool.parameters_json_schema))
    if known is not None and known[1] == tool.name and known[0] is tool.parameters_json_schema:
        return known[2]
    digest = digest_of([tool.name, tool.parameters_json_schema])
    if len(_schema_digests) >= _MOST_SCHEMAS:
        _schema_digests.clear()
    _schema_digests[id(tool.parameters_json_schema)] = (tool.parameters_json_schema, tool.name, digest)
    return digest


def digest_of(value: Any) -> str:
    """A short digest of a JSON shape, independent of the order of keys."""
    try:
        plain = orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=str)
    except TypeError:  # a bound beyond 64 bits
        plain = json.dumps(value, sort_keys=True, default=str).encode()
    return hashlib.sha256(plain).hexdigest()[:16]


def undeclared_tools(task: Task) -> list[str]:
    """The tools of a task, as far as they are known without a run, that declare no recovery class."""
    agents = (task.agent, *task.agents)
    functions = {name: function for agent in agents for name, function in functions_of(agent).items()}
    return sorted(name for name, function in functions.items() if not declaration_for(task, name, function).declared)


def check_tools(task: Task) -> None:
    """Refuse at registration what could only fail after a side effect.

    Raises:
        UserError: a tool's result type cannot be stored, or a declaration names no tool.
    """
    agents = (task.agent, *task.agents)
    functions = {name: function for agent in agents for name, function in functions_of(agent).items()}
    for name, function in functions.items():
        _check_returns(task, name, function)
    open_ended = not names_known(task)
    handed = {name for agent in agents for name in output_functions_of(agent)}
    unknown = sorted(set(task.effects) - set(functions) - handed)
    if unknown and not open_ended:
        raise UserError(
            f"Task '{task.name}': effects names {', '.join(map(repr, unknown))}, which the agent has no tool for. "
            f"Its tools: {', '.join(sorted(functions)) or 'none'}."
        )


def names_known(task: Task) -> bool:
    """Whether all tools of a task, and what the model calls them, can be listed without a run."""
    return all(_names_known(toolset) for agent in (task.agent, *task.agents) for toolset in agent.toolsets)


def _names_known(toolset: AbstractToolset[Any]) -> bool:
    """Whether the names that the model sees are those of functions that can be listed without a run."""
    while isinstance(toolset, WrapperToolset):
        if isinstance(toolset, PrefixedToolset | RenamedToolset):
            return False
        toolset = toolset.wrapped
    return isinstance(toolset, FunctionToolset)


def _innermost(toolset: AbstractToolset[Any]) -> AbstractToolset[Any]:
    while isinstance(toolset, WrapperToolset):
        toolset = toolset.wrapped
    return toolset


def _check_returns(task: Task, name: str, function: Callable[..., Any]) -> None:
    try:
        returns = typing.get_type_hints(function, include_extras=True).get("return")
    except Exception:  # noqa: BLE001 - unresolvable hints are the framework's to complain about
        return
    if returns is None or returns is Any:
        return
    try:
        TypeAdapter(returns).json_schema(mode="serialization")
    except Exception as error:
        code = inspect.unwrap(function).__code__
        raise UserError(
            f"Task '{task.name}': tool '{name}' ({code.co_filename}:{code.co_firstlineno}) returns {returns!r}, "
            f"which cannot be stored: {str(error).splitlines()[0]} Return a type that Pydantic can serialise, so that "
            "a finished call never has to run again."
        ) from error


def shapes_of(task: Task) -> list[ToolShape]:
    """A task's tools, its sub-agents' included, as policies are told of them. Output functions are no tools.

    A tool whose schema is not known before a run (an MCP server's) is one if the task names it, in `effects` or
    `governed`; its arguments no policy sees.

    Raises:
        UserError: `governed` names a tool that there is not.
    """
    agents = (task.agent, *task.agents)
    tools = [found for agent in agents for toolset in agent.toolsets for found in _tools(toolset)]
    known = {name for name, _ in tools}
    handed = {name for agent in agents for name in output_functions_of(agent)}
    unknown = sorted(task.governed.keys() - known)
    if unknown and names_known(task):
        raise UserError(
            f"Task '{task.name}': governed names {', '.join(map(repr, unknown))}, which the agent has no tool for. "
            f"Its tools: {', '.join(sorted(known)) or 'none'}."
        )
    named = sorted((task.effects.keys() | task.governed.keys()) - known - handed)
    return [*(_shape(task, name, tool) for name, tool in tools), *(_shape(task, name, None) for name in named)]


def _tools(toolset: AbstractToolset[Any]) -> Iterator[tuple[str, Tool[Any] | ToolDefinition]]:
    """The tools that can be listed without a run, by the names that the model sees."""
    match toolset:
        case FunctionToolset():
            yield from toolset.tools.items()
        case ExternalToolset():
            yield from ((tool.name, tool) for tool in toolset.tool_defs)
        case CombinedToolset():
            for one in toolset.toolsets:
                yield from _tools(one)
        case PrefixedToolset():
            yield from ((f"{toolset.prefix}_{name}", tool) for name, tool in _tools(toolset.wrapped))
        case RenamedToolset():
            renamed = {old: new for new, old in toolset.name_map.items()}
            yield from ((renamed.get(name, name), tool) for name, tool in _tools(toolset.wrapped))
        case WrapperToolset():
            yield from _tools(toolset.wrapped)
        case _:
            return


def _shape(task: Task, name: str, tool: Tool[Any] | ToolDefinition | None) -> ToolShape:
    function = tool.function if isinstance(tool, Tool) else None
    schema = tool.parameters_json_schema if isinstance(tool, ToolDefinition) else None
    return ToolShape(
        task=task.name,
        name=name,
        recovery=declaration_for(task, name, function).recovery,
        schema=tool.function_schema.json_schema if isinstance(tool, Tool) else schema,
        single=tool.function_schema.single_arg_name if isinstance(tool, Tool) else None,
        governed=task.governed.get(name) or governed_on(function) or Governed(),
    )

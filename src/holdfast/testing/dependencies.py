"""Finding tools that change their dependencies.

Dependencies are built anew when a run resumes on another machine, so what a tool changes in them is lost there: a
counter kept in `ctx.deps`, a cache, a flag. `WatchDependencies` finds it in an ordinary test of the agent.
"""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable
from typing import Any, cast

from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.tools import RunContext, ToolDefinition

from holdfast.domain.errors import UserError


class DependenciesChanged(UserError):
    """A tool changed its dependencies; a resumed run would not see the change."""


class WatchDependencies(AbstractCapability[Any]):
    """Attach to a run in a test: `agent.run(..., capabilities=[WatchDependencies()])`.

    Compares what can be copied and compared of the dependencies' attributes before and after each tool call, by
    `copy.deepcopy` and `==`. Connections and clients, which cannot, are passed over.
    """

    async def wrap_tool_execute(
        self,
        ctx: RunContext[Any],
        *,
        call: ToolCallPart,
        tool_def: ToolDefinition,  # noqa: ARG002 - the framework's signature
        args: dict[str, Any],
        handler: Callable[[dict[str, Any]], Awaitable[Any]],
    ) -> Any:
        """Run the tool.

        Raises:
            DependenciesChanged: an attribute of `ctx.deps` is not what it was before.
        """
        before = _snapshot(ctx.deps)
        result = await handler(args)
        after = _attributes(ctx.deps)
        changed = sorted(name for name, value in before.items() if _differs(value, after.get(name, _GONE)))
        if changed:
            places = ", ".join(f"ctx.deps.{name}" for name in changed)
            raise DependenciesChanged(
                f"Tool '{call.tool_name}' changed {places}. Dependencies are built anew when a run resumes, "
                "so the change would be lost. Keep it in a database, or return it."
            )
        return result


_GONE = object()


def _attributes(deps: Any) -> dict[str, Any]:
    if isinstance(deps, dict):
        return {str(key): value for key, value in cast("dict[Any, Any]", deps).items()}
    slots = cast("list[str]", getattr(type(deps), "__slots__", []))  # pyright: ignore[reportUnknownArgumentType]
    return {name: getattr(deps, name, _GONE) for name in [*getattr(deps, "__dict__", {}), *slots]}


def _snapshot(deps: Any) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in _attributes(deps).items():
        try:
            copied = copy.deepcopy(value)
            if copied == value:
                kept[name] = copied
        except Exception:  # noqa: BLE001, S112 - what cannot be copied or compared is a resource, not state
            continue
    return kept


def _differs(before: Any, after: Any) -> bool:
    try:
        return bool(before != after)
    except Exception:  # noqa: BLE001 - a comparison that fails says nothing
        return False
